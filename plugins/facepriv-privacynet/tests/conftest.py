"""Four made-up faces and small networks, without the pack and the estimators that a run would read them with."""

import pytest
import torch
from facepriv_privacynet import runs
from torch import nn

from facepriv.training.faces import Faces
from facepriv.training.judges import Judge, JudgeShape


class Unit(nn.Module):
    """A stand-in matcher: the face at 4x4 pixels as a unit vector."""

    def forward(self, x):
        return nn.functional.normalize(nn.functional.adaptive_avg_pool2d(x, 4).flatten(1), dim=1)


@pytest.fixture
def material():
    torch.manual_seed(0)
    classes = {"gender": [0, 1, 0, 1], "race": [0, 1, 2, 3], "age": [0, 1, 2, 0]}
    labels = {name: torch.tensor(values) for name, values in classes.items()}
    labels["years"] = torch.tensor([20.0, 40, 60, 20])
    faces = Faces(torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8), labels, torch.ones(4, dtype=torch.float64))
    classifier = Judge(JudgeShape(16, 8))
    return runs.Material(faces, faces, "made up", classifier, Unit(), grouped=classifier)
