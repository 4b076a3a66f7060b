"""Faces without a data set, networks and a tiny recipe for the parts that train."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from facepriv_estimators.mobilefacenet import MatcherModule, MobileFaceNet
from facepriv_privacynet.config import OURS
from facepriv_privacynet.networks import GeneratorShape
from torch import nn

from facepriv.datasets.pack import open_pack
from facepriv.registry import registry
from facepriv.testing.packs import little_pack
from facepriv.training.faces import Faces
from facepriv.training.judges import Judge, JudgeShape

#: Two small judges and a small generator on 32 pixels, for smoke tests of a command.
TINY = replace(
    OURS,
    generator=GeneratorShape(32, 8, 1),
    judges=(JudgeShape(16, 8), JudgeShape(16, 8, grey=True)),
    judges_each_step=1,
    warm_up=2,
    warm_batch=4,
)


def portrait_faces(size: int, device: torch.device, each: int = 16) -> Faces:
    """Return `each` views of both public-domain portraits, (2 each, 3, size, size), with made-up labels."""
    with tempfile.TemporaryDirectory() as folder:
        pack = open_pack(little_pack(Path(folder) / "pack", each=each))
        return Faces.from_pack(pack, "train", size, device)


def stand_ins(tiny: bool = False) -> tuple[nn.Module, nn.Module]:
    """Return a matcher with random weights, at the cost of a trained one, and family A; or tiny networks."""
    torch.manual_seed(0)
    if tiny:
        return _Pooled(), Judge(JudgeShape(16, 8)).eval()
    return MatcherModule(MobileFaceNet()).eval(), registry().create("estimator", "family-a-gender").ranked_module()


def accelerator(precision: str, *, cpu: bool) -> Accelerator:
    """Return an accelerator of a given precision; resets the one that Accelerate keeps per process."""
    AcceleratorState._reset_state(reset_partial_state=False)
    return Accelerator(cpu=cpu, mixed_precision=precision)


class _Pooled(nn.Module):
    """A face at 4x4 pixels as a unit vector: differentiable, without parameters."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(nn.functional.adaptive_avg_pool2d(x, 4).flatten(1), dim=1)
