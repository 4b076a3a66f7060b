"""Test faces from data and from a pack are the same."""

import numpy as np
import pytest
from PIL import Image

from facepriv.datasets import readers
from facepriv.datasets.pack import build_pack


@pytest.fixture
def data(tmp_path, estimators):
    """CelebA and UTKFace in small: the astronaut in many lights."""
    from skimage import data as pictures

    face = np.asarray(Image.fromarray(pictures.astronaut()).crop((96, 0, 352, 256)).resize((120, 120)))
    root = tmp_path / "data"
    (root / "celeba" / "img_align_celeba").mkdir(parents=True)
    (root / "utkface").mkdir()
    rows, people = ["30", "Male"], []
    rng = np.random.default_rng(0)
    for i in range(30):
        rows.append(f"{i:06d}.jpg {'1' if i % 2 else '-1'}")
        people.append(f"{i:06d}.jpg {i}")
        image = np.clip(face * rng.uniform(0.5, 1, 3), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(root / "celeba" / "img_align_celeba" / f"{i:06d}.jpg")
        warped = Image.fromarray(image).rotate(float(rng.uniform(3, 15)))
        warped.save(root / "utkface" / f"{20 + i}_{i % 2}_{i % 2}_201701162000{i:05d}.jpg.chip.jpg")
    (root / "celeba" / "list_attr_celeba.txt").write_text("\n".join(rows) + "\n")
    (root / "celeba" / "identity_CelebA.txt").write_text("\n".join(people) + "\n")
    return root


def test_data_and_pack_give_the_same_test_faces(estimators, data, tmp_path):
    sets = {kind: readers.read(kind, data / kind) for kind in ("celeba", "utkface")}
    build_pack(sets, tmp_path / "pack", size=48)
    cut, kept = estimators.from_data(data, 48, 1), estimators.from_pack(tmp_path / "pack")
    for now, packed in zip(cut, kept, strict=True):
        assert np.array_equal(now.crops[now.seen], packed.crops)
        assert now.subjects[now.seen].tolist() == packed.subjects.tolist()
        assert np.array_equal(now.years[now.seen], packed.years, equal_nan=True)
    tested = sum(r.part == "test" for r in sets["utkface"])
    # All of this small UTKFace is one face in another light: most test photos are near copies of training photos.
    assert len(cut[1].seen) + cut[1].copies == tested and cut[1].copies > 0
