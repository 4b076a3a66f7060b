"""``facepriv convert``: what turns other people's weights files into ours, brought by plugins."""

from facepriv.cli.brought import Brought

command = Brought("converter", "convert", "Turn a published weights file into one of ours, for an installed method.")
