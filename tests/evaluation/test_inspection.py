"""Which photos need a look before publishing, on real faces; the worst come first."""

import numpy as np
import pytest
from PIL import Image

from facepriv.contracts import FaceDetector
from facepriv.errors import DataError
from facepriv.evaluation import inspection
from facepriv.evaluation.inspection import UNCHANGED, inspect_folders


def darker(pixels, share):
    return (pixels * share).astype(np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "originals", tmp_path / "protected"


@pytest.fixture(scope="module")
def inspected(tmp_path_factory, small_faces):
    """One photo of each kind."""
    originals, protected = (tmp_path_factory.mktemp("inspected") / name for name in ("originals", "protected"))
    face, other = small_faces
    black = np.zeros_like(face)
    before_after = {
        "little": (face, darker(face, 0.95)),
        "much": (face, darker(face, 0.7)),
        "same": (other, other),
        "lost": (face, black),
        "nobody": (black, black + 9),
        "resized": (other, darker(other, 0.9)[:90]),
        "missing": (face, None),
        "torn": (face, None),
        "torn-original": (face, other),
    }
    for name, (before, after) in before_after.items():
        save(originals / f"{name}.png", before)
        if after is not None:
            save(protected / f"{name}.png", after)
    (protected / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n, and no more")
    (originals / "torn-original.png").write_text("no image")
    (originals / "raw.heic").write_text("of another format")
    save(protected / "extra.png", other)
    return inspect_folders(originals, protected, workers=0)


def test_the_worst_come_first_and_no_photo_is_left_out(inspected):
    found = [(photo.name.removesuffix(".png"), photo.kind) for photo in inspected.photos]
    assert found == [
        ("lost", "face no longer found"),
        ("nobody", "no face found"),
        ("missing", "not comparable"),
        ("resized", "not comparable"),
        ("same", "face unchanged"),
        ("torn-original", "not comparable"),
        ("torn", "not comparable"),
        ("much", "changed"),
        ("little", "changed"),
    ]
    assert inspected.summary == (
        "9 photos: 1 without a face found, 1 with a face no longer found, 1 with a face unchanged or nearly, "
        "4 missing or not comparable, 2 with every face changed"
    )
    assert inspected.shown(9) == "Shown: all, the worst first"
    assert inspected.shown(2) == "Shown: 2 of 9, the worst first; --limit N shows more"


def test_each_photo_says_what_was_found(inspected):
    words = {photo.name.removesuffix(".png"): photo.words for photo in inspected.photos}
    assert words["lost"].startswith("its face is no longer found; largest change of a face: ")
    assert words["nobody"] == "no face was found, so none is protected; change: 9.0 of 255"
    assert words["same"] == "its face is unchanged, or nearly; both files show the same pixels"
    assert words["missing"] == "has no protected file"
    assert words["torn"] == "its protected file is no whole image"
    assert words["torn-original"] == "the original is no whole image"
    assert "of another size" in words["resized"]
    (face,) = next(photo.faces for photo in inspected.photos if photo.name == "much.png")
    assert 10 < face.change < 60 and not face.unchanged and not face.lost


def test_files_with_a_problem_are_named(inspected):
    text = "\n".join(inspected.problems)
    assert "extra.png: has no original, and is not shown" in text and "raw.heic: not a kind of file" in text
    assert [line.partition(":")[0] for line in inspected.problems if "whole image" in line] == [
        "torn-original.png",
        "torn.png",
    ]


def test_a_photo_that_was_only_encoded_again_has_an_unchanged_face(folders, astronaut_file):
    originals, protected = folders
    pixels = np.asarray(Image.open(astronaut_file).convert("RGB"))[:280]
    for name, options in {"a.jpg": {"quality": 95, "subsampling": 2}, "b.webp": {"quality": 80}}.items():
        save(originals / name, pixels, **options)
        save(protected / name, np.asarray(Image.open(originals / name).convert("RGB")), **options)
    found = inspect_folders(originals, protected, workers=0)
    assert [photo.kind for photo in found.photos] == ["face unchanged"] * 2
    assert all(0 < photo.change <= UNCHANGED and photo.whole_change > 0 for photo in found.photos)


def test_of_several_faces_the_one_that_did_not_change_counts_and_is_the_first(folders, astronaut_file, hopper_file):
    originals, protected = folders
    both = [np.asarray(Image.open(file).convert("RGB"))[:280, 100:400] for file in (astronaut_file, hopper_file)]
    save(originals / "two.png", np.hstack(both))
    save(protected / "two.png", np.hstack([darker(both[0], 0.8), both[1]]))
    (photo,) = inspect_folders(originals, protected, workers=0).photos
    assert photo.kind == "face unchanged" and photo.words.startswith("1 of 2 faces is unchanged, or nearly; largest")
    assert [face.box[0] > 300 for face in photo.faces] == [True, False]


def test_other_suffixes_turned_photos_and_a_folder_within_the_originals(folders, astronaut_file):
    originals, _ = folders
    protected = originals / "out"
    pixels = np.asarray(Image.open(astronaut_file).convert("RGB"))[:400]
    exif = Image.Exif()
    exif[0x0112] = 6
    # As a camera held upright stores it: lying on its side, with a note to turn it.
    save(originals / "sub/turned.png", np.rot90(pixels).copy(), exif=exif)
    save(protected / "sub/turned.tif", darker(pixels, 0.8))
    (photo,) = inspect_folders(originals, protected, workers=0).photos
    assert photo.name == "sub/turned.png" and photo.protected == protected / "sub/turned.tif"
    assert (photo.state, photo.kind, len(photo.faces)) == ("ok", "changed", 1)


class Failing(FaceDetector):
    """Fails on every photo."""

    def _detect(self, photo, min_face):
        raise RuntimeError("no luck\nat all")


def test_a_detector_that_raises_is_named_and_every_photo_is_listed(folders, small_faces, monkeypatch):
    originals, protected = folders
    for name in ("a.png", "b.png"):
        save(originals / name, small_faces[0])
        save(protected / name, darker(small_faces[0], 0.8))
    monkeypatch.setattr(inspection, "build_detector", lambda name: Failing())
    found = inspect_folders(originals, protected, workers=0)
    assert [photo.kind for photo in found.photos] == ["no face found"] * 2
    assert len(found.problems) == 2 and "a.png: faces cannot be searched (" in found.problems[0]
    assert "no luck at all" in found.photos[0].words


def test_folders_that_do_not_pair_are_one_error(folders, small_faces):
    originals, protected = folders
    save(originals / "a.png", small_faces[0])
    with pytest.raises(DataError, match="protected: no such folder"):
        inspect_folders(originals, protected, workers=0)
    save(protected / "b.png", small_faces[0])
    with pytest.raises(DataError, match=r"holds no protected file of any of the 1 photos .*there is no a\.png"):
        inspect_folders(originals, protected, workers=0)
