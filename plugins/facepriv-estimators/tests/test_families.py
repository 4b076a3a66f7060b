"""The families as they are shipped."""

import numpy as np
import pytest
import torch
from facepriv_estimators import families, fused

from facepriv.inference.devices import multiplies_bfloat16
from facepriv.inference.onednn import can_fuse
from facepriv.registry import registry
from facepriv.testing import checks

NAMES = [f"family-{family}-{attribute}" for family in "ab" for attribute in ("gender", "race", "age")]


@pytest.mark.parametrize("check", checks("family-b-gender", "estimator"), ids=str)
def test_conforms(check):
    check()


@pytest.mark.parametrize("name", NAMES)
def test_predictions_have_the_schemas_form(name, portrait_crops):
    out = registry().create("estimator", name).predict(portrait_crops)
    if name.endswith("age"):
        assert out.shape == (2,) and (out > 10).all() and (out < 90).all()
    else:
        assert out.shape == (2, 2 if name.endswith("gender") else 4)
        assert np.allclose(out.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("family", "ab")
def test_the_old_portrait_is_told_from_the_younger_one(family, portrait_crops):
    astronaut, hopper = registry().create("estimator", f"family-{family}-age").predict(portrait_crops)
    assert hopper > astronaut + 20


def test_the_families_come_from_different_files_and_say_what_they_were_trained_on():
    a, b = (registry().create("estimator", f"family-{f}-gender") for f in "ab")
    assert a.info()["weights"] != b.info()["weights"]
    assert "half a" in a.trained_on and "half b" in b.trained_on


def test_the_differentiable_form_agrees_with_predictions_and_gives_gradients(portrait_crops):
    estimator = registry().create("estimator", "family-a-gender")
    x = torch.from_numpy(portrait_crops).permute(0, 3, 1, 2)
    x = torch.nn.functional.interpolate(x, size=(112, 112), mode="bicubic", antialias=True).clamp(0, 1)
    x.requires_grad_(True)
    out = estimator.torch_module()(x)
    assert np.abs(out.softmax(1).detach().numpy() - estimator.predict(portrait_crops)).max() < 0.2
    joint = estimator.joint_module()(x)
    assert torch.equal(joint["gender"], out) and joint["age"].shape == (2, 3)
    out.square().sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_mobilefacenet_in_torch_equals_the_published_file(mobilefacenet_file):
    import onnxruntime
    from facepriv_estimators.mobilefacenet import from_onnx

    x = np.random.default_rng(0).normal(size=(1, 3, 112, 112)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(mobilefacenet_file), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        ours = from_onnx(mobilefacenet_file)(torch.from_numpy(x)).numpy()
    assert np.abs(ours - session.run(None, {session.get_inputs()[0].name: x})[0]).max() < 1e-4


@pytest.fixture
def afresh():
    """Networks are built anew, before and after."""
    families._columns.cache_clear()
    yield
    families._columns.cache_clear()
    for last in families._last:
        last.clear()


def test_predictions_are_those_of_the_plain_network(portrait_crops, monkeypatch, afresh):
    estimator = registry().create("estimator", "family-a-age")
    quick = estimator.predict(portrait_crops)
    parts = families._columns("a", False).modules()
    assert any(isinstance(part, fused.Trunk) for part in parts) == can_fuse()
    monkeypatch.setattr(families, "can_fuse", lambda: False)
    monkeypatch.setattr(families, "_last", ({}, {}))
    families._columns.cache_clear()
    plain = estimator.predict(portrait_crops)
    assert np.allclose(quick, plain, atol=1e-3)
    # What trains against the family is not touched.
    assert not any(isinstance(part, fused.Trunk) for part in estimator.joint_module().modules())


@pytest.mark.skipif(not (can_fuse() and multiplies_bfloat16("cpu")), reason="this processor does not multiply bfloat16")
def test_bfloat16_says_nearly_the_same(portrait_crops):
    for name, most in (("gender", 0.05), ("race", 0.05), ("age", 1.5)):
        estimator = registry().create("estimator", f"family-a-{name}")
        rough, exact = (estimator._predict(portrait_crops, short=short) for short in (True, False))
        assert 0 < np.abs(rough - exact).max() < most


@pytest.mark.parametrize(
    ("name", "rough", "exact", "asked"),
    [
        ("gender", [[0.9, 0.1], [0.54, 0.46], [0.3, 0.7]], [[0.5, 0.5], [0.4, 0.6], [1.0, 0.0]], [1]),
        ("race", [[0.6, 0.2, 0.1, 0.1], [0.4, 0.35, 0.25, 0.0]], [[0, 1, 0, 0], [0, 0, 1, 0]], [1]),
        ("age", [20.0, 44.6, 70.0], [60.0, 46.0, 20.0], [1]),
        ("age", [30.5, 28.0], [29.0, 31.0], [0]),
    ],
)
def test_what_lies_near_a_border_between_classes_is_asked_again(monkeypatch, name, rough, exact, asked):
    """Where it does not, the rough answer stands, even against the exact one."""
    estimator = registry().create("estimator", f"family-a-{name}")
    monkeypatch.setattr(families, "can_fuse", lambda: True)
    monkeypatch.setattr(families, "multiplies_bfloat16", lambda kind: True)
    said = {True: np.array(rough, np.float32), False: np.array(exact, np.float32)}
    calls = []

    def predict(images, short):
        calls.append((short, images.tolist()))
        return said[short][images]

    monkeypatch.setattr(estimator, "_predict", predict)
    classes = said[True].argmax(1) if said[True].ndim == 2 else families.AGE.bin(said[True])
    again = said[False][asked]
    classes[asked] = again.argmax(1) if again.ndim == 2 else families.AGE.bin(again)
    assert estimator.classes(np.arange(len(rough))).tolist() == classes.tolist()
    assert calls == [(True, list(range(len(rough)))), (False, asked)]


@pytest.mark.parametrize("can", ["can_fuse", "multiplies_bfloat16"])
def test_where_it_would_not_be_quicker_all_is_asked_at_once(monkeypatch, portrait_crops, can):
    estimator = registry().create("estimator", "family-a-gender")
    asked, predict = [], estimator._predict
    monkeypatch.setattr(families, can, lambda *_: False)

    def spied(images, short):
        asked.append(short)
        return predict(images, short=short)

    monkeypatch.setattr(estimator, "_predict", spied)
    assert estimator.classes(portrait_crops).tolist() == [1, 0] and asked == [False]
