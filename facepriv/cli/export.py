"""``facepriv export``: export methods as files for other programs, provided by plugins."""

from facepriv.cli.plugin_group import PluginGroup

command = PluginGroup("exporter", "export", "Write an installed method's model as a file that other programs run.")
