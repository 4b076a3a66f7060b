"""A method that removes detail gets the warning that residuals bring it back; any other method gets none."""

import warnings

import numpy as np
import pytest
from kit_methods.broken_form import Blur
from kit_methods.right import Darken, Landmarked, Noise

from facepriv.contracts import resize_images
from facepriv.registry import registry
from facepriv.testing import ConformanceWarning, checks
from facepriv.testing.detail import detail_left

OURS = (
    "baseline-gan",
    "ensemble-san",
    "face-mixing",
    "flow-san",
    "k-attribute",
    "pixelate",
    "privacynet",
    "san",
    "sim-zhang",
)


class Mosaic(Darken):
    """Sharp edges, and nothing between them."""

    def _perturb(self, faces, *_):
        size = faces.images.shape[1]
        small = resize_images(faces.images, size // 8)
        return np.clip(small.repeat(8, axis=1).repeat(8, axis=2)[:, :size, :size], 0, 1)


class Black(Darken):
    def _perturb(self, faces, *_):
        return np.zeros_like(faces.images)


class ReplacingBlur(Blur):
    paste = "replacement"


class MeansIt(Blur):
    paste = "residual"


class Negative(Darken):
    def _perturb(self, faces, *_):
        return 1 - faces.images


def outcome(subject):
    return next(check for check in checks(subject) if check.name == "paste_suits_the_change").result()


@pytest.mark.parametrize("method", [Blur, Mosaic, Black], ids=lambda method: method.__name__)
def test_removed_detail_that_residuals_bring_back_is_a_warning_and_no_failure(method):
    result = outcome(method)
    assert result.passed and result.warned
    assert "is left in the crop" in result.detail and "set paste = 'replacement'" in result.detail


def test_the_shares_are_those_that_are_left_in_the_crop_and_in_the_photo():
    crop, photo = detail_left(Blur())
    assert crop < 0.05 and photo > 0.9
    assert detail_left(Darken())[0] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("method", [Darken, Noise, Landmarked, Negative], ids=lambda method: method.__name__)
def test_a_method_that_keeps_detail_is_left_alone(method):
    assert not outcome(method).warned and outcome(method).detail == ""


@pytest.mark.parametrize(
    ("method", "why"), [(ReplacingBlur, "its pixels replace"), (MeansIt, "its class says paste = 'residual' itself")]
)
def test_a_method_that_says_how_it_is_pasted_is_left_alone(method, why):
    result = outcome(method)
    assert not result.warned and why in result.detail


@pytest.mark.parametrize("name", OURS)
def test_none_of_ours_is_warned(name):
    if name not in registry().descriptors("method"):
        pytest.skip(f"{name} is not installed")
    result = outcome(name)
    assert result.passed and not result.warned, result.detail


def test_a_called_check_warns():
    check = next(check for check in checks(Blur) if check.name == "paste_suits_the_change")
    with pytest.warns(ConformanceWarning, match="paste_suits_the_change: of a face's fine detail"):
        check()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        next(check for check in checks(Darken) if check.name == "paste_suits_the_change")()
