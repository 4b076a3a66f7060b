"""The dlib matcher gives dlib's own descriptors, and tells people apart."""

import pickle

import dlib
import numpy as np
import pytest
import torch
from facepriv_estimators import dlib_network
from facepriv_estimators.dlib_matcher import DlibMatcher

from facepriv.errors import WeightsError
from facepriv.faces import crop_faces, find_faces, models
from facepriv.testing import checks


@pytest.fixture(scope="module")
def dlib_model():
    return dlib.face_recognition_model_v1(str(models.model_file(models.DESCRIPTOR)))


@pytest.mark.parametrize("check", checks("dlib", "matcher"), ids=str)
def test_conforms(check):
    check()


def test_network_gives_the_descriptors_that_dlib_gives(dlib_model, portraits):
    network = dlib_network.load(models.model_file(models.DESCRIPTOR))
    for rgb in portraits:
        chip = np.ascontiguousarray(rgb[60:210, 150:300])
        ours = network(torch.from_numpy(chip.copy()).permute(2, 0, 1)[None].float())[0].numpy()
        assert ours == pytest.approx(np.array(dlib_model.compute_face_descriptor(chip)), abs=1e-5)


@pytest.mark.parametrize(("size", "distance"), [(112, 0.12), (128, 0.1), (224, 0.06)])
def test_our_crop_gives_nearly_the_descriptor_of_the_whole_photo(dlib_model, dlib_shape, portraits, size, distance):
    for rgb in portraits:
        face = find_faces(rgb)[0]
        ours = DlibMatcher().embed(crop_faces(rgb, [face], size))
        theirs = np.float32([dlib_model.compute_face_descriptor(rgb, dlib_shape(rgb, face))])
        assert np.linalg.norm(ours - theirs) < distance


def test_score_is_one_less_the_distance_and_tells_the_two_women_apart(portrait_crops):
    matcher = DlibMatcher()
    a, b = (matcher.embed(portrait_crops[n : n + 1]) for n in range(2))
    mirrored = matcher.embed(portrait_crops[:1, :, ::-1].copy())
    assert matcher.score(a, a) == pytest.approx(1)
    assert matcher.score(a, mirrored)[0] > matcher.threshold > matcher.score(a, b)[0]
    assert matcher.score(a, b)[0] == pytest.approx(1 - np.linalg.norm(a - b))
    assert np.isnan(matcher.score(a, np.full_like(a, np.nan))).all()


def test_descriptors_do_not_depend_on_the_batch_and_survive_pickling(portrait_crops):
    matcher = DlibMatcher()
    together = matcher.embed(portrait_crops)
    assert np.array_equal(together, np.concatenate([matcher.embed(portrait_crops[n : n + 1]) for n in range(2)]))
    assert np.array_equal(pickle.loads(pickle.dumps(matcher)).embed(portrait_crops), together)  # noqa: S301


def test_pairs_of_lfw_fall_on_their_side_of_the_threshold(lfw_scores):
    scores, same = lfw_scores(DlibMatcher(), 25)
    above = scores >= DlibMatcher.threshold
    assert same.sum() >= 22
    assert above[same].mean() >= 0.9
    assert above[~same].mean() <= 0.02


def test_loading_leaves_the_random_state_and_a_foreign_file_is_refused(tmp_path):
    before = torch.random.get_rng_state()
    dlib_network.load(models.model_file(models.DESCRIPTOR))
    assert torch.equal(before, torch.random.get_rng_state())
    broken = tmp_path / "model.dat"
    broken.write_bytes(models.model_file(models.DESCRIPTOR).read_bytes()[:1_000_000])
    for path in (broken, models.model_file(models.LANDMARKS_5)):
        with pytest.raises(WeightsError, match=f"{path.name}: not dlib's face descriptor network"):
            dlib_network.load(path)
