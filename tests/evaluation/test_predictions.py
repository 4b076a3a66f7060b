"""Each photo is looked at once by each judge, and what was said stays until the photo or the judge changes."""

import os

import numpy as np
import pytest
from PIL import Image

from facepriv.attacks.evidence import evidence
from facepriv.contracts import AttributeEstimator, FaceMatcher
from facepriv.errors import DataError, UsageError
from facepriv.evaluation import predictions as module
from facepriv.evaluation.judges import Judges, find_judges
from facepriv.evaluation.predictions import PredictionStore, predict, predict_photos, unprocessed


@pytest.fixture
def counted(monkeypatch):
    """Return a list that grows by every photo in which a face is searched."""
    seen = []
    crop = module.crop_subject
    monkeypatch.setattr(module, "crop_subject", lambda path, size: seen.append(path) or crop(path, size))
    return seen


def test_judges_see_faces_and_nan_stands_for_what_is_not_there(known, photos, tmp_path):
    root = photos(2)
    Image.new("RGB", (100, 110)).save(root / "black.png")
    paths = [root / "000.png", None, root / "black.png", root / "001.png", root / "000.png"]
    found = predict_photos(paths, Judges(known, ("light", "years"), ("tint",)), workers=0)
    assert found["seen"].tolist() == [True, False, False, True, True]
    assert found["light"].shape == (5, 2) and found["years"].shape == (5,) and found["tint"].shape == (5, 3)
    for name in ("light", "years", "tint"):
        assert np.isnan(found[name][1:3]).all() and not np.isnan(found[name][[0, 3, 4]]).any()
        assert np.array_equal(found[name][0], found[name][4])


def test_nothing_is_looked_at_twice_and_progress_ends_at_all(known, photos, tmp_path, counted, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    paths = sorted(photos(5).glob("*.png"))
    done = []
    first = predict_photos(paths[:3], Judges(known, ("light",)), PredictionStore(tmp_path / "c"), workers=0)
    assert len(counted) == 3
    again = predict_photos(
        paths, Judges(known, ("light",)), PredictionStore(tmp_path / "c"), workers=0, progress=done.append
    )
    assert len(counted) == 5 and sum(done) == 5
    assert np.array_equal(first["light"], again["light"][:3])
    predict_photos(paths, Judges(known, ("light",), ("tint",)), PredictionStore(tmp_path / "c"), workers=0)
    assert len(counted) == 10  # the new judge alone looked
    elsewhere = tmp_path / "elsewhere.png"
    elsewhere.write_bytes(paths[0].read_bytes())
    predict_photos([elsewhere], Judges(known, ("light",), ("tint",)), PredictionStore(tmp_path / "c"), workers=0)
    assert len(counted) == 10


@pytest.mark.skipif(os.name != "posix", reason="there are no mode bits here")
def test_descriptors_are_for_their_owner_alone(tmp_path):
    PredictionStore(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine").chmod(0o755)
    PredictionStore(tmp_path / "mine").put("judge", {"photo": np.zeros(3, np.float32)})
    assert (tmp_path / "mine/predictions.sqlite").stat().st_mode & 0o777 == 0o600


def test_what_was_seen_stays_when_a_later_photo_ends_the_run(known, photos, tmp_path, counted, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    paths = sorted(photos(4).glob("*.png"))

    def interrupt(path, size, whole=module.crop_subject):
        if path == paths[3]:
            raise KeyboardInterrupt
        return whole(path, size)

    monkeypatch.setattr(module, "crop_subject", interrupt)
    with pytest.raises(KeyboardInterrupt):
        predict_photos(paths, Judges(known, ("light",)), PredictionStore(tmp_path / "c"), workers=0)
    key = Judges(known, ("light",)).keys()["light"]
    kept = PredictionStore(tmp_path / "c").get(key, map(module.file_hash, paths))
    assert len(kept) == 2


def test_a_judges_key_is_its_code_and_settings_and_not_its_name(known, tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes(b"1")
    settings = tmp_path / "model.toml"
    settings.write_text("a = 1")

    def key(*settings):
        return find_judges(known, ["mine=light"], (), settings).keys()["mine"]

    light = Judges(known, ("light",))
    assert key() == light.keys()["light"] != key("mine.gain=2") != key("mine.gain=3")
    with_file = Judges(known.with_options("estimator", "light", {"model": str(model)}), ("light",))
    keys = [with_file.keys()["light"]]
    for file, text in ((settings, "a = 2"), (model, "2")):
        file.write_text(text)
        keys.append(with_file.keys()["light"])
    assert len(set(keys)) == 3


def test_workers_see_what_one_process_sees(known, photos):
    paths = sorted(photos(3).glob("*.png"))
    judges = Judges(known, ("light",), ("tint",))
    here, there = predict_photos(paths, judges, workers=0), predict_photos(paths, judges, workers=2)
    assert all(np.array_equal(here[name], there[name]) for name in here)


def test_photos_without_any_face_have_answers_of_the_right_width(known, tmp_path):
    Image.new("RGB", (100, 110)).save(tmp_path / "black.png")
    found = predict_photos([tmp_path / "black.png", None], Judges(known, ("light",), ("tint",)), workers=0)
    assert found["light"].shape == (2, 2) and found["tint"].shape == (2, 3) and not found["seen"].any()


def test_a_store_that_cannot_be_kept_is_named(tmp_path):
    (tmp_path / "predictions.sqlite").write_bytes(
        b"this is no database, but a text of sufficient length to be recognised"
    )
    with pytest.raises(DataError, match=r"predictions\.sqlite: cannot keep"):
        PredictionStore(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="name another folder"):
        PredictionStore(tmp_path / "file" / "below")


def test_a_missing_photo_and_an_unknown_judge_are_said(known, photos, tmp_path):
    with pytest.raises(DataError, match=r"gone\.png"):
        predict_photos([tmp_path / "gone.png"], Judges(known, ("light",)), workers=0)
    with pytest.raises(UsageError, match="unknown estimator 'lihgt'"):
        predict_photos([photos(1) / "000.png"], Judges(known, ("lihgt",)), workers=1)


FACES = np.zeros((3, 8, 8, 3), dtype=np.float32)


class Fixed(FaceMatcher):
    """Gives what it was built with."""

    def __init__(self, said):
        self.said = np.array(said, dtype=np.float32)

    def embed(self, images):
        """Return it."""
        return self.said


class FixedGuess(AttributeEstimator):
    """Gives what it was built with."""

    attribute, __init__, predict = "gender", Fixed.__init__, Fixed.embed


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_no_number_makes_the_whole_answer_none(bad):
    said = predict(Fixed([[1, 2], [bad, 3], [4, 5]]), FACES)
    assert np.array_equal(said, [[1, 2], [np.nan, np.nan], [4, 5]], equal_nan=True)
    said = predict(FixedGuess([[0.5, 0.5], [bad, 0], [1, 0]]), FACES)
    assert np.array_equal(said, [[0.5, 0.5], [np.nan, np.nan], [1, 0]], equal_nan=True)
    assert np.array_equal(predict(FixedGuess([30, bad, 40]), FACES), [30, np.nan, 40], equal_nan=True)


def test_answers_that_are_numbers_are_what_the_model_gave():
    model = Fixed([[1, 2], [0, 3], [4, 5]])
    assert predict(model, FACES) is model.said


def test_faces_that_a_model_could_not_take_are_counted_and_the_first_is_named():
    predictions = {
        "seen": np.array([True, False, True, True]),
        "good": np.array([[1.0], [np.nan], [1.0], [1.0]]),
        "bad": np.array([[1.0], [np.nan], [np.nan], [np.nan]]),
        "years": np.array([np.nan, np.nan, 3, 4]),
    }
    assert unprocessed(predictions, ["a", "b", "c", "d"], "originals") == {
        "bad": "gave NaN or infinity for 2 of 3 originals, first c",
        "years": "gave NaN or infinity for 1 of 3 originals, first a",
    }


def test_an_adversary_is_given_numbers_alone():
    said = evidence(FACES, {"guess": FixedGuess([[0.5, 0.5], [np.nan, 0], [np.inf, 0]])})
    assert said.shape == (3, 1) and np.array_equal(said[1:], np.zeros((2, 1)))
