"""``facepriv train``: the trainers that plugins bring."""

from facepriv.cli.brought import Brought

command = Brought("trainer", "train", "Train a method or an estimator that an installed plugin brings.")
