"""``facepriv convert``: converters of third-party weights files to facepriv's format, provided by plugins."""

from facepriv.cli.brought import Brought

command = Brought("converter", "convert", "Turn a published weights file into one of ours, for an installed method.")
