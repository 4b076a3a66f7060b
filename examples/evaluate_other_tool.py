"""Evaluates a tool that is independent of facepriv: here Pillow's Gaussian blur, into a second folder.

    python examples/evaluate_other_tool.py photos blurred --labels labels.csv --radius 3

All that facepriv needs is two folders whose files have the same paths, and a table (columns file, and any of subject,
gender, race, age). Further options are those of `facepriv evaluate`, and its exit code is this script's.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageFilter


def blur(source, target, radius):
    """Blur every photo of one folder into the other."""
    for path in sorted(p for p in source.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png")):
        out = target / path.relative_to(source)
        out.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as photo:
            photo.convert("RGB").filter(ImageFilter.GaussianBlur(radius)).save(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--radius", type=float, default=3)
    own, further = parser.parse_known_args()
    blur(own.source, own.target, own.radius)
    command = [sys.executable, "-m", "facepriv", "evaluate", str(own.source), str(own.target), *further]
    raise SystemExit(subprocess.run(command).returncode)
