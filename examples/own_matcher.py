"""Evaluates with your own face matcher: an ONNX file like ArcFace (112 x 112 input, an embedding as output).

    python examples/own_matcher.py arcface.onnx "trained on WebFace600K" photos protected --labels labels.csv

Writes the model's settings file beside it (unless it exists), and evaluates with the model under the name `mine`; on
the command line that is `--matcher mine=onnx --set mine.model=arcface.onnx`. For an estimator use `--estimator`, with
the settings listed on the page of facepriv-estimators.
"""

import subprocess
import sys
from pathlib import Path

SETTINGS = """\
size = 112
align = "arcface"      # the square of the five-point alignment
white = 255            # pixel values before normalisation: 0 to 255
mean = 127.5
std = 127.5
trained_on = "{trained_on}"
"""

if __name__ == "__main__":
    if len(sys.argv) < 5:
        raise SystemExit(__doc__)
    model, trained_on, *arguments = sys.argv[1:]
    settings = Path(model).with_suffix(".toml")
    if not settings.exists():
        settings.write_text(SETTINGS.format(trained_on=trained_on.replace('"', "'")))
    judge = ["--matcher", "mine=onnx", "--set", f"mine.model={model}"]
    raise SystemExit(subprocess.run([sys.executable, "-m", "facepriv", "evaluate", *arguments, *judge]).returncode)
