"""The readers, on small trees in the native layouts and, where it is there, on the real data."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from facepriv.datasets import readers
from facepriv.datasets.readers import csvfolder, lfw, utkface
from facepriv.datasets.splits import TEST, TRAIN, VALIDATION, by_subject
from facepriv.errors import DataError


def test_celeba_gives_gender_and_splits_by_identity(celeba):
    found = readers.read("celeba", celeba)
    assert [r.name for r in found] == [f"00000{i}.jpg" for i in range(1, 6)]
    assert [r.subject for r in found] == ["7", "7", "8", "9", "9"]
    assert [r.labels for r in found] == [{"gender": g} for g in ("female", "female", "male", "female", "female")]
    assert [r.part for r in found] == by_subject([f"celeba/{r.subject}" for r in found]).tolist()
    assert all(r.years is None and r.path.is_file() for r in found)


def test_celeba_reads_a_subset_and_skips_photos_that_no_list_names(celeba, save):
    (celeba / "img_align_celeba" / "000002.jpg").unlink()
    save(celeba / "img_align_celeba" / "000009.jpg")
    assert [r.name for r in readers.read("celeba", celeba)] == ["000001.jpg", "000003.jpg", "000004.jpg", "000005.jpg"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list_attr_celeba.txt", None, "list_attr_celeba.txt: missing"),
        ("identity_CelebA.txt", None, "identity_CelebA.txt: missing"),
        ("list_attr_celeba.txt", "1\nBald Young\n", "no column 'Male'"),
        ("list_attr_celeba.txt", "", "no column 'Male'"),
        ("list_attr_celeba.txt", "1\nMale Young\n000001.jpg 1\n", "line 3: expected a file and 2 values"),
        ("list_attr_celeba.txt", "1\nMale Young\n000001.jpg 2 1\n", "line 3"),
        ("identity_CelebA.txt", "000001.jpg 7\n000002.jpg\n", "line 2: expected a file and a person"),
        ("identity_CelebA.txt", b"\xff\xfe\x00", "cannot be read as text"),
    ],
)
def test_a_broken_celeba_list_is_refused_with_its_line(celeba, name, text, message):
    path = celeba / name
    if text is None:
        path.unlink()
    else:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        readers.read("celeba", celeba)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("25_0_1_20170110220034115.jpg.chip.jpg", (25, 0, 1)),
        ("116_1_4_20170110220034115.jpg.chip.jpg", (116, 1, 4)),
        ("61_1_20170109142408075.jpg.chip.jpg", None),
        ("25_2_1_20170110220034115.jpg.chip.jpg", None),
        ("25_0_5_20170110220034115.jpg.chip.jpg", None),
        ("200_0_1_20170110220034115.jpg.chip.jpg", None),
        ("x_0_1_20170110220034115.jpg.chip.jpg", None),
        ("²_0_1_20170110220034115.jpg.chip.jpg", None),
        ("25_0_1.jpg", None),
    ],
)
def test_utkface_names_are_parsed_and_incomplete_ones_are_not(name, expected):
    assert utkface.parse(name) == expected


def utk_tree(root, count=600):
    """File names of UTKFace (empty files: the reader opens none); a tenth of the faces are Black."""
    root.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        race = 1 if i % 10 == 0 else int(rng.choice([0, 2, 3, 4]))
        (root / f"{rng.integers(1, 90)}_{rng.integers(2)}_{race}_2017011022{i:04d}.jpg.chip.jpg").touch()
    (root / "39_1_20170116174525125.jpg.chip.jpg").touch()
    return root


def test_utkface_gives_all_labels_and_other_has_no_race(tmp_path):
    found = readers.read("utkface", utk_tree(tmp_path / "utkface"))
    assert len(found) == 600
    for record in found:
        years, gender, race = utkface.parse(record.name)
        assert record.years == years and record.subject == ""
        assert record.labels["gender"] == ("male", "female")[gender]
        assert record.labels["age"] == ("young" if years <= 30 else "middle" if years <= 45 else "old")
        assert record.labels.get("race") == (*("white", "black", "asian", "indian"), None)[race]


def test_a_third_of_the_black_faces_are_tested_and_every_file_is_in_one_part(tmp_path):
    found = readers.read("utkface", utk_tree(tmp_path / "utkface"))
    black = Counter(r.part for r in found if r.labels.get("race") == "black")
    others = Counter(r.part for r in found if r.labels.get("race") != "black")
    assert black[TEST] / black.total() == pytest.approx(1 / 3, abs=0.05)
    assert others[TEST] / others.total() == pytest.approx(0.15, abs=0.02)
    assert len({r.name for r in found}) == len(found)


def test_more_of_utkface_has_training_and_validation_but_no_test_photo(tmp_path):
    root = utk_tree(tmp_path / "utkface_more")
    parts = Counter(r.part for r in readers.read("utkface_more", root))
    assert set(parts) == {TRAIN, VALIDATION} and parts[VALIDATION] / parts.total() == pytest.approx(0.1, abs=0.02)
    assert [r.labels for r in readers.read("utkface_more", root)] == [r.labels for r in readers.read("utkface", root)]


def lfw_tree(root, people):
    for person, photos in people.items():
        (root / person).mkdir(parents=True)
        for n in range(photos):
            (root / person / f"{person}_{n + 1:04d}.jpg").touch()
    return root


def test_lfw_is_all_test_and_the_visible_part_is_the_first_five_of_each(tmp_path):
    root = lfw_tree(tmp_path / "lfw", {"B_Two": 7, "A_One": 2, ".cache": 1})
    (tmp_path / "lfw_gender.csv").write_text("subject,gender\nA_One,female\nB_Two,male\n")
    found = readers.read("lfw", root)
    assert [r.subject for r in found] == ["A_One"] * 2 + ["B_Two"] * 7
    assert {r.part for r in found} == {TEST}
    assert found[0].labels == {"gender": "female"}
    kept = lfw.visible(found)
    assert [r.name for r in kept][2:] == [f"B_Two/B_Two_000{n}.jpg" for n in range(1, 6)] and len(kept) == 7


@pytest.mark.parametrize("table", ["person,gender\nA,male\n", "subject,gender\nA,man\n"])
def test_a_broken_gender_table_is_refused(tmp_path, table):
    root = lfw_tree(tmp_path / "lfw", {"A": 2})
    (root / "lfw_gender.csv").write_text(table)
    with pytest.raises(DataError, match=r"lfw_gender\.csv"):
        readers.read("lfw", root)


def csv_tree(root, table, files=6):
    root.mkdir()
    for n in range(files):
        (root / f"{n}.png").touch()
    (root / csvfolder.LABELS).write_text(table)
    return root


def test_a_labelled_folder_takes_years_or_groups_and_its_own_parts(tmp_path):
    table = (
        "file,subject,part,gender,race,age\n"
        "0.png,p,train,Male,white,44.5\n1.png,p,train,female,,old\n2.png,q,test,,Indian,\n"
    )
    first, second, third = readers.read("csv", csv_tree(tmp_path / "set", "\ufeff" + table))
    assert first.labels == {"gender": "male", "race": "white", "age": "middle"} and first.years == 44.5
    assert second.labels == {"gender": "female", "age": "old"} and second.years is None
    assert third.labels == {"race": "indian"}
    assert [r.part for r in (first, second, third)] == [TRAIN, TRAIN, TEST]


def test_a_labelled_folder_without_parts_is_split_by_subject_where_there_is_one(tmp_path):
    rows = "".join(f"{n}.png,{'p' if n < 3 else ''}\n" for n in range(40))
    found = readers.read("csv", csv_tree(tmp_path / "set", "file,subject\n" + rows, files=40))
    assert len({r.part for r in found[:3]}) == 1
    assert {r.part for r in found[3:]} == {TRAIN, VALIDATION, TEST}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name\n0.png\n", "no column 'file'"),
        ("file,gender\n0.png,man\n", "line 2: gender 'man' is none of male, female"),
        ("file,age\n0.png,12x\n", "line 2: age"),
        ("file,age\n0.png,900\n", "line 2: an age of 900"),
        ("file,part\n0.png,dev\n", "line 2: part 'dev'"),
        ("file\n0.png\nmissing.png\n", "line 3: no file"),
        ("file\n0.png\n0.png\n", "line 3: 0.png is on line 2 too: keep one"),
        ("file,subject,part\n0.png,p,train\n1.png,p,test\n", "subject 'p' is both in train and test"),
        ("file\n", "holds no photo"),
        ("file,gender\n,male\n", "line 2: its cell 'file' is empty"),
    ],
)
def test_a_wrong_label_table_is_refused_with_its_line(tmp_path, table, message):
    with pytest.raises(DataError, match=message):
        readers.read("csv", csv_tree(tmp_path / "set", table))


@pytest.mark.parametrize(
    "other", ["./0.png", "sub/../0.png", "sub\\..\\0.png", ".\\0.png", "./sub//../0.png", "{root}/0.png"]
)
def test_a_photo_is_one_however_its_path_is_spelt(tmp_path, other):
    root = tmp_path / "set"
    other = other.format(root=root)
    [record] = readers.read("csv", csv_tree(root, f"file,gender\n{other},male\n"))
    assert (record.name, record.path) == ("0.png", root / "0.png")
    (root / csvfolder.LABELS).write_text(f"file,gender,race\n\n0.png,male,white\n{other},female,white\n")
    with pytest.raises(DataError, match=r"labels\.csv, line 4: 0\.png is on line 3 too, with another gender: keep one"):
        readers.read("csv", root)


def test_a_backslash_is_part_of_a_name_where_a_file_is_called_so(tmp_path):
    root = csv_tree(tmp_path / "set", "file\na\\b.png\n")
    (root / "a\\b.png").touch()
    assert [record.name for record in readers.read("csv", root)] == ["a\\b.png"]


def test_an_unknown_set_and_a_missing_folder_are_named(tmp_path):
    with pytest.raises(DataError, match="did you mean 'celeba'"):
        readers.read("celebA", tmp_path)
    with pytest.raises(DataError, match="FACEPRIV_DATA"):
        readers.read("celeba", tmp_path / "nowhere")


def digest(found):
    lines = "\n".join(f"{r.name} {r.subject} {r.part} {r.labels} {r.years}" for r in found)
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def test_the_real_celeba_is_split_by_identity(data_root):
    found = readers.read("celeba", data_root / "celeba")
    parts = {}
    for record in found:
        parts.setdefault(record.subject, set()).add(record.part)
    assert len(found) == 10_000 and len(parts) == 5_429
    assert all(len(seen) == 1 for seen in parts.values())
    assert digest(found) == CELEBA


def test_the_real_utkface_is_split_by_file_with_a_third_of_the_black_faces_in_test(data_root):
    found = readers.read("utkface", data_root / "utkface")
    black = Counter(r.part for r in found if r.labels.get("race") == "black")
    assert len(found) == len({r.name for r in found}) == 8_662
    assert black[TEST] / black.total() == pytest.approx(1 / 3, abs=0.01)
    assert digest(found) == UTKFACE


def test_the_real_visible_lfw_has_its_files_and_pairs(data_root):
    found = lfw.visible(readers.read("lfw", data_root / "lfw"))
    photos = Counter(r.subject for r in found)
    assert (len(found), len(photos)) == (3_231, 1_037)
    assert sum(n * (n - 1) // 2 for n in photos.values()) == 4_210
    assert all(r.part == TEST and "gender" in r.labels for r in found)


# Of the lists as they are read today: models were trained on these splits.
CELEBA = "d751728a73b3c510"
UTKFACE = "c9e01d0cb01c7f83"
