"""The plugin's entry point; imports no heavy package."""

from __future__ import annotations

from facepriv.hookspecs import Descriptor, hookimpl

FACEPRIV_CONTRACT = 2

_REFERENCE = "Mirjalili, Raschka, Ross: PrivacyNet, IEEE Transactions on Image Processing, 2020"


@hookimpl
def facepriv_components() -> list[Descriptor]:
    """Return the method, its trainer and its exporter."""
    return [
        Descriptor(
            kind="method",
            name="privacynet",
            target="facepriv_privacynet.method:PrivacyNet",
            summary="GAN that hides chosen attributes and keeps the others and the identity",
            reference=_REFERENCE,
            attributes=("gender", "race", "age"),
        ),
        Descriptor(
            kind="trainer",
            name="privacynet",
            target="facepriv_privacynet.cli:command",
            summary="train PrivacyNet's generator from a pack of aligned faces",
            reference=_REFERENCE,
        ),
        Descriptor(
            kind="exporter",
            name="privacynet",
            target="facepriv_privacynet.cli:export",
            summary="PrivacyNet's generator as an ONNX file",
            reference=_REFERENCE,
        ),
    ]
