"""A comparison as a run gives it, of made-up judges: quick, and all that a report shows is in it."""

from pathlib import Path

import numpy as np
import pytest

from facepriv.attacks.cross_fit import Answers
from facepriv.attacks.rows import adversary_rows
from facepriv.datasets.record import Record
from facepriv.evaluation.measure import Measure
from facepriv.evaluation.results import Comparison, Example, Output
from facepriv.evaluation.truth import Truth

PEOPLE, PHOTOS = 40, 4
COUNT = PEOPLE * PHOTOS


ESTIMATORS = {"ours-gender": "gender", "theirs-gender": "gender", "ours-race": "race", "ours-age": "age"}


def _truth():
    rng = np.random.default_rng(0)
    records = []
    for n in range(COUNT):
        person = n // PHOTOS
        labels = {"gender": ("male", "female")[person % 2], "race": ("white", "black")[person // 2 % 2]}
        years = float(rng.integers(18, 70))
        records.append(Record(Path(f"{n}.jpg"), f"{n}.jpg", f"p{person}", "test", labels, years))
    return Truth.of(records)


def _as_arrays(truth, seed, hidden=0.0, cost=0.0, lost=0):
    rng = np.random.default_rng(seed)

    def guess(attribute, classes, hidden=0.0):
        right = np.eye(classes)[truth.classes[attribute]]
        p = np.abs(rng.normal(0, 1, (COUNT, classes))) + 2.5 * (1 - hidden) * right + 2.5 * hidden * (1 - right)
        return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)

    people = np.unique(truth.subjects, return_inverse=True)[1]
    predictions = {
        "ours-gender": guess("gender", 2, hidden),
        "theirs-gender": guess("gender", 2, hidden * 0.7),
        "ours-race": guess("race", 4),
        "ours-age": (truth.years + rng.normal(0, 5, COUNT)).astype(np.float32),
        "angle": (np.eye(PEOPLE)[people] + rng.normal(0, 0.15 + cost, (COUNT, PEOPLE))).astype(np.float32),
        "seen": np.ones(COUNT, bool),
    }
    for said in predictions.values():
        said[:lost] = False if said.dtype == bool else np.nan
    return predictions


@pytest.fixture(scope="session")
def make_comparison(small_faces, made_up_judges):
    """Return ``make(outputs)``: a comparison of (method, output, share hidden, cost, faces lost) each."""

    def make(wanted, attacks=True, examples=True):
        truth = _truth()
        before, judges = _as_arrays(truth, 0), made_up_judges(ESTIMATORS, "angle")
        measure = Measure(truth, before, judges, fmr=0.01, replicates=40)
        outputs = []
        for n, (method, name, share, cost, lost) in enumerate(wanted):
            after = _as_arrays(truth, n + 1, share if "gender" in name else 0.0, cost, lost)
            hidden = tuple(part.partition("=")[0] for part in name.split("+"))
            rows = measure.rows(after, seen=("theirs-gender",) if method == "beta" else ())
            said = after["ours-gender"].astype(np.float64)
            answers = {
                "retrained": Answers(1 - said if share > 0.5 else said),
                "detector": Answers(said[:, 0], said[::-1, 0]),
            }
            attacked = adversary_rows("gender", truth, before, after, ["ours-gender"], answers, replicates=40)
            attacked = attacked if attacks and "gender" in hidden else []
            outputs.append(Output(method, name, hidden, tuple(rows), measure.curves(after), tuple(attacked)))
        methods = dict.fromkeys(method for method, *_ in wanted)
        face = small_faces[0][:96, :96]
        shown = [Example("Eileen Collins, NASA", face, {(m, o): face // 2 for m, o, *_ in wanted[1:]})]
        return Comparison(
            facepriv="0.0",
            data={"name": "made up", "photos": COUNT, "people": PEOPLE, "part": ""},
            settings={"policy": "flip", "strength": 1.0, "seed": 0, "fmr": 0.01, "replicates": 40},
            methods=tuple(
                {
                    "name": m,
                    "version": "1",
                    "weights": "f" * 64,
                    "seen": ["theirs-gender"] * (m == "beta"),
                    "settings": {"amount": "0.5"},
                    "summary": "A <test> & no method",
                    "reference": "Nobody, nowhere",
                }
                for m in methods
            ),
            judges=tuple({"name": name, **judge} for name, judge in judges.describe().items()),
            skipped=({"what": "grey", "why": "changes race, not gender"},),
            original=measure.curves(before),
            outputs=tuple(outputs),
            examples=tuple(shown) if examples else (),
        )

    return make


@pytest.fixture(scope="session")
def comparison(make_comparison):
    """Two methods, one of them with three outputs, one of whose attributes is kept, with attacks and an example."""
    return make_comparison(
        [
            ("alpha", "gender", 0.9, 0.1, 2),
            ("beta", "gender", 0.5, 0.3, 0),
            ("beta", "race", 0.0, 0.05, 0),
            ("beta", "gender+race", 0.6, 0.4, 0),
        ]
    )
