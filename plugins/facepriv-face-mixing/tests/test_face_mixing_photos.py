"""A gallery of one's own photos: analysed once, kept in the cache, known by content."""

import shutil

import numpy as np
import pytest
from facepriv_face_mixing import photos
from facepriv_face_mixing.gallery import shipped
from PIL import Image

from facepriv.cli import main
from facepriv.errors import DataError, FaceprivError, WeightsError
from facepriv.files import file_sha256
from facepriv.registry import registry

MALE, FEMALE = 0, 1


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photos.analysed.cache_clear()
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path, portrait_files):
    """A gallery of two portraits with a table of labels, one of which the table makes a man."""
    place = tmp_path / "mine"
    place.mkdir()
    for name, file in portrait_files.items():
        shutil.copy(file, place / f"{name}{file.suffix}")
    (place / "labels.csv").write_text(
        "file,gender,race,age\nastronaut.png,female,white,34\nhopper.jpg,male,white,old\n"
    )
    return place


def test_photos_become_faces_with_the_tables_labels(folder):
    found = photos.analysed(folder)
    assert len(found) == 2 and found.people.tolist() == [1, 1]
    assert found.labels["gender"].tolist() == [FEMALE, MALE]
    assert found.labels["age"].tolist() == [1, 2]
    # The eyes lie where alignment puts them.
    np.testing.assert_allclose(found.points[:, 36:48].mean(axis=1), [[0.495, 0.36]] * 2, atol=0.02)


def test_the_same_photos_are_not_analysed_again(folder, monkeypatch, tmp_path):
    first = photos.analysed(folder)
    moved = folder.rename(tmp_path / "elsewhere")
    photos.analysed.cache_clear()  # as in another process
    monkeypatch.setattr(photos, "find_faces", lambda *_, **__: pytest.fail("analysed again"))
    np.testing.assert_array_equal(photos.analysed(moved).images, first.images)


def test_another_photo_or_label_makes_another_gallery(folder):
    keys = [photos.gallery_key(folder)]
    table = folder / "labels.csv"
    table.write_text(table.read_text().replace("male,white,old", "female,white,old"))
    keys.append(photos.gallery_key(folder))
    (folder / "astronaut.png").unlink()
    keys.append(photos.gallery_key(folder))
    assert len(set(keys)) == 3


def test_the_cache_is_the_users_alone_and_announced(folder, cache, caplog):
    kept = cache / "facepriv" / "face-mixing"
    kept.mkdir(parents=True)
    kept.chmod(0o755)  # as another version may have made it
    photos.analysed(folder)
    assert kept.stat().st_mode & 0o077 == 0
    assert f"the faces of the gallery are kept in {kept}; to remove them: rm -r {kept}" in caplog.messages


def test_photos_without_a_face_are_left_out_and_named(folder, caplog):
    Image.fromarray(np.full((80, 80, 3), 128, np.uint8)).save(folder / "wall.png")
    assert len(photos.analysed(folder)) == 2
    assert any("wall.png" in text for text in caplog.messages)


def test_labels_that_no_table_names_are_estimated(folder, monkeypatch):
    (folder / "labels.csv").write_text("file,gender\nhopper.jpg,male\n")
    asked = []

    class Always:
        def classes(self, images):
            asked.append(len(images))
            return np.full(len(images), FEMALE)

    monkeypatch.setattr(photos, "build_estimator", lambda _registry, _name: Always())
    found = photos.analysed(folder)
    assert found.labels["gender"].tolist() == [FEMALE, MALE]
    assert asked == [1, 2, 2]  # gender of the astronaut, race and age of both


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir()], ids=["missing", "empty"])
def test_no_gallery_is_an_error_before_anything_is_done(tmp_path, make):
    make(tmp_path / "mine")
    method = registry().create("method", "face-mixing", gallery=str(tmp_path / "mine"))
    with pytest.raises(DataError, match="mine"):
        method.info()


def test_faceless_gallery_is_an_error_before_any_photo_is_read(tmp_path):
    (tmp_path / "mine").mkdir()
    Image.fromarray(np.full((80, 80, 3), 128, np.uint8)).save(tmp_path / "mine" / "wall.png")
    method = registry().create("method", "face-mixing", gallery=str(tmp_path / "mine"))
    with pytest.raises(DataError, match="no face was found in any of its 1 photos: add one"):
        method.to("cpu")


def test_averages_that_are_missing_are_named_and_need_no_hash_file(tmp_path):
    averages = tmp_path / "averages.safetensors"
    method = registry().create("method", "face-mixing", weights=averages)
    with pytest.raises(WeightsError, match=r"averages\.safetensors: No such file"):
        method.to("cpu")
    shutil.copy(shipped(), averages)
    assert method.to("cpu").info()["weights"] == file_sha256(averages)


def test_a_cache_that_cannot_be_written_costs_time_alone(folder, monkeypatch, caplog):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    assert len(photos.analysed(folder)) == 2
    assert any("Permission denied, so the gallery is analysed anew" in text for text in caplog.messages)


def test_apply_mixes_with_the_users_photos(folder, portrait_files, tmp_path):
    from click.testing import CliRunner

    arguments = ["apply", str(portrait_files["astronaut"]), "-o", str(tmp_path / "out"), "--method", "face-mixing"]
    settings = ["--set", f"face-mixing.gallery={folder}", "--target", "gender=male", "--workers", "1"]
    result = CliRunner().invoke(main, [*arguments, *settings])
    assert result.exit_code == 0, result.output
    before, after = (
        np.asarray(Image.open(file).convert("RGB"), dtype=float)
        for file in (portrait_files["astronaut"], tmp_path / "out" / "astronaut.png")
    )
    face, far = np.s_[90:160, 190:260], np.s_[300:, :]
    assert np.abs(after - before)[face].mean() > 5
    np.testing.assert_array_equal(after[far], before[far])


def test_gallery_and_averages_exclude_each_other(tmp_path):
    with pytest.raises(FaceprivError, match="give one of them"):
        registry().create("method", "face-mixing", gallery=str(tmp_path), weights="x.safetensors")
