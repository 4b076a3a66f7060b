"""The quick copy of the generator computes what the generator computes."""

import subprocess
import sys

import pytest
import torch
from facepriv_privacynet import inference
from facepriv_privacynet.inference import LaidOut, for_one_face
from facepriv_privacynet.networks import Generator, GeneratorShape, label_width
from torch import nn

from facepriv.inference.onednn import can_fuse

SHAPES = [
    GeneratorShape(32, 8, 2),
    GeneratorShape(32, 8, 1, region="head", chroma=0.5),
    GeneratorShape(32, 8, 1, "channels", "image"),
    GeneratorShape(32, 8, 1, "channels", "residual"),
    GeneratorShape(36, 8, 1, "norm", "image"),
]


def generator(shape):
    torch.manual_seed(0)
    found = Generator(shape).eval().requires_grad_(False)
    for part in found.modules():  # as training leaves them: nothing is zero or one
        for parameter in part.parameters(recurse=False):
            nn.init.normal_(parameter, 0.1, 0.2)
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 1e-5), (torch.bfloat16, 0.03)])
def test_the_quick_copy_gives_the_generators_faces(shape, dtype, apart):
    plain = generator(shape)
    quick = for_one_face(plain, dtype)
    x, v = torch.rand(1, 3, shape.size, shape.size), torch.rand(1, label_width())
    with torch.inference_mode():
        wanted, found = plain(x, v), quick(x, v)
    assert found.dtype == torch.float32 and found.shape == x.shape
    assert (wanted - x).abs().max() > 0.1
    assert (found - wanted).abs().max() < apart


@pytest.mark.skipif(not can_fuse(), reason="this build of torch cannot lay weights out for oneDNN")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_weights_laid_out_once_change_nothing(dtype, monkeypatch):
    plain = generator(SHAPES[0])
    laid = for_one_face(plain, dtype)
    monkeypatch.setattr(inference, "can_fuse", lambda: False)
    unlaid = for_one_face(plain, dtype)
    assert any(isinstance(part, LaidOut) for part in laid.modules())
    assert not any(isinstance(part, LaidOut) for part in unlaid.modules())
    with torch.inference_mode():
        for _ in range(2):  # the first call lays them out
            x, v = torch.rand(1, 3, 32, 32), torch.rand(1, label_width())
            assert (laid(x, v) - unlaid(x, v)).abs().max() < 1e-6


def test_the_generator_itself_stays_as_it_was():
    plain = generator(SHAPES[0])
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    layers = [type(part) for part in plain.modules()]
    state = torch.get_rng_state()
    for_one_face(plain, torch.bfloat16)
    assert torch.equal(torch.get_rng_state(), state)
    assert layers == [type(part) for part in plain.modules()]
    assert all(torch.equal(before[name], value) for name, value in plain.state_dict().items())


def test_nothing_is_enlarged_before_it_is_convolved():
    sizes = []
    quick = for_one_face(generator(SHAPES[0]), torch.float32)
    for part in quick.up.modules():
        if isinstance(part, LaidOut | nn.Conv2d):
            part.register_forward_hook(lambda _, given, out: sizes.append(given[0].shape[-1]))
    quick(torch.rand(1, 3, 32, 32), torch.rand(1, label_width()))
    assert sizes == [8, 16]


def test_the_networks_load_without_sympy():
    """It is large: 15 MB of compiled modules that nothing here uses."""
    code = "import sys; from facepriv.registry import registry; registry().create('method', 'privacynet')._runner(); "
    done = subprocess.run(
        [sys.executable, "-c", code + "print('sympy' in sys.modules)"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "False", done.stderr
