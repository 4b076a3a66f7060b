"""What judges see of outputs made in memory is what they see of files that `facepriv apply` wrote, and is kept."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from facepriv.contracts import AttributeEstimator, FaceMatcher, Perturber
from facepriv.errors import ImageError
from facepriv.evaluation import cache_keys
from facepriv.evaluation.judges import Judges
from facepriv.evaluation.outputs import ORIGINAL, OutputRun, plan
from facepriv.evaluation.predictions import predict_photos
from facepriv.faces import networks
from facepriv.files import load_arrays
from facepriv.hookspecs import Descriptor
from facepriv.protection.options import Options
from facepriv.protection.request import PrivacyRequest
from facepriv.protection.run import make_plan, run_plan
from facepriv.registry import Plugin, Registry
from facepriv.schema import ATTRIBUTES

KEY = b"a key of sixteen bytes or more"
REQUESTS = {
    "gender": PrivacyRequest(("gender",)),
    "old": PrivacyRequest((), {"age": "old"}, strength=0.5),
    "random": PrivacyRequest(("gender", "race"), policy="random"),
    "own": PrivacyRequest(()),
}


class Tint(Perturber):
    """Tints a face with the colour of its wanted classes, unevenly, so that the face stays one to a detector."""

    attributes = ("gender", "race", "age")
    crop_size = 64
    needs = frozenset({"labels"})
    stochastic = True

    def __init__(self, amount=0.2):
        self.amount = amount

    def _perturb(self, faces, source, target, strength, rngs):
        colour = np.stack([0.2 * (target[name] + 1) for name in self.attributes], axis=1)[:, None, None]
        grain = np.stack([rng.normal(1, 0.1, faces.images.shape[1:]) for rng in rngs])
        share = strength * self.amount * grain
        return np.clip((1 - share) * faces.images + share * colour, 0, 1).astype(np.float32)


class Redness(AttributeEstimator):
    """A judge for tests; counts its faces, and fails where the test requests it."""

    attribute = "gender"
    calls = 0
    fails_after = None

    def predict(self, images):
        """Return (N, 2)."""
        if self.fails_after is not None and type(self).calls >= self.fails_after:
            raise KeyboardInterrupt
        type(self).calls += len(images)
        red = images[..., 0].mean(axis=(1, 2))
        return np.stack([1 - red, red], axis=1).astype(np.float32)


class Colour(FaceMatcher):
    """A matcher for tests: a face is its mean colour."""

    def embed(self, images):
        """Return (N, 3)."""
        return images.mean(axis=(1, 2)).astype(np.float32)


@pytest.fixture
def known(tiny, monkeypatch):
    monkeypatch.setattr(Redness, "calls", 0)
    monkeypatch.setattr(Redness, "fails_after", None)
    more = [
        Descriptor("estimator", "redness", f"{__name__}:Redness", "a test's"),
        Descriptor("matcher", "colour", f"{__name__}:Colour", "a test's"),
        Descriptor("method", "tint", f"{__name__}:Tint", "a test's", attributes=Tint.attributes),
    ]
    more += [
        Descriptor("estimator", f"family-a-{name}", f"tiny_methods:Bright{name.title()}", "a test's")
        for name in ("gender", "race", "age")
    ]
    return Registry([*tiny.plugins, Plugin("test", "test", "0", tuple(more))])


@pytest.fixture
def output_run(known):
    return OutputRun(known, "tint", REQUESTS, Judges(known, ("redness",), ("colour",)), KEY)


@pytest.fixture
def portraits(tmp_path, small_faces):
    """Two JPEGs with a face, one without."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, pixels in (("a", small_faces[0]), ("b", small_faces[1]), ("c", np.full((110, 100, 3), 90, np.uint8))):
        Image.fromarray(pixels).save(folder / f"{name}.jpg", quality=90)
    return [folder / f"{name}.jpg" for name in "abc"]


def same(one, other):
    return set(one) == set(other) and all(np.array_equal(one[k], other[k], equal_nan=k != "seen") for k in one)


def test_an_output_is_seen_as_the_file_that_apply_writes(output_run, portraits, tmp_path):
    todo = plan(output_run, portraits, tmp_path / "kept")
    predictions = todo.run(workers=0)
    assert set(predictions) == {ORIGINAL, *REQUESTS} and todo.missing == 15
    assert predictions[ORIGINAL]["seen"].tolist() == [True, True, False]
    assert same(predictions[ORIGINAL], predict_photos(portraits, output_run.judges, workers=0))
    for name, request in REQUESTS.items():
        out = tmp_path / name
        options = Options(
            inputs=tuple(map(str, portraits)),
            out=str(out),
            methods=("tint",),
            request=request,
            key=KEY,
            workers=0,
            on_no_face="copy",
        )
        assert not run_plan(make_plan(options, output_run.registry)).errors
        written = [out / path.name for path in portraits]
        assert same(predictions[name], predict_photos(written, output_run.judges, workers=0)), name
    assert not same(predictions["gender"], predictions[ORIGINAL])
    assert not same(predictions["gender"], predictions["old"])


def test_what_was_seen_is_kept_and_only_the_missing_is_made(output_run, portraits, tmp_path):
    first = plan(output_run, portraits, tmp_path).run(workers=0)
    calls = Redness.calls
    again = plan(output_run, portraits, tmp_path)
    assert again.missing == 0
    predictions = again.run(workers=0)
    assert all(same(first[name], predictions[name]) for name in first)
    assert Redness.calls == calls
    more = replace(output_run, requests={**REQUESTS, "race": PrivacyRequest(("race",))})
    wider = plan(more, portraits, tmp_path)
    assert wider.missing == 3
    assert same(wider.run(workers=0)["gender"], first["gender"])


def test_an_interrupted_run_goes_on_where_it_was(output_run, portraits, tmp_path, monkeypatch):
    monkeypatch.setattr("facepriv.evaluation.outputs.CHUNK", 1)
    monkeypatch.setattr(Redness, "fails_after", 5)
    counts = []
    with pytest.raises(KeyboardInterrupt):
        plan(output_run, portraits, tmp_path).run(workers=0, progress=counts.append)
    assert counts == [5]
    monkeypatch.setattr(Redness, "fails_after", None)
    rest = plan(output_run, portraits, tmp_path)
    assert rest.missing == 10
    predictions = rest.run(workers=0)
    monkeypatch.setattr("facepriv.evaluation.outputs.CHUNK", 32)
    whole = plan(output_run, portraits, tmp_path / "elsewhere").run(workers=0)
    assert all(same(predictions[name], whole[name]) for name in whole)
    assert not [p for p in tmp_path.rglob(".*") if p.suffix == ".npz"]


def test_a_key_follows_all_that_decides_an_output_and_nothing_else(output_run):
    keys = output_run.keys()
    assert len(set(keys.values())) == 5
    stronger = replace(output_run, requests={**REQUESTS, "old": replace(REQUESTS["old"], strength=0.6)}).keys()
    assert {name for name in keys if keys[name] != stronger[name]} == {"old"}
    for other in (
        replace(output_run, key=KEY + b"!"),
        replace(output_run, method="noise"),
        replace(output_run, registry=output_run.registry.with_options("method", "tint", {"amount": 0.3})),
    ):
        changed = other.keys()
        assert changed[ORIGINAL] == keys[ORIGINAL] and changed["gender"] != keys["gender"]
    fewer = replace(output_run, judges=Judges(output_run.registry, ("redness",))).keys()
    assert not set(fewer.values()) & set(keys.values())
    names = ("redness", "bright-gender")
    one, other = (
        replace(output_run, judges=Judges(output_run.registry, order)).keys() for order in (names, names[::-1])
    )
    assert one == other


def test_a_file_that_a_setting_names_decides_by_its_content(output_run, monkeypatch, tmp_path):
    monkeypatch.setattr(Tint, "__init__", lambda self, amount=0.2, table=None: setattr(self, "amount", amount))
    file = tmp_path / "table.csv"
    found = []
    for text in ("one", "two", "one"):
        file.write_text(text)
        known = output_run.registry.with_options("method", "tint", {"table": str(file)})
        found.append(replace(output_run, registry=known).keys()["gender"])
    assert found[0] == found[2] != found[1]


def test_what_faces_are_found_with_decides(output_run, monkeypatch):
    keys, predictions_of = output_run.crop_keys(), output_run.keys()
    real = cache_keys._hash
    monkeypatch.setattr(cache_keys, "_hash", lambda path: path.name if path == networks.WEIGHTS else real(path))
    for before, after in ((keys, output_run.crop_keys()), (predictions_of, output_run.keys())):
        assert not set(before.values()) & set(after.values())


def test_weights_in_use_decide_and_not_where_they_lie(output_run, monkeypatch):
    keys = output_run.keys()
    monkeypatch.setattr(Tint, "info", lambda self: {"version": "7", "weights": "e" * 64, "seen": []})
    monkeypatch.setattr(Tint, "__init__", lambda self, weights=None: None)
    known = output_run.keys()
    assert known["gender"] != keys["gender"] and known[ORIGINAL] == keys[ORIGINAL]
    elsewhere = output_run.registry.with_options("method", "tint", {"weights": "/elsewhere/net.safetensors"})
    assert replace(output_run, registry=elsewhere).keys() == known


def test_the_number_format_that_a_method_multiplies_in_decides(output_run, monkeypatch):
    before = output_run.keys()
    monkeypatch.setattr(Tint, "info", lambda self: {"version": "", "weights": "", "seen": [], "dtype": "bfloat16"})
    after = output_run.keys()
    assert after[ORIGINAL] == before[ORIGINAL] and after["gender"] != before["gender"]


def test_processes_see_what_one_process_sees(tiny, portraits, tmp_path):
    judges = Judges(tiny, ("always-female", "bright-gender"))
    output_run = OutputRun(tiny, "noise", {"gender": REQUESTS["gender"]}, judges, KEY)
    here = plan(output_run, portraits, tmp_path / "here").run(workers=0)
    there = plan(output_run, portraits, tmp_path / "there").run(workers=1)
    assert all(same(here[name], there[name]) for name in here)


def test_a_photo_that_cannot_be_read_is_named(output_run, portraits, tmp_path):
    portraits[1].write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"b\.jpg"):
        plan(output_run, portraits, tmp_path).run(workers=0)


def test_a_method_that_does_nothing_changes_nothing_where_originals_are_encoded_too(output_run, portraits, tmp_path):
    still = replace(output_run, requests={"still": PrivacyRequest(("gender",), strength=0.0)})
    predictions = plan(replace(still, encode_originals=True), portraits, tmp_path).run(workers=0)
    assert same(predictions["still"], predictions[ORIGINAL])
    # A JPEG that is written again differs from its file: the option removes this difference from the comparison.
    files = plan(still, portraits, tmp_path).run(workers=0)
    assert same(files["still"], predictions["still"]) and not same(files[ORIGINAL], predictions[ORIGINAL])


def test_in_place_a_face_is_cut_where_the_photo_s_own_was(output_run, portraits, tmp_path, monkeypatch):
    detected = replace(output_run, requests={"gender": REQUESTS["gender"]})
    place = replace(detected, in_place=True)
    encoded = replace(place, encode_originals=True)
    assert place.keys()[ORIGINAL] == detected.keys()[ORIGINAL] and place.keys()["gender"] != detected.keys()["gender"]
    assert encoded.keys()[ORIGINAL] != replace(encoded, in_place=False).keys()[ORIGINAL]
    predictions = plan(place, portraits, tmp_path / "place").run(workers=0)
    # Where nothing is found in what was made, the photo's own faces are still judged.
    monkeypatch.setattr("facepriv.evaluation.outputs.find_faces", lambda rgb: [])
    blind = plan(place, portraits, tmp_path / "blind").run(workers=0)
    assert same(blind["gender"], predictions["gender"]) and blind["gender"]["seen"].tolist() == [True, True, False]
    lost = plan(detected, portraits, tmp_path / "detected").run(workers=0)
    assert not lost["gender"]["seen"].any()


def test_kept_faces_are_those_that_were_judged_and_spare_the_method(
    output_run, portraits, tmp_path, known, monkeypatch
):
    wanted = {"gender": REQUESTS["gender"]}
    bare = replace(output_run, requests=wanted)
    predictions = plan(bare, portraits, tmp_path / "bare").run(workers=0)
    todo = plan(replace(bare, keep_crops=True), portraits, tmp_path / "kept")
    assert todo.missing == 6
    todo.run(workers=0)
    for output in (ORIGINAL, "gender"):
        (faces,) = (load_arrays(todo.crops[output] / file) for file in todo.files)
        assert faces["seen"].tolist() == [True, True, False]
        gender = list(ATTRIBUTES).index("gender")
        assert faces["turned"][:, gender].tolist() == ([-1] * 3 if output == ORIGINAL else [1, 1, -1])
        found = faces["images"].astype(np.float32) / np.float32(255)
        assert np.array_equal(known.create("estimator", "redness").predict(found), predictions[output]["redness"][:2])
    monkeypatch.setattr(Tint, "_perturb", None)  # kept outputs are judged again, not made again
    other = replace(bare, judges=Judges(known, ("bright-gender",)), keep_crops=True)
    again = plan(other, portraits, tmp_path / "kept")
    assert again.missing == 6
    seen = again.run(workers=0)
    assert not np.isnan(seen["gender"]["bright-gender"][:2]).any()
