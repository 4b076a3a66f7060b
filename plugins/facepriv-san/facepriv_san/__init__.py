"""The SAN family as a plugin of facepriv."""

__version__ = "0.1.0"
