"""The machines of a Ray cluster as an engine of facepriv."""

__version__ = "0.1.0"
