"""What a training starts from: its folder, the parts of a pack, labels that are filled once."""

from dataclasses import replace

import pytest
import torch

from facepriv.errors import DataError
from facepriv.testing.packs import little_pack
from facepriv.testing.training import four_views
from facepriv.training.run import begin, cached_tensors, fill_labels, read_material


@pytest.fixture
def faces():
    return four_views()


def asian_of_fifty(x):
    ranks = torch.where(torch.arange(90) < 50, 50.0, -50.0)
    n = len(x)
    return {"gender": torch.zeros(n, 2), "race": torch.eye(4)[[2] * n], "years": ranks.repeat(n, 1)}


def copy_of(faces):
    return replace(faces, labels={name: values.clone() for name, values in faces.labels.items()})


def test_missing_labels_are_filled_and_given_ones_stay(faces):
    copy = copy_of(faces)
    assert copy.fill_unknown(asian_of_fifty) == {"gender": 0, "race": 1, "age": 1, "years": 1}
    assert copy.labels["race"].tolist() == [0, 0, 1, 2] and copy.labels["age"].tolist() == [1, 1, 2, 2]
    assert copy.labels["years"].tolist() == pytest.approx([40, 40, 60, 50])


def test_filled_labels_are_kept_and_read_again(faces, tmp_path):
    first, second = copy_of(faces), copy_of(faces)
    fill_labels(first, asian_of_fifty, tmp_path / "labels")
    assert first.labels["race"].tolist() == [0, 0, 1, 2]
    fill_labels(second, None, tmp_path / "labels")  # nobody is asked
    for name, values in first.labels.items():
        assert torch.equal(second.labels[name], values)
    third = copy_of(faces)
    third.labels["gender"] = 1 - third.labels["gender"]  # another pack
    fill_labels(third, asian_of_fifty, tmp_path / "labels")
    assert not torch.equal(third.labels["gender"], first.labels["gender"])


def test_a_damaged_cache_is_made_again(tmp_path):
    kept, made = tmp_path / "kept", []

    def make():
        made.append(1)
        return {"a": torch.arange(3)}

    for damage, count in (("", 1), ("", 1), ("cut", 2), ("", 2), ("gone", 3)):
        if damage == "cut":
            kept.write_bytes(kept.read_bytes()[:20])
        if damage == "gone":
            kept.unlink()
        assert cached_tensors(kept, "data", make)["a"].tolist() == [0, 1, 2] and len(made) == count
    cached_tensors(kept, "other data", make)
    assert len(made) == 4


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataError, match=r"file: the folder cannot be made .*name another with -o"):
        begin(tmp_path / "file", "no", None)
    assert begin(tmp_path / "a" / "b", "no", None).mixed_precision == "no" and (tmp_path / "a" / "b").is_dir()


def test_a_pack_is_read_at_one_size_and_its_labels_are_filled_where_a_folder_is_given(tmp_path):
    pack = little_pack(tmp_path / "pack", size=48)
    rows = pack / "rows.csv"
    rows.write_text(rows.read_text().replace("white", ""))
    accelerator = begin(tmp_path / "run", "no", None)
    plain = read_material(pack, None, accelerator, size=32)
    assert plain.matcher is None and plain.sets == "portraits" and len(set(plain.subjects)) == 2
    assert plain.training.crops.shape == plain.validation.crops.shape == (4, 3, 32, 32)
    assert set(plain.training.labels["race"].tolist()) == {-1, 1}
    filled = read_material(pack, None, accelerator, size=32, labels=tmp_path / "run")
    assert (filled.training.labels["race"] >= 0).all() and (filled.validation.labels["race"] >= 0).all()
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "labels-train.safetensors",
        "labels-validation.safetensors",
    }
