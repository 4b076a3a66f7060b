"""The training pack: whole or not there, without copies, without LFW, and readable."""

import json

import numpy as np
import pytest

from facepriv.contracts import Frame
from facepriv.datasets import pack, readers
from facepriv.datasets.lighten import lighten
from facepriv.datasets.record import Record
from facepriv.errors import DataError
from facepriv.faces.align import TEMPLATE, Face
from facepriv.faces.subject import crop_subject, nearest_centre


def job(path, part="train", **labels):
    return Record(path, path.name, "", part, labels)


@pytest.fixture
def found(celeba):
    """Kind of set -> its records."""
    return {"celeba": readers.read("celeba", celeba)}


def leftovers(folder):
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


def test_a_pack_holds_the_crops_and_labels_and_counts_the_rest(celeba, tmp_path, save):
    found = readers.read("celeba", celeba)
    (celeba / "img_align_celeba" / "000004.jpg").write_bytes(b"no image")
    people = tmp_path / "own"
    save(people / "a.png", shade=9)
    (people / "labels.csv").write_text("file,age,race,part\na.png,30,white,test\n")
    steps = []
    counts = pack.build_pack(
        {"celeba": found, "csv": readers.read("csv", people)},
        tmp_path / "pack",
        size=64,
        progress=lambda n, total: steps.append((n, total)),
    )
    assert counts == {"photos": 6, "crops": 3, "duplicates": 0, "near_copies": 0, "no_face": 2, "unreadable": 1}
    assert steps == [(n, 6) for n in range(1, 7)]
    opened = pack.open_pack(tmp_path / "pack")
    assert opened.crops.shape == (3, 64, 64, 3) and opened.crops.dtype == np.uint8
    assert opened.columns["name"].tolist() == ["000001.jpg", "000002.jpg", "000003.jpg"]
    assert opened.labels["gender"].tolist() == [1, 1, 0] and opened.labels["race"].tolist() == [-1] * 3
    assert np.isnan(opened.years).all()
    assert json.loads((tmp_path / "pack" / "pack.json").read_text()) == {"format": 1, "size": 64, **counts}
    for crop, record in zip(opened.crops, found[:3], strict=True):
        assert np.array_equal(crop, crop_subject(record.path, 64))


def test_labels_years_and_columns_come_back_as_they_went_in(tmp_path, portraits, save):
    root = tmp_path / "own"
    for n, name in enumerate(("astronaut", "hopper")):
        save(root / f"{name}.png", portraits[name], shade=n)
    (root / "labels.csv").write_text(
        "file,subject,age,race,gender,part\nastronaut.png,p,45.5,white,,train\nhopper.png,q,,indian,female,test\n"
    )
    pack.build_pack({"csv": readers.read("csv", root)}, tmp_path / "pack", size=32)
    opened = pack.open_pack(tmp_path / "pack")
    assert opened.labels["race"].tolist() == [0, 3] and opened.labels["gender"].tolist() == [-1, 1]
    assert opened.labels["age"].tolist() == [2, -1]
    assert opened.years[0] == 45.5 and np.isnan(opened.years[1])
    assert opened.where(part="test").tolist() == [1] and opened.where(part="test", subject="p").tolist() == []
    assert set(opened.columns["half"]) <= {"a", "b"}


def test_the_number_of_workers_changes_nothing(found, tmp_path):
    one = pack.build_pack(found, tmp_path / "one", size=32)
    assert pack.build_pack(found, tmp_path / "two", size=32, workers=2) == one
    for name in ("crops.npy", "rows.csv", "pack.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_copies_are_counted_and_stay_out_of_the_pack(celeba, tmp_path):
    folder = celeba / "img_align_celeba"
    (folder / "000003.jpg").write_bytes((folder / "000001.jpg").read_bytes())
    counts = pack.build_pack({"celeba": readers.read("celeba", celeba)}, tmp_path / "pack", size=32)
    assert counts == {"photos": 5, "crops": 3, "duplicates": 1, "near_copies": 0, "no_face": 1, "unreadable": 0}


def test_near_copies_of_other_sets_stay_out_of_a_set_without_a_test_part(tmp_path, portraits):
    def named(name, part, person):
        path = tmp_path / f"{name}.jpg"
        portraits[person].save(path, quality=40 + len(name))
        return job(path, part, gender="female" if person == "astronaut" else "male")

    tested = [named("tested", "test", "astronaut"), named("its copy", "train", "astronaut")]
    extra = [named("a further copy", "train", "astronaut"), named("one more", "validation", "hopper")]
    counts = pack.build_pack({"utkface": tested, "more": extra}, tmp_path / "pack", size=64)
    assert (counts["near_copies"], counts["crops"]) == (1, 3)
    opened = pack.open_pack(tmp_path / "pack")
    # Sets with a test part keep their own copies: evaluation leaves out the test photos concerned.
    assert opened.columns["name"].tolist() == ["tested.jpg", "its copy.jpg", "one more.jpg"]
    assert opened.labels["gender"].tolist() == [1, 1, 0]
    assert np.array_equal(opened.crops[2], crop_subject(extra[1].path, 64))
    assert {path.name for path in (tmp_path / "pack").iterdir()} == {"crops.npy", "rows.csv", "pack.json"}


def test_lfw_is_refused_in_a_training_pack(tmp_path, save):
    with pytest.raises(DataError, match="'lfw' is for evaluation only"):
        pack.build_pack({"lfw": [job(save(tmp_path / "a.jpg"), "test")]}, tmp_path / "pack")
    assert not (tmp_path / "pack").exists()


def test_an_existing_pack_is_replaced_only_on_request(found, tmp_path):
    out = tmp_path / "pack"
    pack.build_pack(found, out, size=32)
    with pytest.raises(DataError, match=r"exists already.*--overwrite"):
        pack.build_pack(found, out, size=64)
    assert pack.open_pack(out).crops.shape[1] == 32
    pack.build_pack(found, out, size=64, overwrite=True)
    assert pack.open_pack(out).crops.shape[1] == 64
    assert leftovers(tmp_path) == []


def test_what_is_no_pack_is_never_replaced(found, tmp_path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.txt").write_text("years of work")
    with pytest.raises(DataError, match="no training pack, so it is not replaced"):
        pack.build_pack(found, out, overwrite=True)
    assert (out / "chapter.txt").exists()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(DataError, match="cannot be made"):
        pack.build_pack(found, file / "pack")


def test_an_interrupted_run_leaves_nothing_and_the_next_starts_clean(found, tmp_path):
    out = tmp_path / "pack"

    def interrupt(done, _):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack.build_pack(found, out, size=32, progress=interrupt)
    assert not out.exists() and leftovers(tmp_path) == []
    # What a killed run leaves behind, in the middle of work and in the middle of replacing.
    for name in (".pack.partial", ".pack.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "crops.npy").write_bytes(b"half a crop")
    pack.build_pack(found, out, size=32)
    assert len(pack.open_pack(out)) == 4 and leftovers(tmp_path) == []


def test_a_failed_replacement_keeps_the_old_pack(found, tmp_path):
    pack.build_pack(found, tmp_path / "pack", size=32)

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack.build_pack(found, tmp_path / "pack", size=64, overwrite=True, progress=interrupt)
    assert pack.open_pack(tmp_path / "pack").crops.shape[1] == 32


def test_photos_without_any_face_make_no_pack(tmp_path, save):
    with pytest.raises(DataError, match="no face was found in any of 1 photos"):
        pack.build_pack({"csv": [job(save(tmp_path / "a.png"))]}, tmp_path / "pack")
    assert not (tmp_path / "pack").exists()


def test_a_disk_without_room_is_said_before_the_work(found, tmp_path):
    with pytest.raises(DataError, match="the disk has"):
        pack.build_pack(found, tmp_path / "pack", size=2**20)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("damage", ["no info", "no json", "format", "rows", "cut", "columns"])
def test_a_damaged_pack_is_refused(found, tmp_path, damage):
    out = tmp_path / "pack"
    pack.build_pack(found, out, size=32)
    rows = (out / "rows.csv").read_text().splitlines(keepends=True)
    match damage:
        case "no info":
            (out / "pack.json").unlink()
        case "no json":
            (out / "pack.json").write_text("{")
        case "format":
            (out / "pack.json").write_text('{"format": 0}')
        case "rows":
            (out / "rows.csv").write_text("".join(rows[:-1]))
        case "cut":
            (out / "crops.npy").write_bytes((out / "crops.npy").read_bytes()[:-1])
        case "columns":
            (out / "rows.csv").write_text("".join(row.replace("half", "quarter") for row in rows))
    with pytest.raises(DataError, match="facepriv pack"):
        pack.open_pack(out)


def test_a_pack_keeps_its_frame_and_is_refused_where_another_is_expected(found, tmp_path):
    wide = Frame(2.5, 0.6)
    pack.build_pack(found, tmp_path / "wide", size=32, frame=wide)
    assert pack.open_pack(tmp_path / "wide", frame=None).frame == wide
    assert np.array_equal(
        pack.open_pack(tmp_path / "wide", frame=wide).crops[0], crop_subject(found["celeba"][0].path, 32, wide)
    )
    with pytest.raises(DataError, match=r"wide: crops of another frame; .* --frame 2 0\.5$"):
        pack.open_pack(tmp_path / "wide")
    lighten(tmp_path / "wide", tmp_path / "light")
    assert pack.open_pack(tmp_path / "light", frame=None).frame == wide


def test_the_subject_is_the_face_nearest_the_centre():
    points = TEMPLATE * 20
    faces = [Face((0, 0, 1, 1), points + offset) for offset in ((0, 0), (70, 40), (80, 80))]
    assert nearest_centre(faces, (100, 160, 3)) is faces[1]


def test_a_crop_file_that_grows_is_an_ordinary_npy(tmp_path):
    crops = np.random.default_rng(0).integers(0, 256, (11, 8, 8, 3), dtype=np.uint8)
    with pack.CropWriter(tmp_path / "crops.npy", 8) as writer:
        for crop in crops:
            writer.append(crop)
    assert np.array_equal(np.load(tmp_path / "crops.npy"), crops)
