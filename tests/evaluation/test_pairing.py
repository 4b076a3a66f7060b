"""Files pair by path whatever their suffix; what is missing, damaged, resized or doubled is named and not dropped."""

import numpy as np
import pytest
from PIL import Image

from facepriv.datasets.record import Record
from facepriv.errors import DataError
from facepriv.evaluation import folders, pairing
from facepriv.evaluation.pairing import measure_likeness, pair, problems
from facepriv.evaluation.predictions import PredictionStore


def photo(path, name):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(abs(hash(name)) % 1000)
    Image.fromarray(rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)).save(path)
    return Record(path, name, "", "test")


@pytest.fixture
def two(tmp_path):
    """Four originals, and an empty folder for their protected files."""
    names = ["a/one.png", "a/two.png", "b/one.png", "b/three.png"]
    records = [photo(tmp_path / "original" / name, name) for name in names]
    (tmp_path / "protected").mkdir()
    return records, tmp_path / "original", tmp_path / "protected"


def save(path, source, change=lambda image: image):
    path.parent.mkdir(parents=True, exist_ok=True)
    change(Image.open(source)).save(path)


def test_pairs_are_made_by_path_and_the_suffix_may_differ(two):
    records, original, protected = two
    for record, name in zip(records, ["a/one.png", "a/two.jpg", "b/one.webp", "b/other.png"], strict=True):
        save(protected / name, record.path)
    found = pair(records, original, protected)
    paths = [path and path.relative_to(protected).as_posix() for path in found.protected]
    assert paths == ["a/one.png", "a/two.jpg", "b/one.webp", None]
    assert found.extra == ("b/other.png",) and not found.ambiguous


def test_protected_files_within_the_folder_of_the_originals_are_no_originals(two):
    records, original, _ = two
    within = original / "out"
    save(within / "a/one.png", records[0].path)
    photos = folders.folder_photos(original, None, protected=within)
    assert [record.name for record in photos] == [record.name for record in records]
    assert pair(photos, original, within).protected == (within / "a/one.png", None, None, None)


def test_of_several_files_the_one_of_the_same_suffix_is_meant_else_none(two):
    records, original, protected = two
    for name in ("a/one.png", "a/one.jpg", "a/two.jpg", "a/two.webp"):
        save(protected / name, records[0].path)
    found = pair(records, original, protected)
    assert found.protected[0] == protected / "a/one.png" and found.protected[1] is None
    assert found.ambiguous == {1: ("a/two.jpg", "a/two.webp")}


def test_the_protected_file_of_another_photo_stands_in_for_none(tmp_path):
    records = [photo(tmp_path / "original" / name, name) for name in ("one.png", "one.webp")]
    save(tmp_path / "protected" / "one.png", records[0].path)
    found = pair(records, tmp_path / "original", tmp_path / "protected")
    assert found.protected == (tmp_path / "protected" / "one.png", None)


def test_a_file_that_could_be_the_protected_one_of_two_photos_is_neithers(tmp_path):
    records = [photo(tmp_path / "original" / name, name) for name in ("one.png", "one.webp", "two.png")]
    for name in ("one.jpg", "two.jpg"):
        save(tmp_path / "protected" / name, records[0].path)
    found = pair(records, tmp_path / "original", tmp_path / "protected")
    assert found.protected == (None, None, tmp_path / "protected" / "two.jpg")
    assert found.ambiguous == {0: ("one.jpg",), 1: ("one.jpg",)} and not found.extra
    likeness = measure_likeness([r.path for r in records], found.protected, workers=0)
    assert problems(records, found, likeness, {})[0] == (
        "one.png: its protected file could be another photo's, too: one.jpg"
    )


@pytest.mark.parametrize("protected", ["one.jpg", "one.webp"])
def test_the_photos_that_nobody_asked_about_count_too(tmp_path, protected):
    records = [photo(tmp_path / "original" / name, name) for name in ("one.png", "one.webp")]
    save(tmp_path / "protected" / protected, records[0].path)
    assert pair(records[:1], tmp_path / "original", tmp_path / "protected").protected == (None,)


def test_protected_files_of_photos_that_were_not_asked_about_are_not_called_strange(two):
    records, original, protected = two
    for record in records:
        save(protected / record.name, record.path)
    save(protected / "c/new.png", records[0].path)
    assert pair(records[:2], original, protected).extra == ("c/new.png",)


def test_a_name_within_its_set_pairs_where_the_path_does_not(tmp_path):
    record = photo(tmp_path / "celeba" / "img_align_celeba" / "000001.png", "000001.png")
    save(tmp_path / "protected" / "000001.jpg", record.path)
    assert pair([record], tmp_path / "celeba", tmp_path / "protected").protected[0].name == "000001.jpg"


def test_every_state_is_counted_and_named(two, tmp_path):
    records, original, protected = two
    save(protected / "a/one.png", records[0].path)
    save(protected / "a/two.png", records[1].path, lambda image: image.resize((12, 10)))
    (protected / "b").mkdir()
    (protected / "b/one.png").write_bytes(records[2].path.read_bytes()[:90])
    paths = [record.path for record in records]
    found = pair(records, original, protected)
    alike = measure_likeness(paths, found.protected, workers=0)
    assert alike.states == ("ok", "resized", "unreadable", "missing")
    assert alike.ssim[0] == 1 and alike.psnr[0] == np.inf and np.isnan(alike.ssim[1:]).all()
    lines = problems(records, found, alike, {"b/three": "it failed"})
    assert [line.partition(":")[0] for line in lines] == ["a/two.png", "b/one.png", "b/three.png"]
    assert "another size" in lines[0] and "no whole image" in lines[1] and "its run says: it failed" in lines[2]
    assert alike.usable("protected", found.protected)[1:] == [found.protected[1], None, None]


def test_a_face_that_no_detector_finds_is_named_on_whichever_side(two):
    records, original, protected = two
    for record in records:
        save(protected / record.name, record.path)
    found = pair(records, original, protected)
    alike = measure_likeness([record.path for record in records], found.protected, workers=0)
    before, after = np.array([True, True, False, False]), np.array([True, False, True, False])
    assert folders._problems(
        records, found, alike, {"originals": {"seen": before}, "protected photos": {"seen": after}}, None
    ) == [
        "a/two.png: a face was found in the original, none in its protected file",
        "b/one.png: no face was found in the original",
        "b/three.png: no face was found in the original",
    ]


def test_a_damaged_original_is_distinguished_from_a_damaged_protected_file(two):
    records, original, protected = two
    for record in records:
        save(protected / record.name, record.path)
    records[0].path.write_bytes(b"nothing")
    alike = measure_likeness([r.path for r in records], pair(records, original, protected).protected, workers=0)
    assert alike.states[0] == "original unreadable" and alike.states[1:] == ("ok",) * 3
    assert alike.usable("original", [r.path for r in records])[0] is None


def test_what_was_compared_is_not_compared_again(two, tmp_path, monkeypatch):
    records, original, protected = two
    for record in records:
        save(protected / record.name, record.path, lambda image: image.convert("L"))
    files = pair(records, original, protected).protected
    first = measure_likeness([r.path for r in records], files, PredictionStore(tmp_path / "c"), workers=0)
    monkeypatch.setattr(pairing, "_file_likeness", lambda *files: pytest.fail("compared again"))
    again = measure_likeness([r.path for r in records], files, PredictionStore(tmp_path / "c"), workers=0)
    assert first.states == again.states and first.psnr.tolist() == again.psnr.tolist()
    assert 0 < first.ssim[0] < 1


def test_a_folder_without_photos_is_named(two, tmp_path):
    records, original, protected = two
    with pytest.raises(DataError, match="no image file there"):
        pair(records, original, protected)
    with pytest.raises(DataError, match="no such folder"):
        pair(records, original, tmp_path / "gone")
