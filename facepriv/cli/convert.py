"""``facepriv convert``: converters of third-party weights files to facepriv's format, provided by plugins."""

from facepriv.cli.plugin_group import PluginGroup

command = PluginGroup("converter", "convert", "Convert a published weights file to the format of an installed method.")
