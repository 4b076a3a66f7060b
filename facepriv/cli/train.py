"""``facepriv train``: the trainers provided by plugins."""

from facepriv.cli.brought import Brought

command = Brought("trainer", "train", "Train a method or an estimator that an installed plugin brings.")
