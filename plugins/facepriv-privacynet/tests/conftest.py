"""Four made-up faces and small networks, without the pack and the estimators that a run would read them with."""

from dataclasses import asdict

import pytest
import torch
from facepriv_privacynet import runs
from facepriv_privacynet.config import PRIVACYNET

from facepriv.testing.training import TinyMatcher, labelled
from facepriv.training.judges import Judge, JudgeShape
from facepriv.weights import Provenance, WeightsMetadata, half, save_weights


@pytest.fixture
def saved(tmp_path):
    """Return ``saved(generator, name)``: writes a weights file of it."""

    def write(generator, name="own", architecture=PRIVACYNET.architecture):
        path = tmp_path / f"{name}.safetensors"
        origin, config = Provenance("nothing", "a test", "2026-01-01"), {"generator": asdict(generator.shape)}
        save_weights(path, half(generator.state_dict()), WeightsMetadata(architecture, origin, config))
        return path

    return write


@pytest.fixture
def material():
    torch.manual_seed(0)
    crops = torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8)
    faces = labelled(crops, [20.0, 40, 60, 20], gender=[0, 1, 0, 1], race=[0, 1, 2, 3], age=[0, 1, 2, 0])
    classifier = Judge(JudgeShape(16, 8))
    return runs.Material(faces, faces, "made up", classifier, TinyMatcher(), grouped=classifier)
