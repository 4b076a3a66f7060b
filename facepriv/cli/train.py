"""``facepriv train``: the trainers provided by plugins."""

from facepriv.cli.plugin_group import PluginGroup

command = PluginGroup("trainer", "train", "Train a method or an estimator that an installed plugin provides.")
