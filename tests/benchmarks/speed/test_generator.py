"""The generator beside its references: the ratios are those of the run."""

import pytest
import torch
from facepriv_privacynet.inference import LaidOut
from speed import generator

from facepriv.inference.onednn import can_fuse


@pytest.mark.parametrize("units", ["AMX", "AVX512_BF16", ""])
def test_the_generator_is_compared_with_three_others_in_turns(measured, monkeypatch, units):
    monkeypatch.setattr(generator, "bfloat16_units", lambda kind: units)
    ran = []

    def in_turns(jobs, rounds):
        ran.extend(job() for job in jobs.values())
        # StarGAN, own float32, as applied, its convolutions alone.
        seconds = dict(zip(jobs, (0.1, 0.024, 0.008, 0.0032), strict=True))
        return {name: [first * n for n in range(1, rounds + 1)] for name, first in seconds.items()}

    monkeypatch.setattr(generator, "in_turns", in_turns)
    found, output = measured("generator", "--rounds", "3")
    assert found["threads"] == 1 and len(found["seconds"]) == 4
    assert (found["units"], found["dtype"]) == (units, "bfloat16" if units else "float32")
    stargan, own, ours, nothing = ran
    assert stargan.shape == own.shape == ours.shape == (1, 3, found["size"], found["size"]) and nothing is None
    assert found["differs"] == pytest.approx(float((own - ours).abs().max())) and found["differs"] < 2 / 255
    assert (found["differs"] > 1e-4) is bool(units)
    assert found["ratios"]["times_stargan"]["median"] == pytest.approx(12.5)
    assert "12.5 (12.5 to 12.5) times the faces/s of StarGAN; at least 10: holds" in output
    assert "3 (3 to 3) times the faces/s of its own eager float32; at least 4: FALLS SHORT" in output
    assert "2.5 (2.5 to 2.5) times the seconds of its convolutions; at most 2: FALLS SHORT" in output


def test_the_convolutions_alone_are_those_of_the_generator():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.ConvTranspose2d(4, 2, 2))
    last = torch.nn.Conv2d(2, 3, 1)
    network.append(LaidOut(last) if can_fuse() else last).requires_grad_(False)
    seen = []
    x = torch.rand(1, 3, 8, 8)
    network.forward = lambda x, v: torch.nn.Sequential.forward(network, x)
    job = generator.convolutions(network, x, x)
    for layer in network:
        layer.register_forward_hook(lambda layer, given, _: seen.append((type(layer).__name__, given[0].shape)))
    job()
    name = "LaidOut" if can_fuse() else "Conv2d"
    assert seen == [("Conv2d", (1, 3, 8, 8)), ("ConvTranspose2d", (1, 4, 6, 6)), (name, (1, 2, 7, 7))]
