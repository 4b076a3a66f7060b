"""A comparison: nothing done is exactly nothing, what is done is done once, and what cannot be done is said."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from facepriv.attacks.run import attack
from facepriv.contracts import AttributeEstimator, FaceMatcher, Perturber
from facepriv.datasets.record import Record
from facepriv.errors import UsageError
from facepriv.evaluation.compare import compare, runs_of
from facepriv.evaluation.judges import find_judges, fitting
from facepriv.evaluation.rows import ATTACK, CHANGED, DETECTION
from facepriv.evaluation.setup import OWN, RANDOM, ComparisonSetup, make_setup, named_output, paper_outputs
from facepriv.evaluation.truth import Truth
from facepriv.hookspecs import Descriptor
from facepriv.registry import Plugin, Registry
from facepriv.report.examples import make_examples

PEOPLE = 14


class Nothing(Perturber):
    """Does nothing, and counts."""

    attributes = ("gender", "race", "age")
    calls = 0

    def _perturb(self, faces, source, target, strength, rngs):
        type(self).calls += len(faces)
        return faces.images.copy()


class Dim(Nothing):
    """Darkens a face, and stops where the test requests it."""

    attributes = ("gender",)
    stops_after = None

    def info(self):
        """Say that the judge of redness was seen."""
        return {"version": "1", "weights": "", "seen": ["redness"]}

    def _perturb(self, faces, source, target, strength, rngs):
        if self.stops_after is not None and type(self).calls >= self.stops_after:
            raise KeyboardInterrupt
        return np.float32(0.9) * super()._perturb(faces, source, target, strength, rngs)


class Redness(AttributeEstimator):
    """Red or not; counts the faces that it looks at."""

    attribute = "gender"
    trained_on = "nothing"
    calls = 0

    def predict(self, images):
        """Return (N, 2)."""
        type(self).calls += len(images)
        red = images[..., 0].mean(axis=(1, 2)) - images[..., 2].mean(axis=(1, 2))
        p = 1 / (1 + np.exp(-20 * red))
        return np.stack([1 - p, p], axis=1).astype(np.float32)


class Greenness(Redness):
    """Another view of the same."""

    def predict(self, images):
        """Return (N, 2)."""
        return super().predict(images[..., [0, 2, 1]])


class Patches(FaceMatcher):
    """A face is its colours in sixteen places."""

    def embed(self, images):
        """Return (N, 48)."""
        side = images.shape[1] // 4 * 4
        cells = images[:, :side, :side].reshape(len(images), 4, side // 4, 4, side // 4, 3).mean(axis=(2, 4))
        return cells.reshape(len(images), 48).astype(np.float32)


class Failing(FaceMatcher):
    """Gives one value for every face."""

    def __init__(self, value=1.0):
        self.value = value

    def embed(self, images):
        """Return (N, 4)."""
        return np.full((len(images), 4), self.value, np.float32)


@pytest.fixture
def known(tiny, monkeypatch):
    for counted in (Nothing, Dim, Redness, Greenness):
        monkeypatch.setattr(counted, "calls", 0)
    monkeypatch.setattr(Dim, "stops_after", None)
    own = [
        Descriptor(kind, name, target if ":" in target else f"{__name__}:{target}", "a test's", options=options)
        for kind, name, target, options in (
            ("method", "nothing", "Nothing", {}),
            ("method", "dim", "Dim", {}),
            ("estimator", "redness", "Redness", {}),
            ("estimator", "greenness", "Greenness", {}),
            ("matcher", "patches", "Patches", {}),
            ("matcher", "constant", "Failing", {}),
            ("matcher", "infinite", "Failing", {"value": float("inf")}),
            ("attack", "retrained", "facepriv.attacks.retrained:Retrained", {"epochs": 0}),
            ("attack", "restoration", "facepriv.attacks.restoration:Restoration", {}),
            ("attack", "detector", "facepriv.attacks.detector:Detector", {}),
            ("attack", "inversion", "facepriv.attacks.inversion:Inversion", {}),
            ("attack", "probe", "facepriv.attacks.embedding:Probe", {}),
            ("attack", "change", "facepriv.attacks.change:Change", {}),
            *(("estimator", f"family-a-{n}", f"tiny_methods:Bright{n.title()}", {}) for n in ("gender", "race", "age")),
        )
    ]
    return Registry([*tiny.plugins, Plugin("test", "test", "0", tuple(own))])


@pytest.fixture
def photos(tmp_path, small_faces):
    """Two photos each of some people, red ones and blue ones, each in its own light; the last shows no face."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    records = []
    for n in range(2 * PEOPLE):
        person, gender = n // 2, ("male", "female")[n // 2 % 2]
        tint = np.array([1.0, 0.85, 0.6] if gender == "female" else [0.7, 0.85, 1.0]) * rng.uniform(0.75, 1.0)
        pixels = small_faces[person % 2] * tint + rng.normal(0, 2, 3)
        pixels = np.full_like(pixels, 90) if n == 2 * PEOPLE - 1 else pixels
        path = folder / f"{n:02d}.jpg"
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=92)
        records.append(Record(path, path.name, f"p{person}", "test", {"gender": gender}))
    return records


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A work folder that tests share which only read what comes out: the photos are the same in all of them."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture
def setup(known, photos, shared, astronaut_file):
    judges, left_out = fitting(find_judges(known, ["redness", "greenness"], ["patches"]), Truth.of(photos))
    return ComparisonSetup(
        photos=photos,
        name="made up",
        methods=("nothing", "dim", "grey"),
        judges=judges,
        place=shared,
        requests={"gender": named_output("gender")},
        workers=0,
        replicates=20,
        fmr=0.2,
        left_out=left_out,
    )


def numbers(done):
    return json.dumps(done.plain(), sort_keys=True)


def test_doing_nothing_changes_no_row_and_a_second_run_does_nothing_at_all(setup, tmp_path):
    setup = replace(setup, place=tmp_path / "own")
    first = compare(setup).comparison
    (nothing,) = first.of("nothing")
    changed = [row for row in nothing.rows if row.change is not None]
    figures = {row.figure for row in changed}
    assert figures >= {"gender_eer", "gender_accuracy", "found", "tmr", "tmr_fixed", "fmr_fixed", "eer"}
    for row in changed:
        # An AUC and a d' have no interval.
        bounds = {row.change.low, row.change.high} if np.isfinite(row.change.low) else set()
        assert {row.change.value} | bounds == {0.0} and repr(row.before) == repr(row.after), row
    for matcher, pairings in nothing.curves.roc.items():
        for pairing, tmr in pairings.items():
            assert np.array_equal(tmr, first.original.roc[matcher][pairing], equal_nan=True)
    (dim,) = first.of("dim")
    assert any(row.change.value != 0 for row in dim.rows if row.change)
    counts = Nothing.calls, Dim.calls, Redness.calls
    assert numbers(compare(setup).comparison) == numbers(first) and counts == (Nothing.calls, Dim.calls, Redness.calls)


def test_a_method_that_cannot_hide_it_is_left_out_by_name(setup):
    done = compare(setup).comparison
    assert [m["name"] for m in done.methods] == ["nothing", "dim"]
    assert {"what": "grey", "why": "cannot hide this: it changes race"} in done.skipped
    with pytest.raises(UsageError, match=r"no method can make any of the outputs .*it changes race"):
        compare(replace(setup, methods=("grey",)))
    with pytest.raises(UsageError, match="unknown method 'dimm'"):
        runs_of(replace(setup, methods=("dimm",)))


def test_of_several_outputs_a_method_makes_those_that_it_can(setup):
    output_runs, skipped = runs_of(replace(setup, requests=paper_outputs()))
    assert len(output_runs["nothing"].requests) == 15 and list(output_runs["dim"].requests) == ["gender"]
    assert list(output_runs["grey"].requests) == ["race"]
    drawn, _ = runs_of(replace(setup, requests={name: named_output(name) for name in ("gender", "race", RANDOM, OWN)}))
    assert list(drawn["dim"].requests) == ["gender", RANDOM, OWN]
    assert skipped["dim: race"] == "changes gender only" and len([s for s in skipped if s.startswith("dim: ")]) == 14


def test_a_judge_that_was_seen_speaks_for_nobody(setup):
    done = compare(setup).comparison
    by_method = {m["name"]: m["seen"] for m in done.methods}
    assert by_method == {"nothing": [], "dim": ["redness"]}
    (dim,) = done.of("dim")
    by_name = {row.evaluator: row for row in dim.pick("gender_eer")}
    assert not by_name["redness"].counts and by_name["redness"].note.startswith("seen") and by_name["greenness"].counts
    assert dim.lead("gender_eer").after == by_name["greenness"].after


@pytest.mark.parametrize("attacks", [(), ("retrained",)])
def test_a_matcher_that_does_not_work_is_named_and_counts_for_nothing(setup, known, photos, tmp_path, attacks):
    judges, _ = fitting(find_judges(known, ["greenness"], ["patches", "constant", "infinite"]), Truth.of(photos))
    run = compare(replace(setup, judges=judges, place=tmp_path / "own", methods=("dim",), attacks=attacks))
    done = attack(run) if attacks else run.comparison
    (dim,) = done.of("dim")
    for figure in ("tmr", "eer", "rank1", "gender_pic"):
        by_name = {row.evaluator: row for row in dim.rows if row.figure == figure}
        assert {name for name, row in by_name.items() if row.counts} <= {"patches"}
        assert by_name["constant"].note.startswith("too weak on the originals: TMR at FMR 1 % is 0.0 %")
        assert by_name["infinite"].note.startswith("too weak on the originals")
    said = {item["what"]: item["why"] for item in done.skipped}
    assert said["infinite"] == "gave NaN or infinity for 27 of 27 originals, first 00.jpg"
    assert said["dim, gender: infinite"] == "gave NaN or infinity for 27 of 27 protected photos, first 00.jpg"
    assert not any("constant" in what or "patches" in what for what in said)
    answers = [row for row in dim.adversaries if row.evaluator == "attack: retrained"]
    assert len(answers) == len(attacks) and all(np.isfinite(row.after.value) for row in answers)


def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(setup, monkeypatch, tmp_path):
    monkeypatch.setattr("facepriv.evaluation.outputs.CHUNK", 8)
    whole = compare(replace(setup, place=tmp_path / "other")).comparison
    made = Dim.calls
    monkeypatch.setattr(Dim, "calls", 0)
    monkeypatch.setattr(Dim, "stops_after", 10)
    setup = replace(setup, place=tmp_path / "own")
    with pytest.raises(KeyboardInterrupt):
        compare(setup)
    monkeypatch.setattr(Dim, "stops_after", None)
    assert Dim.calls == 10
    assert numbers(compare(setup).comparison) == numbers(whole)
    # Of the 27 faces the eight that were judged before stay done; the example is one more.
    assert Dim.calls == 10 + (made - 8)


def test_new_attacks_find_what_was_judged_and_nothing_done_is_a_guess_to_a_detector(setup, tmp_path):
    attacked = replace(setup, attacks=("restoration", "detector"), place=tmp_path / "own")
    done = attack(compare(attacked))
    (nothing,) = done.of("nothing")
    rows = {row.evaluator: row for row in nothing.adversaries}
    assert rows["attack: detector"].figure == DETECTION and rows["attack: detector"].after.value == 50.0
    best = min(row.after.value for row in nothing.pick("gender_eer"))
    assert rows["attack: restoration"].figure == ATTACK and abs(rows["attack: restoration"].after.value - best) <= 5
    counts = Dim.calls, Redness.calls
    assert numbers(attack(compare(attacked))) == numbers(done) and counts == (Dim.calls, Redness.calls)
    # The figures are those that a comparison without attacks gives, and the faces are kept for one with more.
    plain = compare(setup).comparison
    # As text: a missing interval is NaN, which is not equal to itself.
    assert [repr(o.rows) for o in plain.outputs] == [repr(o.rows) for o in done.outputs]


def test_the_floor_is_that_of_the_originals_and_changes_are_looked_for_where_classes_are_drawn(
    setup, tmp_path, monkeypatch
):
    monkeypatch.setattr(Nothing, "needs", frozenset({"labels"}))
    requests = {"gender": setup.requests["gender"], "random": named_output("random", seed=2)}
    attacked = replace(
        setup, methods=("nothing",), attacks=("probe", "change"), requests=requests, place=tmp_path / "own"
    )
    done = attack(compare(attacked))
    rows = {output.name: {row.evaluator: row for row in output.adversaries} for output in done.of("nothing")}
    for own in rows.values():
        probe = own["attack: probe, patches, linear"]
        # Where nothing was done, an embedding tells what it tells by itself.
        assert probe.before == probe.after and probe.change.value == 0
    assert "attack: change" not in rows["gender"]
    change = rows["random"]["attack: change"]
    assert change.figure == CHANGED and change.after and change.before is None, change.note
    counts = Dim.calls, Redness.calls
    assert numbers(attack(compare(attacked))) == numbers(done) and counts == (Dim.calls, Redness.calls)


def test_an_example_shows_the_face_before_and_after(setup, astronaut_file, tmp_path):
    output_runs, _ = runs_of(setup)
    (example,) = make_examples(output_runs, [("an astronaut", astronaut_file)], tmp_path)
    before, after = example.original, example.outputs["dim", "gender"]
    assert example.caption == "an astronaut" and before.shape == after.shape == (176, 176, 3)
    assert np.array_equal(example.outputs["nothing", "gender"], before) and after.mean() < before.mean()


def test_what_the_photos_cannot_measure_is_not_asked(known, photos, tmp_path):
    judges = find_judges(known, ["redness", "family-a-race"], ["patches"])
    kept, left_out = fitting(judges, Truth.of(photos))
    assert kept.estimators == ("redness",) and left_out == {"family-a-race": "the photos have no race label"}
    nobody = [replace(record, subject="") for record in photos]
    kept, left_out = fitting(judges, Truth.of(nobody))
    assert kept.matchers == () and "not all photos name people" in left_out["patches"]
    with pytest.raises(UsageError, match=r"no evaluator can judge these photos .*no race label"):
        make_setup(nobody, tmp_path, estimators=["family-a-race"], matchers=["patches"], known=known)


def test_a_method_less_itself_is_nothing_and_less_another_the_paired_difference(setup):
    done = compare(replace(setup, against="nothing")).comparison
    assert [o.method for o in done.differences] == ["dim less nothing"]
    (nothing,), (dim,) = done.of("nothing"), done.of("dim")
    (difference,) = done.differences
    base = {row.key: row for row in nothing.rows}
    counted = 0
    for row, own in zip(difference.rows, dim.rows, strict=True):
        assert row.key == own.key
        if row.change:
            counted += 1
            assert row.before == base[row.key].after and row.after == own.after
            assert row.change.value == pytest.approx(own.after.value - base[row.key].after.value, abs=1e-9)
    assert counted > 10
    # "nothing" leaves the originals as they are, so that a difference to it is the change, and so is the interval.
    changes = {row.key: row.change for row in dim.rows if row.change and np.isfinite(row.change.low)}
    for row in difference.rows:
        if row.change and row.key in changes:
            assert row.change.low == pytest.approx(changes[row.key].low, abs=1e-9), row.key
    itself = nothing.less(nothing)
    assert {row.change.value for row in itself.rows if row.change} == {0.0}
    assert json.loads(json.dumps(done.plain()))["differences"][0]["method"] == "dim less nothing"


def test_two_names_of_one_setting_share_their_figures(setup):
    known = setup.registry.with_alias("method", "again", "dim")
    judges = replace(setup.judges, registry=known)
    done = compare(replace(setup, methods=("dim", "again"), judges=judges)).comparison
    (dim,), (again,) = done.of("dim"), done.of("again")
    assert [repr(row) for row in dim.rows] == [repr(row) for row in again.rows]


def test_a_method_may_have_a_strength_of_its_own(setup):
    judges = replace(setup.judges, registry=setup.registry.with_alias("method", "weak", "dim"))
    asked = replace(setup, methods=("dim", "weak"), judges=judges, strengths={"weak": 0.0})
    assert {name: run.requests["gender"].strength for name, run in runs_of(asked)[0].items()} == {
        "dim": 1.0,
        "weak": 0.0,
    }
    done = compare(asked).comparison
    dim, weak = ({row.change.value for row in done.of(name)[0].rows if row.change} for name in ("dim", "weak"))
    assert weak == {0.0} and dim != weak
    assert [method["settings"].get("strength") for method in done.methods] == [None, "0"]


def test_true_labels_reach_the_method(setup, monkeypatch, tmp_path):
    given = []

    def perturb(self, faces, source, target, strength, rngs):
        given.extend(source["gender"].tolist())
        return faces.images.copy()

    monkeypatch.setattr(Nothing, "_perturb", perturb)
    monkeypatch.setattr(Nothing, "needs", frozenset({"labels"}))
    compare(replace(setup, methods=("nothing",), place=tmp_path / "estimated"))
    estimated, truth = list(given), Truth.of(setup.photos).classes["gender"][: len(given)]
    given.clear()
    compare(replace(setup, methods=("nothing",), place=tmp_path / "true", true_labels=True))
    assert given == truth[: len(given)].tolist() and given != estimated


def test_an_adversary_estimates_the_labels_that_the_method_needs(setup, tmp_path, monkeypatch):
    monkeypatch.setattr(Dim, "needs", frozenset({"labels"}))
    attacked = replace(setup, methods=("dim",), attacks=("inversion",), place=tmp_path / "own")
    (output,) = attack(compare(attacked)).of("dim")
    assert any(row.evaluator == "attack: inversion" and row.after for row in output.adversaries)
