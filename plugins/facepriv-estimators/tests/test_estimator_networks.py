"""The two families' networks, CORAL, and the training step by step."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from facepriv_estimators.chips import arcface_chips
from facepriv_estimators.networks import FAMILIES, mirrored
from facepriv_estimators.torch_models import ArcFaceWindow, Window
from facepriv_estimators.training import RECIPES, losses, train

from facepriv.contracts import resize_images
from facepriv.datasets.pack import Pack
from facepriv.schema import ATTRIBUTES
from facepriv.training.ordinal import AGE_RANKS
from facepriv.training.sampling import CHILDREN, balanced_weights


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_gives_all_three_outputs_with_gradients_to_the_image(family):
    net = FAMILIES[family]().eval()
    x = torch.rand(2, 3, 112, 112, requires_grad=True)
    out = net(x)
    assert {name: tuple(v.shape) for name, v in out.items()} == {"gender": (2, 2), "race": (2, 4), "age": (2, 90)}
    out["age"].sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_the_families_share_no_architecture():
    shapes = [{tuple(p.shape) for p in FAMILIES[f]().parameters() if p.ndim == 4 and p.shape[-1] > 1} for f in "ab"]
    assert not shapes[0] & shapes[1]


def test_mirrored_predictions_do_not_change_when_the_face_is_mirrored():
    torch.manual_seed(0)
    net = FAMILIES["b"]().eval()
    x = torch.rand(1, 3, 112, 112)
    with torch.inference_mode():
        a, b = mirrored(net, x), mirrored(net, x.flip(3))
    for name, value in a.items():
        assert torch.allclose(value, b[name], atol=1e-5)
    assert a["gender"].sum().item() == pytest.approx(1, abs=1e-5)


def test_losses_skip_unknown_labels():
    out = {"gender": torch.zeros(2, 2), "race": torch.zeros(2, 4), "age": torch.zeros(2, AGE_RANKS)}
    unknown = torch.full((2,), -1)
    nothing = losses(out, unknown, unknown, torch.full((2,), float("nan")), torch.ones(4))
    assert nothing.item() == 0
    known = losses(out, torch.tensor([0, -1]), unknown, torch.full((2,), float("nan")), torch.ones(4))
    assert known.item() == pytest.approx(np.log(2), rel=1e-5)


def test_window_cuts_the_square_that_it_names():
    x = torch.arange(16.0).view(1, 1, 1, 16).expand(1, 3, 16, 16).contiguous()
    cut = Window(0.25, 0.25, 0.5, 8)(x)
    assert torch.allclose(cut[0, 0, 0], torch.arange(4.0, 12.0), atol=1e-4)
    assert torch.allclose(Window(0, 0, 1, 16)(x), x, atol=1e-4)


def test_the_torch_window_and_the_array_window_see_the_same_square():
    x = np.random.default_rng(0).random((1, 112, 112, 3)).astype(np.float32)
    smooth = np.stack([resize_images(resize_images(x, 12), 112)[0]]).clip(0, 1)
    cut = ArcFaceWindow()(torch.from_numpy(smooth).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    assert np.abs(cut - arcface_chips(smooth)).max() < 0.02


def toy_pack(count: int = 24) -> Pack:
    """Faces bright above are male and old, faces bright below female and young."""
    rng = np.random.default_rng(0)
    bright = np.arange(count) % 2 == 0
    crops = 60 + rng.integers(-30, 30, (count, 112, 112, 3))
    crops[bright, :56] += 130
    crops[~bright, 56:] += 130
    columns = {
        "set": np.full(count, "toy"),
        "name": np.array([str(i) for i in range(count)]),
        "subject": np.full(count, ""),
        "part": np.array(["validation" if i % 6 > 3 else "train" for i in range(count)]),
        "half": np.array(["a" if i % 6 < 2 else "b" for i in range(count)]),
        "years": np.where(bright, "60", "20"),
        "gender": np.where(bright, "male", "female"),
        "race": np.where(bright, "white", "black"),
        "age": np.where(bright, "old", "young"),
    }
    assert set(ATTRIBUTES) <= set(columns)
    return Pack(crops.astype(np.uint8), columns)


def test_training_learns_what_is_easy_to_see():
    torch.manual_seed(0)
    recipe = replace(RECIPES["b"], epochs=40, batch=8, rate=2e-3, ema=0.8)
    _, figures = train(FAMILIES["b"](), toy_pack(), "b", recipe, log=lambda line: None)
    assert figures["gender_toy"] == 1.0 and figures["race_toy"] == 1.0
    assert figures["mae_toy"] < 20


def test_sampling_weights_sum_to_one_and_give_children_less():
    pack = toy_pack()
    pack.columns["years"][:2] = ["5", "5"]
    weights = balanced_weights(pack, np.arange(len(pack)))
    assert weights.sum() == pytest.approx(1)
    assert weights[0] == pytest.approx(CHILDREN * weights[2])
