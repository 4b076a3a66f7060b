"""The plugin's entry point; imports no heavy package."""

from __future__ import annotations

from facepriv.hookspecs import Descriptor, hookimpl

FACEPRIV_CONTRACT = 2

_REFERENCE = "Mirjalili, Raschka, Ross: PrivacyNet, IEEE TIP 2020 (its baseline); Choi and others: StarGAN, CVPR 2018"


@hookimpl
def facepriv_components() -> list[Descriptor]:
    """Return the method, its trainer and its exporter."""
    return [
        Descriptor(
            kind="method",
            name="baseline-gan",
            target="facepriv_baseline_gan.method:BaselineGan",
            summary="PrivacyNet's recipe without its matcher: what the matcher buys is the difference",
            reference=_REFERENCE,
            attributes=("gender", "race", "age"),
        ),
        Descriptor(
            kind="trainer",
            name="baseline-gan",
            target="facepriv_baseline_gan.cli:command",
            summary="train the baseline GAN from a pack of aligned faces",
            reference=_REFERENCE,
        ),
        Descriptor(
            kind="exporter",
            name="baseline-gan",
            target="facepriv_baseline_gan.cli:export",
            summary="the baseline GAN's generator as an ONNX file",
            reference=_REFERENCE,
        ),
    ]
