"""The baseline GAN as a method: PrivacyNet's code, on weights of its recipe without the matcher."""

from __future__ import annotations

from typing import ClassVar

from facepriv_privacynet.config import PRIVACYNET, Variant
from facepriv_privacynet.method import PrivacyNet

from facepriv_baseline_gan import __version__

BASELINE = Variant(
    "baseline-gan",
    __version__,
    "facepriv_baseline_gan.weights",
    {name: recipe.unmatched() for name, recipe in PRIVACYNET.presets.items()},
)


class BaselineGan(PrivacyNet):
    """Hides gender, race or age from classifiers, without preserving the match with the original face.

    Parameters
    ----------
    weights : path-like or None
        A generator's weights file; None: the packaged one.
    precision : {"fastest", "float32"}
        ``fastest``: bfloat16 where the device supports it in hardware; PrivacyNet's page describes the effect.
    """

    variant: ClassVar[Variant] = BASELINE
