"""The plugin's entry point; imports no heavy package."""

from __future__ import annotations

from facepriv.hookspecs import Descriptor, descriptors, hookimpl

FACEPRIV_CONTRACT = 2


@hookimpl
def facepriv_components() -> list[Descriptor]:
    """Return the method and the command that makes its averages."""
    return descriptors(
        "facepriv_face_mixing",
        "face-mixing",
        "Othman, Ross: Privacy of Facial Soft Biometrics, ECCV Workshops 2014",
        ("gender",),
        method=("method:FaceMixing", "morphs a face with one of the wanted class"),
        trainer=("cli:command", "average the faces of a pack into a gallery for face mixing"),
    )
