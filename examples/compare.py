"""Methods side by side on a folder of photos with labels.csv, from Python: python examples/compare.py photos/ report/"""

import sys
from pathlib import Path

from facepriv.compare import compare
from facepriv.compare_setup import Setup, fitting_panel
from facepriv.evaluation.judges import panel
from facepriv.evaluation.photos import photos_of
from facepriv.outcomes import Truth
from facepriv.registry import registry
from facepriv.report.examples import bundled
from facepriv.report.page import write_report
from facepriv.requests import named_output

if __name__ == "__main__":
    data, out = map(Path, sys.argv[1:])
    photos = photos_of("csv", data)
    judges, left_out = fitting_panel(panel(registry()), Truth.of(photos))
    requests = {"gender": named_output("gender")}
    setup = Setup(photos, data.name, ("privacynet", "sim-zhang"), requests, judges, place=out / "work",
                  examples=bundled(), left_out=left_out)  # fmt: skip
    comparison = compare(setup)
    for output in comparison.outputs:
        print(output.method, output.lead("gender_eer"), output.lead("tmr", pairing="(X1', X2')"))
    print(write_report(comparison, out / "report"))
