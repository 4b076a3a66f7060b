"""``facepriv train baseline-gan`` and ``facepriv export baseline-gan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facepriv_privacynet.cli import export_command, train_command

if TYPE_CHECKING:
    from facepriv_privacynet.config import Variant


def _baseline() -> Variant:
    from facepriv_baseline_gan.method import BASELINE

    return BASELINE


command = train_command(_baseline, "baseline-gan", "Train the baseline GAN", matched=False)
export = export_command(_baseline, "baseline-gan")
