"""The plugin's entry point; imports no heavy package."""

from __future__ import annotations

from facepriv.hookspecs import Descriptor, descriptors, hookimpl

FACEPRIV_CONTRACT = 2


@hookimpl
def facepriv_components() -> list[Descriptor]:
    """Return the method, its trainer and its exporter."""
    return descriptors(
        "facepriv_privacynet",
        "privacynet",
        "Mirjalili, Raschka, Ross: PrivacyNet, IEEE Transactions on Image Processing, 2020",
        ("gender", "race", "age"),
        method=("method:PrivacyNet", "GAN that hides attributes, keeps identity"),
        trainer=("cli:command", "train PrivacyNet's generator from a pack of aligned faces"),
        exporter=("cli:export", "PrivacyNet's generator as an ONNX file"),
    )
