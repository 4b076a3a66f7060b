"""Rows are the figures of the metrics, before and after; nothing done changes nothing; seen and weak do not count."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facepriv.datasets.record import Record
from facepriv.errors import DataError, UsageError
from facepriv.evaluation.measure import SEEN, Measure
from facepriv.evaluation.rows import UNSEEN_MEAN, to_csv
from facepriv.evaluation.truth import Truth
from facepriv.metrics import verification
from facepriv.metrics.attributes import binary_eer
from facepriv.metrics.matching import PROTECTED
from facepriv.metrics.privacy import privacy_identity_coefficient

PHOTOS = 240


@pytest.fixture(scope="module")
def judges(made_up_judges):
    return made_up_judges({"gender": "gender", "other-gender": "gender", "race": "race", "age": "age"}, "face")


@pytest.fixture(scope="module")
def truth():
    rng = np.random.default_rng(0)
    records = []
    for n in range(PHOTOS):
        labels = {"gender": ("male", "female")[n // 4 % 2], "race": ("white", "black", "asian")[n // 4 % 3]}
        years = float(rng.integers(5, 80))
        records.append(Record(Path(f"{n}.jpg"), f"{n}.jpg", f"p{n // 4}", "test", labels, years))
    return Truth.of(records)


def predictions(truth, seed, noise=1.3):
    rng = np.random.default_rng(seed)

    def guess(attribute, classes):
        p = noise * rng.random((PHOTOS, classes)) + np.eye(classes)[truth.classes[attribute]]
        return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)

    _, people = np.unique(truth.subjects, return_inverse=True)
    faces = np.random.default_rng(99).normal(size=(PHOTOS // 4, 12))[people] + rng.normal(0, 0.4, (PHOTOS, 12))
    return {
        "seen": np.ones(PHOTOS, bool),
        "gender": guess("gender", 2),
        "other-gender": guess("gender", 2),
        "race": guess("race", 4),
        "age": (truth.years + rng.normal(0, 5, PHOTOS)).astype(np.float32),
        "face": faces.astype(np.float32),
    }


@pytest.fixture(scope="module")
def before(truth):
    return predictions(truth, 1)


@pytest.fixture(scope="module")
def after(truth):
    found = predictions(truth, 2)
    found["gender"] = 1 - found["gender"]
    for values in found.values():
        values[::40] = False if values.dtype == bool else np.nan
    return found


@pytest.fixture(scope="module")
def measure(truth, before, judges):
    return Measure(truth, before, judges, fmr=0.01, replicates=60)


@pytest.fixture(scope="module")
def rows(measure, after):
    return measure.rows(after, age="old")


def only(rows, figure, evaluator="", group="", pairing=""):
    wanted = (figure, evaluator, group, pairing)
    (row,) = [r for r in rows if (r.figure, r.evaluator, r.group, r.pairing) == wanted]
    return row


def test_nothing_done_is_exactly_nothing_changed(measure, before):
    found = measure.rows({name: values.copy() for name, values in before.items()}, age="old")
    compared = [row for row in found if row.change is not None]
    assert len(compared) > 60
    for row in compared:
        # What has no interval has NaN for it.
        assert row.change.value == 0 and all(v == 0 or np.isnan(v) for v in (row.change.low, row.change.high)), row
        assert row.before == row.after or np.isnan(row.before.low)
    # What compares both sides by itself says so, too.
    for figure in ("gender_suppression", "race_suppression", "age_moved", "age_shift"):
        after = only(found, figure, figure.partition("_")[0]).after
        assert (after.value, after.high) == (0, 0)
    assert only(found, "gender_pic", "face", pairing=PROTECTED).after.value == 0


def test_attribute_rows_are_the_metrics_of_those_of_fifteen_and_over(rows, truth, before, after):
    adults = truth.years >= 15
    female = truth.classes["gender"] == 1
    row = only(rows, "gender_eer", "gender")
    for value, said in ((row.before, before), (row.after, after)):
        expected = 100 * binary_eer(said["gender"][adults, 1], female[adults])[0]
        assert value.value == pytest.approx(expected) and value.low <= value.value <= value.high
    assert row.change.value == pytest.approx(row.after.value - row.before.value)
    black = truth.classes["race"] == 1
    share = only(rows, "gender_eer", "gender", "race: black").after.value
    mask = adults & black
    assert share == pytest.approx(100 * binary_eer(after["gender"][mask, 1], female[mask])[0])
    both = ~np.isnan(after["age"]) & adults & female
    error = np.abs(after["age"] - truth.years)[both].mean()
    assert only(rows, "age_error", "age", "gender: female").after.value == pytest.approx(error)
    assert only(rows, "age_error", "age").unit == "years"


def test_lost_faces_are_errors_and_counted(rows, truth, after):
    found = only(rows, "found")
    assert found.before.value == 100 and found.after.value == pytest.approx(100 * after["seen"].mean())
    assert only(rows, "gender_accuracy", "other-gender").after.value < 100 * after["seen"].mean()
    # One more figure leaves them out.
    there = after["seen"] & (truth.years >= 15)
    right = after["gender"][there].argmax(axis=1) == truth.classes["gender"][there]
    row = only(rows, "gender_accuracy_found", "gender")
    assert row.after.value == pytest.approx(100 * right.mean())
    assert row.after.value > only(rows, "gender_accuracy", "gender").after.value
    assert row.before.value == only(rows, "gender_accuracy", "gender").before.value


def test_the_mean_is_over_those_that_count(measure, after, rows):
    one, other = (only(rows, "gender_eer", name) for name in ("gender", "other-gender"))
    assert one.counts and other.counts
    mean = only(rows, "gender_eer", UNSEEN_MEAN)
    for side in ("before", "after", "change"):
        assert getattr(mean, side).value == pytest.approx((getattr(one, side).value + getattr(other, side).value) / 2)
    with_seen = measure.rows(after, seen={"gender"})
    assert only(with_seen, "gender_eer", UNSEEN_MEAN).after.value == pytest.approx(other.after.value)
    marked = only(with_seen, "gender_eer", "gender")
    assert not marked.counts and marked.note == SEEN and marked.after == one.after
    none_left = measure.rows(after, seen={"gender", "other-gender"})
    assert not [r for r in none_left if r.figure == "gender_eer" and r.evaluator == UNSEEN_MEAN]


def test_who_errs_on_the_originals_is_shown_and_does_not_count(truth, before, after, judges):
    poor = {**before, "gender": predictions(truth, 5, noise=9.0)["gender"]}
    found = Measure(truth, poor, judges, fmr=0.01, replicates=30).rows(after)
    row = only(found, "gender_eer", "gender")
    assert row.before.value > 8 and not row.counts and "too weak on the originals: gender EER" in row.note
    assert only(found, "gender_eer", UNSEEN_MEAN).after == only(found, "gender_eer", "other-gender").after


@pytest.mark.parametrize(("noise", "counts"), [(0.3, True), (0.5, False), (3.0, False)])
def test_a_matcher_counts_where_all_of_the_interval_of_its_tmr_is_good_on_the_originals(
    truth, before, after, judges, noise, counts
):
    people = np.unique(truth.subjects, return_inverse=True)[1]
    rng = np.random.default_rng(7)
    faces = rng.normal(size=(PHOTOS // 4, 12))[people] + rng.normal(0, noise, (PHOTOS, 12))
    found = Measure(truth, {**before, "face": faces.astype(np.float32)}, judges, fmr=0.01, replicates=200).rows(after)
    tmr = only(found, "tmr", "face", pairing=PROTECTED)
    assert tmr.counts is counts is (tmr.before.low >= 80)
    if noise == 0.5:
        assert tmr.before.value > 80  # good, but by how many people that is known is not enough
    assert tmr.note.startswith("" if counts else "too weak on the originals: TMR at FMR 1 % is ")
    assert {row.counts for row in found if row.evaluator == "face"} == {counts}


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_a_matcher_that_says_the_same_of_every_face_does_not_count(truth, before, after, judges, value):
    same = np.full((PHOTOS, 12), value, dtype=np.float32)
    found = Measure(truth, {**before, "face": same}, judges, replicates=30).rows({**after, "face": same})
    assert {row.counts for row in found if row.evaluator == "face"} == {False}


def test_a_good_matcher_counts_on_a_set_that_is_too_small_for_the_main_rate(truth, before, after, judges):
    few = slice(0, 20)
    labels = {name: values[few] for name, values in truth.classes.items()}
    small = replace(truth, subjects=truth.subjects[few], classes=labels, years=truth.years[few])
    sides = [{name: values[few] for name, values in side.items()} for side in (before, after)]
    found = Measure(small, sides[0], judges, replicates=30).rows(sides[1])
    rank = only(found, "rank1", "face", pairing=PROTECTED)
    assert "too few for an FMR" in only(found, "tmr", "face", pairing=PROTECTED).note and rank.counts


def test_a_rate_that_is_refused_says_what_to_try(truth, before, after, judges):
    found = Measure(truth, before, judges, fmr=0.001, replicates=10).rows(after)
    note = only(found, "tmr", "face", pairing=PROTECTED).note
    assert note == (
        "28,320 impostor comparisons are too few for an FMR of 0.1 %, which needs at least 30,000 (30 false matches); "
        "add photos, or try --fmr 0.01"
    )


def comparisons(truth, first, second):
    units = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (first, second)]
    scores = units[0] @ units[1].T
    i, j = np.triu_indices(PHOTOS, 1)
    same = truth.subjects[i] == truth.subjects[j]
    return scores[i, j][same], scores[i, j][~same]


def test_matcher_rows_are_the_metrics_of_all_comparisons(rows, truth, before, after):
    _, impostor = comparisons(truth, before["face"], before["face"])
    limit = verification.threshold_at_fmr(impostor, 0.01)
    for pairing, (first, second) in {PROTECTED: (after, after), "(X1, X2')": (before, after)}.items():
        own = comparisons(truth, first["face"], second["face"])
        expected = verification.tmr_at_fmr(*own, 0.01)
        fixed = verification.rates_at(*own, limit)
        assert only(rows, "tmr", "face", pairing=pairing).after.value == pytest.approx(100 * expected.tmr)
        assert only(rows, "tmr_fixed", "face", pairing=pairing).after.value == pytest.approx(100 * fixed.tmr, abs=0.3)
        assert only(rows, "fmr_fixed", "face", pairing=pairing).after.value == pytest.approx(100 * fixed.fmr, abs=0.01)
        kept = only(rows, "tmr_kept", "face", pairing=pairing), only(rows, "tmr_fixed_kept", "face", pairing=pairing)
        base = verification.tmr_at_fmr(*comparisons(truth, before["face"], before["face"]), 0.01).tmr
        assert kept[0].after.value == pytest.approx(100 * expected.tmr / base)
        assert kept[1].after.value == pytest.approx(100 * fixed.tmr / base, abs=0.3)
        assert kept[0].after.low <= kept[0].after.value <= kept[0].after.high
        assert kept[0].before is None and kept[0].change is None
        assert only(rows, "eer", "face", pairing=pairing).after.value == pytest.approx(100 * verification.eer(*own))
        assert only(rows, "auc", "face", pairing=pairing).after.value == pytest.approx(100 * verification.auc(*own))
        d_prime = only(rows, "d_prime", "face", pairing=pairing).after.value
        assert d_prime == pytest.approx(verification.d_prime(*own), rel=1e-4)
    refused = only(rows, "tmr@0.01%", "face", pairing=PROTECTED)
    assert refused.after is None and "too few for an FMR of 0.01 %" in refused.note


def test_a_groups_rates_are_those_of_its_people_at_everybodys_threshold(rows, truth, after):
    _, impostor = comparisons(truth, after["face"], after["face"])
    limit = verification.threshold_at_fmr(impostor, 0.01)
    women = truth.classes["gender"] == 1
    group = replace(truth, subjects=truth.subjects[women])
    units = after["face"][women] / np.linalg.norm(after["face"][women], axis=1, keepdims=True)
    i, j = np.triu_indices(women.sum(), 1)
    same = group.subjects[i] == group.subjects[j]
    scores = (units @ units.T)[i, j]
    row = only(rows, "tmr", "face", "gender: female", PROTECTED)
    assert row.after.value == pytest.approx(100 * (scores[same] >= limit).mean())
    assert row.before.value <= 100 and row.change.low <= row.change.value <= row.change.high


def test_pic_weighs_the_mean_attribute_error_against_the_matchers_eer(rows):
    row = only(rows, "gender_pic", "face", pairing=PROTECTED)
    balanced = [only(rows, "gender_balanced", name) for name in ("gender", "other-gender")]
    errors = [1 - np.mean([getattr(r, side).value for r in balanced]) / 100 for side in ("before", "after")]
    eer = only(rows, "eer", "face", pairing=PROTECTED)
    expected = privacy_identity_coefficient(*errors, eer.before.value, eer.after.value)
    assert row.after.value == pytest.approx(float(expected)) and row.before is None


def test_curves_hold_the_rates_of_the_rows(measure, after, rows):
    curves = measure.curves(after)
    at = int(np.argmin(abs(curves.fmr - 0.01)))
    assert curves.fmr[at] == pytest.approx(0.01)
    for pairing in (PROTECTED, "(X1', X2)"):
        tmr = only(rows, "tmr", "face", pairing=pairing).after.value
        assert 100 * curves.roc["face"][pairing][at] == pytest.approx(tmr)
        assert 100 * curves.cmc["face"][pairing][0] == only(rows, "rank1", "face", pairing=pairing).after.value
    assert np.isnan(curves.roc["face"][PROTECTED][0]) and curves.roc["face"][PROTECTED][-1] <= 1


def test_what_cannot_be_measured_is_left_out_with_the_reason(truth, before, after, judges):
    nameless = replace(truth, named=False, years=np.full(PHOTOS, np.nan))
    measure = Measure(nameless, before, judges, replicates=20)
    assert "not all photos name people" in measure.left_out["face"] and "no age label" in measure.left_out["age"]
    found = measure.rows(after)
    kept = {"age_changed", "age_moved", "own_match", "own_score", "other_match", "other_score"}
    assert {row.figure for row in found if row.evaluator in ("face", "age")} == kept
    with pytest.raises(DataError, match="two people"):
        Measure(replace(truth, subjects=np.full(PHOTOS, "one")), before, judges)
    with pytest.raises(UsageError, match="did not look at the 240 photos"):
        measure.rows({name: values[1:] for name, values in after.items()})


def test_too_few_of_a_class_are_refused_and_not_guessed(truth, before, after, judges):
    one_black = np.where(truth.classes["race"] == 1, 0, truth.classes["race"])
    one_black[:4] = 1
    sparse = replace(truth, classes={**truth.classes, "race": one_black})
    found = Measure(sparse, before, judges, fmr=0.01, replicates=30).rows(after)
    row = only(found, "race_pair_eer", "race")
    assert row.after is None and "too few subjects" in row.note and not row.counts


def test_csv_has_a_line_a_row_and_empty_cells_where_there_is_no_number(rows):
    lines = to_csv(rows, method="blur").splitlines()
    assert len(lines) == len(rows) + 1
    head = lines[0].split(",")
    assert head[:3] == ["method", "figure", "evaluator"] and head[-2:] == ["counts", "note"]
    row = next(line for line in lines if line.startswith("blur,auc,face"))
    cells = dict(zip(head, row.replace("\"(X1', X2')\"", "X").split(","), strict=True))
    assert float(cells["after"]) > 50 and cells["after_low"] == "" and cells["counts"] == "yes"
