"""Bars on real reports of ``facepriv compare``: held, missed, of evaluators that do not count, and without a figure."""

import csv
import importlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facepriv.cli import main
from facepriv.evaluation.rows import FIGURES
from facepriv.evaluation.setup import named_output
from facepriv.metrics.matching import PAIRINGS
from facepriv.registry import registry

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def report(tmp_path_factory, small_faces):
    """The report of two darkening methods on sixteen photos of eight people; one of two estimators is too weak."""
    folder = tmp_path_factory.mktemp("bars")
    photos = folder / "photos"
    photos.mkdir()
    rows = [["file", "subject", "gender"]]
    for n in range(16):
        woman = n // 2 % 2
        light = (0.85 if woman else 1.0) - 0.01 * n
        Image.fromarray((small_faces[woman] * light).astype(np.uint8)).save(photos / f"{n}.png")
        rows.append([f"{n}.png", f"p{n // 2}", ("male", "female")[woman]])
    with (photos / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    words = "--methods darken,little=tuned:amount=0.01 --against darken --estimator bright-gender,always-female"
    more = "--outputs gender,own --fmr 0.4 --replicates 20 --workers 1"
    with pytest.MonkeyPatch.context() as patch:
        tiny = str(ROOT / "tests" / "tiny")
        patch.syspath_prepend(tiny)
        patch.setenv("PYTHONPATH", os.pathsep.join([tiny, os.environ.get("PYTHONPATH", "")]))
        importlib.invalidate_caches()
        registry.cache_clear()
        where = ["-o", str(folder / "report"), "--work", str(folder / "work")]
        result = CliRunner().invoke(main, ["compare", str(photos), *where, *words.split(), *more.split()])
    registry.cache_clear()
    assert result.exit_code == 0, result.output
    return folder / "report"


@pytest.fixture
def check(bars, monkeypatch):
    """Return ``check(report, **keys of a bar)``: exit code and output of the script with this bar alone."""

    def run(report, **keys):
        monkeypatch.setattr(bars, "read_bars", lambda: {"lfw": [bars.Bar("a bar", **keys)]})
        result = CliRunner().invoke(bars.main, ["lfw", str(report)])
        assert "Traceback" not in result.output
        return result.exit_code, result.output

    return run


def figures(report, **keys):
    """Return the rows of a report's CSV with these cells."""
    rows = csv.DictReader((report / "rows.csv").read_text().splitlines())
    return [row for row in rows if all(row[name] == value for name, value in keys.items())]


def test_a_bar_holds_up_to_its_limit_and_is_missed_by_the_difference_beyond(report, check):
    (row,) = figures(report, figure="gender_accuracy", evaluator="bright-gender", method="darken", output="gender")
    after = float(row["after"])
    keys = {"figure": "gender_accuracy", "evaluators": ["bright-gender"], "outputs": ["gender"], "method": "darken"}
    for limits, code, verdict in (
        ({"at_least": after}, 0, "holds"),
        ({"at_least": after + 2}, 1, "MISSED by 2.00"),
        ({"at_most": after - 3}, 1, "MISSED by 3.00"),
        ({"at_most": after}, 0, "holds"),
    ):
        exit_code, text = check(report, **keys, **limits)
        assert exit_code == code and verdict in text
        assert f"{after:.2f} ({float(row['after_low']):.2f} to {float(row['after_high']):.2f})" in text
    change = float(figures(report, figure="gender_accuracy", evaluator="bright-gender", method="darken")[0]["change"])
    assert check(report, **keys, value="change", within=abs(change))[0] == 0
    code, text = check(report, **keys, value="change", within=abs(change) - 1)
    assert code == 1 and "MISSED by 1.00" in text and f"+- {abs(change) - 1:g}" in text


def test_an_end_of_the_interval_may_decide(report, check):
    (row,) = figures(report, figure="gender_accuracy", evaluator="bright-gender", method="darken", output="gender")
    low, value = float(row["after_low"]), float(row["after"])
    assert low < value  # else this test shows nothing
    keys = {"figure": "gender_accuracy", "evaluators": ["bright-gender"], "outputs": ["gender"], "method": "darken"}
    assert check(report, **keys, at_least=value)[0] == 0
    code, text = check(report, **keys, at_least=value, decides="low")
    assert code == 1 and f"MISSED by {value - low:.2f}" in text


def test_the_worst_output_and_pairing_of_every_method_stands_in_the_table(report, check):
    rows = figures(report, figure="tmr", group="", evaluator="dlib")
    code, text = check(report, figure="tmr", at_least=101)
    assert code == 1
    for method in ("darken", "little"):
        worst = min((row for row in rows if row["method"] == method), key=lambda row: float(row["after"]))
        (line,) = [line for line in text.splitlines() if f" {method} " in line]
        assert f"{float(worst['after']):.2f} (" in line
    assert "less" not in text  # a difference is no method


def test_a_difference_is_a_method_of_its_own(report, check):
    of = {"figure": "gender_eer", "group": "", "evaluator": "bright-gender"}
    (row,) = figures(report, **of, method="little less darken", output="gender")
    change = float(row["change"])
    keys = {"figure": "gender_eer", "value": "change", "method": "little less darken", "outputs": ["gender"]}
    assert check(report, **keys, at_most=change)[0] == 0
    code, text = check(report, **keys, at_most=change - 1)
    assert code == 1 and "MISSED by 1.00" in text and "little less darken" in text


def test_what_keeps_an_attribute_leaves_out_the_outputs_that_hide_it(report, check):
    keys = {"figure": "gender_eer", "value": "change", "within": 0, "evaluators": ["bright-gender"]}
    _, text = check(report, **keys, method="darken", keeps="gender")
    assert " own " in text
    _, text = check(report, **keys, method="darken", keeps="race")
    assert " gender " in text  # the worse of both


def test_an_evaluator_that_does_not_count_is_shown_and_decides_nothing(report, check):
    code, text = check(report, figure="gender_eer", at_least=-1)
    assert code == 0 and text.count("holds") == 2 and text.count("does not count: too weak on the originals") == 2
    code, text = check(report, figure="gender_eer", at_least=101)
    assert code == 1 and text.count("MISSED") == 2
    code, text = check(report, figure="gender_eer", at_least=-1, evaluators=["always-female"])
    assert code == 1 and "CANNOT BE JUDGED: no evaluator counts" in text


def test_a_bar_on_originals_is_one_on_the_evaluator_however_weak(report, check):
    keys = {"figure": "gender_accuracy", "value": "before", "evaluators": ["always-female"], "outputs": ["own"]}
    assert check(report, **keys, at_least=50)[0] == 0
    code, text = check(report, **keys, at_least=51)
    assert code == 1 and "MISSED by 1.00" in text and "does not count" not in text


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"figure": "age_error"}, "the report has no such figure"),
        ({"figure": "gender_eer", "data": "celeba"}, "the report has no such figure"),
        ({"figure": "gender_eer", "evaluators": ["bright-gender", "gone"]}, "no such figure of gone"),
        ({"figure": "gender_eer", "method": "gone"}, "the report has no such figure"),
        ({"figure": "tmr@0.01%"}, "too few for an FMR of 0.01 %"),
        ({"figure": "age_error", "value": "change"}, "the report has no such figure"),
    ],
)
def test_a_bar_without_its_figure_does_not_pass(report, check, keys, said):
    code, text = check(report, **keys, at_least=-1000)
    assert code == 1 and "CANNOT BE JUDGED" in text and said in text


def test_a_report_of_several_sets_is_judged_set_by_set(report, check, tmp_path):
    one = json.loads((report / "result.json").read_text())
    other = {**one, "data": {**one["data"], "name": "celeba, part test"}}
    (tmp_path / "result.json").write_text(json.dumps({"facepriv": "1", "sets": [one, other]}))
    keys = {"figure": "gender_eer", "at_least": -1, "evaluators": ["bright-gender"]}
    code, text = check(tmp_path, **keys)
    assert code == 0 and text.count("holds") == 4 and text.count("celeba, part test") == 2
    code, text = check(tmp_path / "result.json", **keys, data="celeba")
    assert code == 0 and text.count("holds") == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (No such file or directory); name a report of facepriv compare"),
        (b"no json", "not a result.json of facepriv compare"),
        (b"[]", "not a result.json of facepriv compare"),
        (b'{"outputs": []}', "not a result.json of facepriv compare"),
        (b'{"data": {"name": "a"}, "outputs": [{"method": 1}]}', "not a result.json of facepriv compare"),
        (b"\xff\xfe", "not a result.json of facepriv compare"),
    ],
)
def test_another_file_is_one_clear_line(bars, tmp_path, content, said):
    file = tmp_path / "result.json"
    if content is not None:
        file.write_bytes(content)
    result = CliRunner().invoke(bars.main, ["lfw", str(file)])
    assert result.exit_code == 1 and result.output.count("\n") == 1 and "Traceback" not in result.output
    assert f"{file}: {said}" in result.output


def test_a_folder_without_a_report_is_one_clear_line(bars, tmp_path):
    result = CliRunner().invoke(bars.main, ["lfw", str(tmp_path)])
    assert result.exit_code and f"{tmp_path / 'result.json'}: cannot be read" in result.output


def test_every_list_of_the_makefile_is_there_and_every_bar_can_be_met_and_missed(bars):
    lists = bars.read_bars()
    assert set(re.findall(r"benchmarks/bars\.py (\w+)", (ROOT / "Makefile").read_text())) == set(lists)
    known = registry().descriptors("estimator")
    for bar in (bar for own in lists.values() for bar in own):
        assert bar.figure in FIGURES and bar.limit and bar.pairing in ("", *PAIRINGS), bar
        assert all(named_output(name) for name in bar.outputs) and set(bar.evaluators) <= set(known), bar
        assert bar.value in ("before", "after", "change") and bar.decides in ("value", "low", "high"), bar
