"""The baseline GAN of the PrivacyNet paper as a plugin of facepriv."""

__version__ = "0.1.0"
