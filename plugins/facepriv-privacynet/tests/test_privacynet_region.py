"""Where the generator may paint, and in which colours."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from facepriv_privacynet.config import OURS, PRIVACYNET
from facepriv_privacynet.method import PrivacyNet, load_generator
from facepriv_privacynet.networks import Generator, GeneratorShape, label_width
from facepriv_privacynet.region import mean_outline, outline
from torch import nn
from torch.nn import functional as F

from facepriv.cli import main
from facepriv.errors import ContractError, WeightsError
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


def within(landmarks, size):
    """One head's outline as the generator's third input."""
    return torch.from_numpy(outline(landmarks, size))[None, None].float() / 255


def beside(landmarks, size):
    """The pixels (size, size) out of a head's outline."""
    return F.interpolate(within(landmarks, size), size=size, mode="bilinear")[0, 0] == 0


@pytest.mark.parametrize("portrait", portraits(), ids=lambda portrait: portrait.path.stem)
def test_a_mean_head_is_symmetric_and_close_to_real_ones(portrait):
    mean = mean_outline() > 127
    assert np.abs(mean_outline().astype(int) - mean_outline()[:, ::-1]).max() < 40
    face = find_faces(read_image(portrait.path).rgb8(), dense=True)[0]
    own = outline(face.landmarks_in_crop(112), 112) > 127
    assert (mean & own).sum() > 0.85 * (mean | own).sum()


@pytest.mark.parametrize("portrait", portraits(), ids=lambda portrait: portrait.path.stem)
def test_an_outline_holds_the_jaw_and_a_narrow_rim(portrait):
    face = find_faces(read_image(portrait.path).rgb8(), dense=True)[0]
    landmarks = face.landmarks_in_crop(112)
    out = beside(landmarks, 112).numpy()
    away = landmarks[:17] - landmarks.mean(0)
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    for pixels, expected in ((0, False), (4, False), (14, True)):
        columns, rows = np.rint(landmarks[:17] + pixels * away).astype(int).T
        seen = (columns >= 0) & (columns < 112) & (rows >= 0) & (rows < 112)
        assert seen.sum() > 8 and (out[rows[seen], columns[seen]] == expected).all()


def test_a_generator_given_an_outline_leaves_all_beside_it_alone():
    generator, x, v = strong(SMALL)
    landmarks = specimens(48).landmarks[0]
    out = beside(landmarks, 48)
    assert out.float().mean() > 0.2 and torch.equal(generator(x, v, within(landmarks, 48))[..., out], x[..., out])
    assert not torch.equal(generator(x, v)[..., out], x[..., out])


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
    landmarks = {"landmarks"} if generator.shape.region == "outline" else set()
    assert asdict(generator.shape) | weights.metadata.config["generator"] == asdict(generator.shape)
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
        out = beside(points, 112).numpy()
        assert out.any() and not moved[out].any() and (moved > 0.02).mean() > 0.1


def test_weights_of_another_region_are_refused(saved):
    path = saved(Generator(replace(SMALL, region="head")))
    with pytest.raises(WeightsError, match=r"region 'head' is none of crop, outline"):
        load_generator(path, "cpu", PRIVACYNET.architecture)


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
