"""Two methods beside each other: the difference is that of the two, on the same faces and the same resamples."""

import json
from shutil import copyfile

import numpy as np
import pytest
from before_after import binary_figures, matching_figures
from click.testing import CliRunner

from facepriv.datasets.record import Record
from facepriv.errors import UsageError
from facepriv.evaluation.judges import Judges
from facepriv.evaluation.truth import Truth
from facepriv.registry import registry


class Dot:
    """Stands in for a matcher that compares descriptors by their product."""

    def score_all(self, a, b):
        return a @ b.T


@pytest.fixture
def measured(versus, monkeypatch):
    """Sixty photos of thirty people, seen as they are and in two outputs; and `paired.less` of the latter."""
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(30), 2)
    base = rng.normal(size=(30, 16))[people]

    def predictions(noise, hidden):
        female = np.clip((people % 2) * (1 - 2 * hidden) + hidden + 0.2 * rng.normal(size=60), 0, 1)
        vectors = base + noise * rng.normal(size=(60, 16))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return {"judge": np.stack([1 - female, female], 1), "matcher": vectors.astype(np.float32)}

    original, first, second = predictions(0.3, 0.0), predictions(1.2, 0.4), predictions(0.6, 0.2)
    first["judge"][3] = np.nan  # a face that is not found
    who = Judges(registry(), ("judge",), ("matcher",))
    monkeypatch.setattr(Judges, "build", lambda self: {"matcher": Dot()})
    truth = Truth(np.array([f"p{p}" for p in people]), True, {"gender": people % 2}, np.full(60, np.nan))

    def measure(a, b, fmr=0.05):
        monkeypatch.setattr("paired.FMR", fmr)
        return versus.less(b, a, original, truth, who, 50)

    return measure, original, first, second, truth


def test_a_difference_is_that_of_both_outputs_figures(measured):
    measure, original, first, second, truth = measured
    found = measure(first, second)
    eers, tmrs = [], []
    for predictions in (first, second):
        scores = [side["judge"][:, 1] for side in (original, predictions)]
        eers.append(binary_figures(*scores, truth.classes["gender"] == 1, truth.subjects, replicates=50)["eer_after"])
        vectors = [side["matcher"] for side in (original, predictions)]
        matching = matching_figures(*vectors, truth.subjects, Dot().score_all, fmr=0.05, replicates=50)
        tmrs.append({kind: matching["(X1', X2')"][kind]["tmr"].value for kind in ("own", "fixed")})
    assert found["judge"]["eer"].value == pytest.approx(eers[1].value - eers[0].value) and eers[0].value > eers[1].value
    for kind in ("own", "fixed"):
        apart = found["matcher"][kind]
        assert apart.value == pytest.approx(tmrs[1][kind] - tmrs[0][kind]) and apart.low <= apart.value <= apart.high
    assert found["matcher"]["own"].low > 0  # the less noisy one keeps more


def test_an_output_lies_at_no_distance_from_itself(measured):
    measure, _, first, *_ = measured
    for apart in measure(first, first).values():
        assert all((e.value, e.low, e.high) == (0, 0, 0) for e in apart.values())


def test_where_impostors_are_too_few_no_tmr_is_compared(measured):
    measure, _, first, second, _ = measured
    found = measure(first, second, fmr=1e-6)
    assert found["matcher"] == {} and set(found["judge"]) == {"eer"}


def test_too_few_people_are_said_and_the_rest_is_told(versus, small_lfw, tmp_path):
    given = ["pixelate", "k-attribute", "--data", str(small_lfw), "--work", str(tmp_path / "work"), "--limit", "2"]
    given += ["--workers", "1", "--judge", "family-b-gender", "--replicates", "10"]
    result = CliRunner().invoke(versus.main, [*given, "--weights", f"san={__file__}"])
    assert result.exit_code == UsageError.exit_code and "neither pixelate nor k-attribute" in result.output
    result = CliRunner().invoke(versus.main, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "family-b-gender: " in result.output and "dlib: " in result.output and "too few" in result.output


def test_two_methods_are_measured_from_end_to_end(versus, small_lfw, tmp_path):
    path = tmp_path / "result.json"
    given = ["pixelate", "k-attribute", "--data", str(small_lfw), "--work", str(tmp_path / "work"), "--limit", "8"]
    given += ["--workers", "1", "--judge", "family-b-gender", "--replicates", "10", "--json", str(path)]
    result = CliRunner().invoke(versus.main, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(path.read_text())
    eers = [found["outputs"][name]["gender"]["family-b-gender"]["eer_after"]["value"] for name in given[:2]]
    assert found["second_less_first"]["family-b-gender"]["eer"]["value"] == pytest.approx(eers[1] - eers[0])
    assert "second less first" in result.output and [m["name"] for m in found["methods"]] == given[:2]


def test_a_method_may_stand_against_itself_under_another_setting(versus, small_lfw, tmp_path):
    given = ["sim-zhang", "sim-zhang:reach=0.5", "--data", str(small_lfw), "--limit", "8"]
    given += ["--work", str(tmp_path / "work")]
    given += ["--workers", "1", "--judge", "family-b-gender", "--replicates", "10"]
    path = tmp_path / "result.json"
    result = CliRunner().invoke(versus.main, [*given, "--json", str(path)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(path.read_text())
    assert [m["settings"] for m in found["methods"]] == [{}, {"reach": "0.5"}]
    assert len({json.dumps(found["outputs"][name]["gender"]) for name in given[:2]}) == 2
    refused = CliRunner().invoke(versus.main, ["sim-zhang", "sim-zhang:nothing=4", *given[2:]])
    assert refused.exit_code == UsageError.exit_code and "nothing" in refused.output
    refused = CliRunner().invoke(versus.main, ["sim-zhang", "sim-zhang:", *given[2:]])
    assert refused.exit_code == UsageError.exit_code and "METHOD:NAME=VALUE" in refused.output


def test_what_hardly_differs_is_judged_in_place(versus, small_lfw, tmp_path):
    path = tmp_path / "result.json"
    given = ["k-attribute", "sim-zhang:reach=0.5", "--data", str(small_lfw), "--work", str(tmp_path / "work")]
    given += ["--limit", "8", "--workers", "1", "--judge", "family-b-gender", "--replicates", "10", "--json", str(path)]
    found = []
    for more in ([], ["--in-place"]):
        result = CliRunner().invoke(versus.main, [*given, *more], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        found.append(json.loads(path.read_text()))
    anew, place = found
    assert place["in_place"] and not anew["in_place"]
    scores = [json.dumps(each["outputs"]["k-attribute"]["gender"]) for each in found]
    assert scores[0] != scores[1]


def test_faces_of_several_sets_are_taken_together(versus, tmp_path, monkeypatch):
    photos = {name: [Record(tmp_path / name, name, "", "test", {"gender": "male"})] for name in ("lfw", "celeba")}
    taken = []

    def seen(output, known, who, photos, *_, **__):
        taken.append([record.name for record in photos])
        raise UsageError("that is enough")

    monkeypatch.setattr(versus, "photos_of", lambda name, data, limit: (photos[name], 0))
    monkeypatch.setattr(versus, "seen", seen)
    given = ["pixelate", "k-attribute", "--data", str(tmp_path), "--set", "celeba", "--set", "lfw", "--set", "celeba"]
    assert "that is enough" in CliRunner().invoke(versus.main, given).output
    assert taken == [["celeba", "lfw"]]


def test_all_photos_are_those_that_name_a_gender(versus, small_lfw):
    for number in range(3, 8):
        copyfile(small_lfw / "lfw" / "A" / "A_0001.jpg", small_lfw / "lfw" / "A" / f"A_000{number}.jpg")
    assert len(versus.chosen("lfw", small_lfw, None, False)) == 8 * 2 + 3
    (small_lfw / "lfw" / "I").mkdir()  # whom the table does not know
    copyfile(small_lfw / "lfw" / "A" / "A_0001.jpg", small_lfw / "lfw" / "I" / "I_0001.jpg")
    assert len(versus.chosen("lfw", small_lfw, None, True)) == 8 * 2 + 5
    assert {record.subject for record in versus.chosen("lfw", small_lfw, 2, True)} == {"A", "H"}


def test_a_method_is_not_compared_with_itself(versus, tmp_path):
    result = CliRunner().invoke(versus.main, ["pixelate", "pixelate", "--data", str(tmp_path)])
    assert result.exit_code == UsageError.exit_code and "name two methods" in result.output


def test_help_keeps_examples_on_lines_of_their_own(versus):
    lines = CliRunner().invoke(versus.main, ["--help"]).output.splitlines()
    assert "      python benchmarks/versus.py --data DIR baseline-gan privacynet" in lines
