"""The light copy of a pack: what it leaves out, and that it opens like any other."""

import numpy as np
import pytest

from facepriv.datasets import jpegs, lighten, pack, readers
from facepriv.errors import DataError, ImageError


@pytest.fixture
def packed(tmp_path, portraits, save):
    root = tmp_path / "own"
    for n, name in enumerate(("astronaut", "hopper", "child", "held_out")):
        save(root / f"{name}.png", portraits["hopper" if n == 1 else "astronaut"], shade=n)
    (root / "labels.csv").write_text(
        "file,age,gender,part\nastronaut.png,45,female,train\nhopper.png,,female,validation\n"
        "child.png,9,female,train\nheld_out.png,45,female,test\n"
    )
    pack.build_pack({"csv": readers.read("csv", root)}, tmp_path / "pack", size=64)
    return tmp_path / "pack"


def test_adults_of_the_training_and_validation_parts_are_kept_with_their_labels(packed, tmp_path):
    assert lighten.lighten(packed, tmp_path / "light") == 2
    whole, light = pack.open_pack(packed), pack.open_pack(tmp_path / "light")
    assert light.columns["name"].tolist() == ["astronaut.png", "hopper.png"]
    assert light.labels["gender"].tolist() == [1, 1] and light.years[0] == 45 and np.isnan(light.years[1])
    for name, crop in zip(light.columns["name"], light.crops, strict=True):
        (row,) = whole.where(name=name)
        assert crop.shape == (64, 64, 3) and np.abs(crop.astype(int) - whole.crops[row]).mean() < 10
    size = (tmp_path / "light" / lighten.CROPS).stat().st_size
    assert size < whole.crops[:2].nbytes / 4


def test_of_a_copy_with_a_limit_as_many_faces_are_kept_as_fit_the_same_each_time(packed, tmp_path):
    lighten.lighten(packed, tmp_path / "all")
    sizes = [len(data) + 4 for data in jpegs._pieces((tmp_path / "all" / lighten.CROPS).read_bytes())]
    one = max(sizes) / 2**20
    assert lighten.lighten(packed, tmp_path / "one", most=one) == 1
    assert lighten.lighten(packed, tmp_path / "both", most=sum(sizes) / 2**20) == 2
    assert (tmp_path / "one" / lighten.CROPS).stat().st_size <= max(sizes)
    names = pack.open_pack(tmp_path / "one").columns["name"].tolist()
    lighten.lighten(packed, tmp_path / "again", most=one)
    assert names == pack.open_pack(tmp_path / "again").columns["name"].tolist()
    with pytest.raises(DataError, match="not one face fits"):
        lighten.lighten(packed, tmp_path / "none", most=1e-6)
    assert not (tmp_path / "none").exists()


def test_only_a_pack_is_replaced_and_only_where_that_is_asked_for(packed, tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    (there / "mine.txt").write_text("keep")
    for overwrite, text in ((False, "exists already"), (True, "is no training pack")):
        with pytest.raises(DataError, match=text):
            lighten.lighten(packed, there, overwrite=overwrite)
    assert [p.name for p in there.iterdir()] == ["mine.txt"]
    lighten.lighten(packed, tmp_path / "light")
    assert lighten.lighten(packed, tmp_path / "light", overwrite=True) == 2


def test_a_copy_that_fails_leaves_nothing_in_the_way_of_the_next(packed, tmp_path, monkeypatch):
    def full(path, data):
        raise ImageError(f"{path}: cannot be written (No space left on device)")

    before = sorted(tmp_path.iterdir())
    with monkeypatch.context() as patch, pytest.raises(ImageError):
        patch.setattr(lighten, "atomic_write", full)
        lighten.lighten(packed, tmp_path / "light")
    assert sorted(tmp_path.iterdir()) == before
    assert lighten.lighten(packed, tmp_path / "light") == 2


@pytest.mark.parametrize("cut", [2, 100])
def test_a_light_pack_cut_short_is_named_as_damaged(packed, tmp_path, cut):
    lighten.lighten(packed, tmp_path / "light")
    crops = tmp_path / "light" / lighten.CROPS
    crops.write_bytes(crops.read_bytes()[:cut])
    with pytest.raises(DataError, match="damaged pack"):
        pack.open_pack(tmp_path / "light")
