"""Privacy gain, image quality and identification, by hand and on real photos."""

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from facepriv.errors import ContractError, DataError
from facepriv.metrics import quality
from facepriv.metrics.identification import cmc, ranks
from facepriv.metrics.privacy import privacy_identity_coefficient, suppression_rate
from facepriv.metrics.quality import psnr, ssim


def test_suppression_is_the_share_of_accuracy_lost():
    assert suppression_rate([0.9, 0.9, 0.8], [0.45, 0.9, 0.0]).tolist() == pytest.approx([0.5, 0, 1])
    assert np.isnan(suppression_rate([0.0], [0.0])[0])


def test_privacy_gain_less_identity_loss_by_hand():
    # The attribute error goes from 5 to 30 %, that of matching from 2 to 3 %.
    assert privacy_identity_coefficient([0.05], [0.30], [0.02], [0.03])[0] == pytest.approx(5 - 0.5)
    assert privacy_identity_coefficient([0.05], [0.05], [0.02], [0.02])[0] == 0
    assert np.isnan(privacy_identity_coefficient([0.05], [0.3], [0.0], [0.1])[0])


def test_equal_photos_are_alike_and_blurred_ones_less(astronaut_file):
    photo = np.asarray(Image.open(astronaut_file).convert("RGB"))
    assert ssim(photo, photo) == 1 and psnr(photo, photo) == np.inf
    little, much = ((photo.astype(int) + shift).clip(0, 255).astype(np.uint8) for shift in (2, 40))
    assert 1 > ssim(photo, little) > ssim(photo, much)
    assert psnr(photo, little) > 40 > psnr(photo, much)
    grey, deep = photo[:, :, 0], photo.astype(np.uint16) * 257
    assert 0 < ssim(grey, little[:, :, 0]) < 1
    assert psnr(deep, little.astype(np.uint16) * 257) == pytest.approx(psnr(photo, little))


@pytest.mark.parametrize("kind", ["face alone", "whole photo", "grey", "16 bits", "7 pixels"])
def test_image_quality_is_that_of_scikit_image(astronaut_file, kind, monkeypatch):
    photo = np.asarray(Image.open(astronaut_file).convert("RGB"))
    noise = np.random.default_rng(0).integers(-9, 10, photo.shape)
    if kind == "face alone":  # what is left of a lossless file: most strips are equal
        noise[:40] = noise[200:] = noise[:, :60] = 0
    changed = (photo + noise).clip(0, 255).astype(np.uint8)
    if kind == "grey":
        photo, changed = photo[..., 1], changed[..., 1]
    if kind == "16 bits":
        photo, changed = photo.astype(np.uint16) * 257, changed.astype(np.uint16) * 257
    if kind == "7 pixels":
        photo, changed = photo[90:97, 90:140], changed[90:97, 90:140]
    top, channel = np.iinfo(photo.dtype).max, None if kind == "grey" else -1
    expected = structural_similarity(photo, changed, win_size=7, data_range=top, channel_axis=channel)
    assert ssim(photo, changed) == pytest.approx(expected, abs=1e-9) and 0 < expected < 1
    expected = peak_signal_noise_ratio(photo, changed, data_range=top)
    assert psnr(photo, changed) == pytest.approx(expected, abs=1e-6)
    # The strips' height changes nothing.
    whole = ssim(photo, changed)
    monkeypatch.setattr(quality, "_STRIP", 1)
    assert ssim(photo, changed) == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros((9, 9), np.uint32), np.zeros((9, 9), np.uint32)),
        (np.zeros((9, 9), np.uint8), np.zeros((9, 8), np.uint8)),
        (np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint16)),
        (np.zeros((6, 9), np.uint8), np.zeros((6, 9), np.uint8)),
        (np.zeros((9, 9)), np.zeros((9, 9))),
    ],
)
def test_photos_that_cannot_be_compared_are_refused(one, other):
    for metric in (ssim, psnr):
        with pytest.raises(ContractError, match="expected two alike"):
            metric(one, other)


def closeness(a, b):
    return -np.abs(a[:, :1] - b[:, 0])


def test_ranks_count_everybody_who_scores_as_high():
    #                      Ann        Bob        Eve (one photo)  Kim (failed, and a photo)
    photos = np.array([[0.0], [1.0], [4.0], [5.5], [2.5], [np.nan], [9.0]], np.float32)
    people = np.array([0, 0, 1, 1, 2, 3, 3])
    found = ranks(photos, photos, people, closeness)
    # Ann's second photo is as near to Eve as Bob's first is; Bob's photos are 1.5 apart, as Bob's first is from Eve.
    assert found.tolist() == pytest.approx([1, 1, 2, 1, np.nan, np.inf, np.inf], nan_ok=True)
    curve = cmc(found, 3)
    assert curve[0].tolist() == pytest.approx([3 / 6, 4 / 6, 4 / 6])
    weights = np.array([[2, 0, 1, 0, 5, 1, 0], [0] * 7])
    assert cmc(found, 2, weights) == pytest.approx(np.array([[2 / 4, 3 / 4], [np.nan] * 2]), nan_ok=True)


def test_ranks_are_those_of_a_search_one_by_one(monkeypatch):
    rng = np.random.default_rng(5)
    people = rng.integers(0, 15, 60)
    centres = rng.normal(size=(15, 1))
    probes, gallery = ((3 * centres[people] + rng.normal(0, 1, (60, 1))).round().astype(np.float32) for _ in range(2))
    probes[3], gallery[7] = np.nan, np.nan
    expected = []
    for n, own in enumerate(people):
        scores = dict.fromkeys(set(people), -np.inf)
        for m, other in enumerate(people):
            if m != n and not np.isnan(gallery[m, 0]):
                scores[other] = max(scores[other], -abs(float(probes[n, 0]) - float(gallery[m, 0])))
        if (people == own).sum() < 2:
            expected.append(np.nan)
        elif np.isnan(probes[n, 0]) or scores[own] == -np.inf:
            expected.append(np.inf)
        else:
            expected.append(sum(score >= scores[own] - 1e-6 for score in scores.values()))
    assert ranks(probes, gallery, people, closeness).tolist() == pytest.approx(expected, nan_ok=True)
    monkeypatch.setattr("facepriv.metrics.identification._BLOCK", 100)
    assert ranks(probes, gallery, people, closeness).tolist() == pytest.approx(expected, nan_ok=True)


def test_nobody_can_be_identified_among_single_photos():
    with pytest.raises(DataError, match="two people"):
        ranks(np.zeros((3, 1), np.float32), np.zeros((3, 1), np.float32), np.arange(3), closeness)
    with pytest.raises(DataError, match="two people"):
        ranks(np.zeros((3, 1), np.float32), np.zeros((3, 1), np.float32), np.zeros(3, int), closeness)
