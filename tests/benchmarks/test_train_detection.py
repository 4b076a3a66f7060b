"""The scripts that train the detector's own networks: scenes hold the faces they name, and weights fit the package."""

import dataclasses

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facepriv.faces import confirm, search
from facepriv.weights import load_weights


def test_scenes_hold_the_faces_that_they_name(script, astronaut_file):
    scenes = script("benchmarks/scenes.py")
    with Image.open(astronaut_file) as image:
        face = image.convert("RGB").crop((150, 20, 300, 200)).resize((75, 90))
    # The picture is green, the face is not.
    makes = scenes.Scenes([(face, (36.0, 47.0, 43.0, 55.0))], [Image.new("RGB", (64, 64), (0, 255, 0))], (320, 256))
    for mosaics in (0.0, 1.0):
        rng, kept = np.random.default_rng(0), []
        for _ in range(6):
            pixels, found = dataclasses.replace(makes, mosaics=mosaics).make(rng)
            assert pixels.shape == (256, 320, 3) and pixels.dtype == np.uint8
            assert all(0 <= x < 320 and 0 <= y < 256 and w > 0 and h > w for x, y, w, h in found)
            kept += found
        assert len(kept) > 10


@pytest.mark.parametrize("name, module", [("train_search", search), ("train_confirm", confirm)])
def test_a_tiny_run_writes_weights_of_the_shape_of_those_that_are_shipped(script, data_root, tmp_path, name, module):
    out = tmp_path / "made.safetensors"
    call = ["--data", str(data_root), "--scenes", "8", "--steps", "2", "--most", "4", "-o", str(out)]
    result = CliRunner().invoke(script(f"benchmarks/{name}.py").main, call)
    assert result.exit_code == 0, result.output
    made, shipped = (load_weights(path, architecture=module.ARCHITECTURE) for path in (out, module.WEIGHTS))
    assert {n: t.shape for n, t in made.tensors.items()} == {n: t.shape for n, t in shipped.tensors.items()}
    assert "--scenes 8 --steps 2" in made.metadata.provenance.command
