"""One photo under two names is found, byte for byte or nearly."""

import numpy as np
import pytest
from PIL import Image

from facepriv.datasets.copies import near_copies, part_without_copies, without_copies
from facepriv.datasets.record import Record
from facepriv.errors import DataError
from facepriv.faces.subject import crop_subject


def test_of_identical_files_the_most_held_out_is_kept(tmp_path, save):
    files = [save(tmp_path / f"{n}.png", shade=n // 3) for n in range(7)]
    parts = ["train", "test", "validation", "train", "validation", "train", "train"]
    records = [Record(path, path.name, "", part) for path, part in zip(files, parts, strict=True)]
    assert without_copies(records) == [1, 4, 6]


def test_unreadable_files_are_no_copies_of_each_other(tmp_path):
    gone = Record(tmp_path / "gone.png", "gone.png", "", "train")
    assert without_copies([gone, gone]) == [0, 1]


def test_a_recompressed_photo_is_a_near_copy_and_another_face_is_none(tmp_path, portraits):
    portraits["astronaut"].save(tmp_path / "a.png")
    portraits["astronaut"].save(tmp_path / "a.jpg", quality=40)
    portraits["astronaut"].rotate(3, Image.Resampling.BILINEAR).resize((230, 230)).save(tmp_path / "turned.png")
    portraits["hopper"].save(tmp_path / "b.png")
    crops = np.stack([crop_subject(tmp_path / name, 112) for name in ("a.png", "a.jpg", "turned.png", "b.png")])
    found = near_copies(crops, np.array([True, False, False, True]))
    assert found.tolist() == [True, False, False, False]
    assert near_copies(crops, np.array([False, False, True, False])).tolist() == [False, False, True, False]


def test_copies_within_one_side_are_no_leak(portraits, tmp_path):
    portraits["astronaut"].save(tmp_path / "a.png")
    crop = crop_subject(tmp_path / "a.png", 64)
    assert not near_copies(np.stack([crop, crop]), np.array([True, True])).any()
    assert not near_copies(np.stack([crop, np.zeros_like(crop)]), np.array([True, False])).any()


@pytest.fixture
def noise(tmp_path):
    """Six photos of noise as records: three in the test part, one of these of a known person."""
    rng = np.random.default_rng(0)
    records = []
    for n, (part, subject) in enumerate(
        [("test", ""), ("test", ""), ("test", "known"), ("train", ""), ("train", ""), ("validation", "")]
    ):
        path = tmp_path / f"{n}.png"
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).resize((64, 64)).save(path)
        records.append(Record(path, path.name, subject, part))
    return records


def test_a_part_loses_its_near_copies_of_other_parts(noise):
    assert part_without_copies(noise, "test") == noise[:3]
    for original, copy in ((1, 4), (2, 5)):
        Image.open(noise[original].path).resize((60, 60)).save(noise[copy].path)
    # A photo of a known person stays: sets with people are split by person.
    assert part_without_copies(noise, "test") == [noise[0], noise[2]]
    assert part_without_copies(noise, "train") == [noise[3]]


def test_a_photo_that_cannot_be_compared_is_named(noise):
    noise[4].path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"4\.png: cannot be read as an image: fetch it again"):
        part_without_copies(noise, "test")
