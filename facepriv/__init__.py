"""facepriv: hide gender, age or race in face photos while recognition keeps working."""

__version__ = "0.1.0"
