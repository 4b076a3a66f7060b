"""One photo under two names is found, byte for byte or nearly."""

import numpy as np
from PIL import Image

from facepriv.datasets.copies import near_copies, without_copies
from facepriv.datasets.record import Record
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
