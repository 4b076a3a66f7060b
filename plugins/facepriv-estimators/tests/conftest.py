"""Crops of the portraits, LFW where ``FACEPRIV_DATA`` says it is, and MobileFaceNet."""

import dlib
import numpy as np
import pytest

from facepriv.faces import crop_faces, find_faces, models
from facepriv.image import read_image


@pytest.fixture(scope="session")
def portrait_crops(portraits):
    """Aligned crops of the portraits, (2, 128, 128, 3) float32."""
    return np.concatenate([crop_faces(rgb, find_faces(rgb)[:1], 128) for rgb in portraits])


@pytest.fixture(scope="session")
def dlib_shape():
    """Return ``dlib_shape(rgb, face)``: the five landmarks as dlib's own functions take them."""
    predictor = models.shape_predictor(models.LANDMARKS_5)

    def find(rgb, face):
        left, top, right, bottom = (round(v) for v in face.box)
        return predictor(rgb, dlib.rectangle(left, top, right - 1, bottom - 1))

    return find


@pytest.fixture(scope="session")
def lfw(data_root):
    """Return ``lfw(people, photos)``: the first so many photos of people spread over LFW, as person -> [pixels]."""
    folders = sorted(p for p in (data_root / "lfw").glob("*") if p.is_dir())
    if not folders:
        pytest.skip("FACEPRIV_DATA holds no folder lfw")

    def load(people, photos):
        chosen = folders[:: len(folders) // people][:people]
        return {p.name: [read_image(file).rgb8() for file in sorted(p.glob("*.jpg"))[:photos]] for p in chosen}

    return load


@pytest.fixture(scope="session")
def lfw_scores(lfw):
    """Return ``lfw_scores(matcher, people)``: scores of all pairs of two photos each, and which pairs show one person.

    The portrayed is in the middle.
    """

    def measure(matcher, count):
        crops, people = [], []
        for person, photos in lfw(count, 2).items():
            for rgb in photos:
                faces = sorted(find_faces(rgb), key=lambda f: abs(f.box[0] + f.box[2] - rgb.shape[1]))
                if faces:
                    crops.append(crop_faces(rgb, faces[:1], 128))
                    people.append(person)
        embedded, people = matcher.embed(np.concatenate(crops)), np.array(people)
        first, second = np.triu_indices(len(people), 1)
        return matcher.score(embedded[first], embedded[second]), people[first] == people[second]

    return measure


@pytest.fixture(scope="session")
def mobilefacenet_file(external_weights):
    """The published MobileFaceNet, which is not part of the project."""
    return external_weights("mobilefacenet_foamliu.onnx")
