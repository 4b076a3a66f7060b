"""The plugin's entry point; imports no heavy package."""

from __future__ import annotations

from facepriv.hookspecs import Descriptor, hookimpl

FACEPRIV_CONTRACT = 2

_REFERENCE = "Othman, Ross: Privacy of Facial Soft Biometrics, ECCV Workshops 2014"


@hookimpl
def facepriv_components() -> list[Descriptor]:
    """Return the method and the command that makes its averages."""
    return [
        Descriptor(
            kind="method",
            name="face-mixing",
            target="facepriv_face_mixing.method:FaceMixing",
            summary="morphs a face with one of the wanted class: an average, or a photo of your own gallery",
            reference=_REFERENCE,
            attributes=("gender",),
        ),
        Descriptor(
            kind="trainer",
            name="face-mixing",
            target="facepriv_face_mixing.cli:command",
            summary="average the faces of a pack into a gallery for face mixing",
            reference=_REFERENCE,
        ),
    ]
