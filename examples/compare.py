"""Methods side by side, from Python: python examples/compare.py PHOTOS REPORT (a folder of photos with labels.csv)."""

import sys
from pathlib import Path

from facepriv.evaluation.compare import compare
from facepriv.evaluation.photos import photos_of
from facepriv.evaluation.setup import make_setup
from facepriv.report.page import write_report

if __name__ == "__main__":
    data, out = map(Path, sys.argv[1:])
    setup = make_setup(photos_of("csv", data), out / "work", methods=["privacynet", "sim-zhang"], outputs=["gender"])
    comparison = compare(setup)
    for output in comparison.outputs:
        print(output.method, output.lead("gender_eer"), output.lead("tmr", pairing="(X1', X2')"))
    print(write_report(comparison, out / "report"))
