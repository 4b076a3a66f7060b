"""Shapes, ranges and the properties that the method relies on."""

import pytest
import torch
from facepriv_privacynet.config import PAPER
from facepriv_privacynet.networks import Discriminator, Generator, GeneratorShape, encode, label_width
from torch import nn

from facepriv.faces.paste import feather_mask

SMALL = GeneratorShape(size=32, base=8, blocks=1)


def labels(n: int) -> dict[str, torch.Tensor]:
    return {"gender": torch.zeros(n).long(), "race": torch.ones(n).long(), "age": torch.full((n,), 2)}


def test_labels_are_one_hot_blocks_and_unknown_is_zeros():
    v = encode({"gender": torch.tensor([1, -1]), "race": torch.tensor([0, 3]), "age": torch.tensor([2, 0])})
    assert v.shape == (2, label_width()) == (2, 9)
    assert v[0].tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 1]
    assert v[1].tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 0]


@pytest.mark.parametrize("shape", [SMALL, GeneratorShape(32, 8, 1, "channels", "image")])
def test_generator_keeps_shape_and_range(shape):
    torch.manual_seed(0)
    x = torch.rand(2, 3, 32, 32)
    y = Generator(shape)(x, encode(labels(2)))
    assert y.shape == x.shape and y.min() >= 0 and y.max() <= 1


def painting():
    """Return a generator that changes much, and an image."""
    torch.manual_seed(0)
    x, generator = torch.rand(1, 3, 32, 32), Generator(SMALL)
    nn.init.normal_(generator.leave.weight)
    return generator, x


def test_residual_generator_leaves_the_rim_outside_the_paste_mask_alone():
    generator, x = painting()
    y = generator(x, encode(labels(1)))
    outside = torch.tensor(feather_mask(32)) == 0
    assert outside.any() and torch.equal(y[..., outside], x[..., outside])
    assert not torch.allclose(y, x)


def test_conditional_norm_makes_the_labels_matter():
    generator, x = painting()
    other = {**labels(1), "gender": torch.ones(1).long()}
    assert (generator(x, encode(labels(1))) - generator(x, encode(other))).abs().max() > 1e-3


def test_a_face_does_not_depend_on_the_others_of_its_batch_in_training_or_evaluation_mode():
    torch.manual_seed(0)
    generator, x = Generator(SMALL), torch.rand(3, 3, 32, 32)
    for mode in (True, False):
        generator.train(mode)
        whole = generator(x, encode(labels(3)))
        assert torch.allclose(whole[1:2], generator(x[1:2], encode(labels(1))), atol=1e-5)


def test_the_papers_generator_has_the_papers_bottleneck():
    shape = PAPER.generator
    assert (shape.size, shape.conditioning, shape.output, shape.blocks) == (128, "channels", "image", 6)
    generator = Generator(shape)
    x = torch.rand(1, 3, 128, 128)
    planes = encode(labels(1))[:, :, None, None].expand(-1, -1, 128, 128)
    assert generator.down(generator.enter(torch.cat([2 * x - 1, planes], 1))).shape == (1, 128, 32, 32)


def test_discriminator_gives_a_critic_map_and_class_logits_and_stays_small():
    d = Discriminator(112)
    realness, logits = d(torch.rand(2, 3, 112, 112), encode(labels(2)))
    assert realness.shape[0] == 2 and {k: v.shape[1] for k, v in logits.items()} == {"gender": 2, "race": 4, "age": 3}
    assert sum(p.numel() for p in d.parameters()) < 6e6


def test_further_critics_see_patches_and_the_shrunk_face():
    torch.manual_seed(0)
    d = Discriminator(112, base=8, scales=True)
    x = torch.rand(2, 3, 112, 112, requires_grad=True)
    values, _ = d(x, encode(labels(2)))
    assert values.shape == (2, 3) and Discriminator(112, base=8)(x, encode(labels(2)))[0].shape == (2, 1)
    # What one value of the patches' map sees, and that the last critic minds no detail within four pixels.
    (seen,) = torch.autograd.grad(d.patches(x)[0, 0, 10, 10], x)
    touched = seen[0].abs().sum(0)
    assert (touched.sum(0) > 0).sum() == (touched.sum(1) > 0).sum() == 22
    detail = torch.tensor([[0.1, -0.1], [-0.1, 0.1]]).repeat(56, 56)
    assert torch.allclose(d.small(x), d.small(x + detail), atol=1e-5)
    assert not torch.allclose(d.patches(x), d.patches(x + detail), atol=1e-5)


def test_only_a_conditional_critic_minds_the_label():
    x = torch.rand(2, 3, 112, 112)
    one, other = (encode({**labels(2), "gender": torch.tensor(genders)}) for genders in ([0, 1], [1, 0]))
    plain, told = Discriminator(112), Discriminator(112, conditional=True)
    nn.init.normal_(told.project.weight)
    assert torch.equal(plain(x, one)[0], plain(x, other)[0])
    assert not torch.allclose(told(x, one)[0], told(x, other)[0])
    assert torch.equal(told(x, one)[1]["gender"], told(x, other)[1]["gender"])
