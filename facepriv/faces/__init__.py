"""From a photo to aligned crops and back: detect, landmarks, align, paste.

Coordinates are continuous: the centre of the top left pixel is (0.5, 0.5), x runs right, y runs down.
"""

from facepriv.faces.align import CROP_PADDING, Face, crop_face, crop_faces
from facepriv.faces.detect import detect_boxes, find_faces
from facepriv.faces.paste import feather_mask, paste

__all__ = ["CROP_PADDING", "Face", "crop_face", "crop_faces", "detect_boxes", "feather_mask", "find_faces", "paste"]
