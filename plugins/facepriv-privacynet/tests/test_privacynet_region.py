"""Where the generator may paint, and in which colours."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from facepriv_privacynet.config import OURS, PRIVACYNET
from facepriv_privacynet.method import PrivacyNet, load_generator
from facepriv_privacynet.networks import Generator, GeneratorShape, label_width
from facepriv_privacynet.region import head_mask, outline_mask
from torch import nn

from facepriv.cli import main
from facepriv.errors import ContractError
from facepriv.faces import find_faces
from facepriv.faces.paste import feather_mask
from facepriv.image import read_image
from facepriv.samples import portraits
from facepriv.testing import specimens
from facepriv.training.augment import luminance
from facepriv.weights import packaged_weights

SMALL = GeneratorShape(size=48, base=8, blocks=1)


def strong(shape):
    """A generator whose change is large everywhere, and a grey image that no change takes out of range."""
    torch.manual_seed(0)
    found = Generator(replace(shape, limit=0.2)).eval().requires_grad_(False)
    nn.init.normal_(found.leave.weight, std=0.5)
    x = torch.rand(1, 3, shape.size, shape.size) * 0.2 + 0.4
    return found, x, torch.rand(1, label_width())


def test_the_head_mask_is_whole_on_the_face_and_empty_beside_it():
    mask = head_mask(112)
    assert mask.dtype == np.float32 and mask.min() == 0 and mask.max() == 1
    eyes, nose, chin = round(0.36 * 112), round(0.56 * 112), round(0.84 * 112)
    assert mask[nose, 56] == mask[eyes, 40] == mask[eyes, 72] == 1
    # Beside the median head, and below its chin, nothing may change.
    assert not mask[:, : round(0.18 * 112)].any() and not mask[:, round(0.82 * 112) :].any()
    assert not mask[round(0.88 * 112) :].any() and 0 < mask[chin, 56] < 0.1
    assert np.abs(np.diff(mask, axis=0)).max() < 0.2 and np.abs(np.diff(mask, axis=1)).max() < 0.2  # no seam


@pytest.mark.parametrize("portrait", portraits(), ids=lambda portrait: portrait.path.stem)
def test_most_of_the_mask_lies_within_the_jaw_of_a_real_face(portrait):
    face = find_faces(read_image(portrait.path).rgb8(), dense=True)[0]
    jaw = face.landmarks_in_crop(112)[:17]
    rows = np.arange(112)
    below = rows >= jaw[[0, 16], 1].max()
    left, right = (np.interp(rows, *side.T[::-1]) for side in (jaw[:9], jaw[:7:-1]))
    inside = (rows[None, :] >= left[:, None]) & (rows[None, :] <= right[:, None])
    mask = head_mask(112)[below]
    assert (mask * inside[below]).sum() > 0.95 * mask.sum()


def test_a_generator_kept_to_the_head_leaves_all_beside_it_alone():
    generator, x, v = strong(replace(SMALL, region="head"))
    y = generator(x, v)
    outside = torch.tensor(feather_mask(48) * head_mask(48)) == 0
    assert outside.float().mean() > 0.4 and torch.equal(y[..., outside], x[..., outside])
    free, x, v = strong(SMALL)
    assert not torch.equal(free(x, v)[..., outside], x[..., outside])


@pytest.mark.parametrize("chroma", [0.0, 0.4, 1.0])
def test_of_the_change_of_colour_the_share_is_kept_and_of_light_all(chroma):
    generator, x, v = strong(replace(SMALL, chroma=chroma))
    whole = strong(SMALL)[0](x, v) - x
    change = generator(x, v) - x
    assert torch.allclose(luminance(change), luminance(whole), atol=1e-5)
    assert torch.allclose(change - luminance(change), chroma * (whole - luminance(whole)), atol=1e-5)
    assert (whole - luminance(whole)).abs().max() > 0.05


def test_weights_that_do_not_say_it_may_paint_the_whole_crop_in_any_colour(tmp_path):
    assert (GeneratorShape().region, GeneratorShape().chroma) == ("crop", 1.0)
    shape = {"base": 24, "blocks": 4, "conditioning": "norm", "limit": 0.5, "output": "residual", "size": 112}
    assert torch.equal(Generator(GeneratorShape(**shape)).mask, torch.tensor(feather_mask(112)))
    assert OURS.generator.region == "outline"


def test_the_shipped_weights_say_where_they_paint():
    path = packaged_weights(PRIVACYNET.package, "privacynet")
    generator, weights = load_generator(path, "cpu", PRIVACYNET.architecture)
    said = weights.metadata.config["generator"].get("region", "crop")
    expected = feather_mask(112) * (1 if said == "crop" else head_mask(112))
    assert torch.equal(generator.mask, torch.tensor(expected))
    landmarks = {"landmarks"} if said == "outline" else set()
    assert PrivacyNet().needs == {"labels"} | landmarks


@pytest.fixture
def outlined(saved):
    """Weights that keep their change, which is large everywhere, within each head's own outline."""
    return saved(strong(replace(SMALL, size=112, region="outline"))[0])


def protected(method, faces):
    own = {name: np.zeros(len(faces), np.int64) for name in ("gender", "race", "age")}
    wanted = {**own, "gender": np.ones(len(faces), np.int64)}
    return method.perturb(faces, own, wanted, rngs=[np.random.default_rng(0)] * len(faces))


def test_weights_may_keep_to_each_heads_own_outline_for_which_they_need_landmarks(outlined):
    method, faces = PrivacyNet(outlined), specimens(112)
    assert method.needs == {"labels", "landmarks"}
    change = np.abs(protected(method, faces) - faces.images).max(axis=3)
    for moved, points in zip(change, faces.landmarks, strict=True):
        beside = outline_mask(points, 112) == 0
        assert beside.any() and not moved[beside].any() and (moved > 0.02).mean() > 0.1
    # The fixed outline alone lets it change more.
    fixed, v = load_generator(outlined, "cpu", PRIVACYNET.architecture)[0], torch.zeros(1, label_width())
    x = torch.from_numpy(faces.images[:1].copy()).permute(0, 3, 1, 2)
    beside = torch.tensor(outline_mask(faces.landmarks[0], 112) == 0)
    assert ((fixed(x, v) - x).abs().amax(1)[0] > 0)[beside].any()


def test_without_landmarks_such_weights_are_refused(outlined):
    with pytest.raises(ContractError, match="needs landmarks"):
        protected(PrivacyNet(outlined), specimens(112, landmarks=False))


def test_the_command_line_finds_the_landmarks_that_such_weights_need(outlined, tmp_path):
    photo, out = portraits()[0].path, tmp_path / "out"
    call = ["apply", str(photo), "-o", str(out), "--method", "privacynet", "--obfuscate", "gender"]
    done = CliRunner().invoke(main, [*call, "--set", f"privacynet.weights={outlined}"])
    assert done.exit_code == 0, done.output
    before, after = (read_image(path).rgb8().astype(int) for path in (photo, next(out.rglob(f"{photo.stem}*"))))
    assert np.abs(after - before).max() > 5
