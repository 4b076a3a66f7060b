"""``facepriv train baseline-gan`` and ``facepriv export baseline-gan``."""

from facepriv_privacynet.cli import export_command, train_command

_BASELINE = "facepriv_baseline_gan.method:BASELINE"
command = train_command(_BASELINE, "baseline-gan", "Train the baseline GAN", matched=False)
export = export_command(_BASELINE, "baseline-gan")
