"""The plugin's entry point; imports no heavy package."""

from __future__ import annotations

from facepriv.hookspecs import Descriptor, descriptors, hookimpl

FACEPRIV_CONTRACT = 2


@hookimpl
def facepriv_components() -> list[Descriptor]:
    """Return the method, its trainer and its exporter."""
    return descriptors(
        "facepriv_baseline_gan",
        "baseline-gan",
        "Mirjalili, Raschka, Ross: PrivacyNet, IEEE TIP 2020 (its baseline); Choi and others: StarGAN, CVPR 2018",
        ("gender", "race", "age"),
        method=("method:BaselineGan", "PrivacyNet's recipe without its matcher"),
        trainer=("cli:command", "train the baseline GAN from a pack of aligned faces"),
        exporter=("cli:export", "the baseline GAN's generator as an ONNX file"),
    )
