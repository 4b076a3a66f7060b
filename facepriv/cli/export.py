"""``facepriv export``: export methods as files for other programs, provided by plugins."""

from facepriv.cli.brought import Brought

command = Brought("exporter", "export", "Write an installed method's model as a file that other programs run.")
