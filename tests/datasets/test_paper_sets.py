"""MORPH, MUCT and RaFD, which need a licence: small made trees by each set's own naming rules."""

import pytest

from facepriv.datasets import readers
from facepriv.datasets.readers import morph, muct, rafd
from facepriv.datasets.splits import TEST, by_subject
from facepriv.errors import DataError

HEADER = "id_num,picture_num,dob,doa,race,gender,facial_hair,age,age_diff,glasses,photo"


@pytest.fixture
def tree(tmp_path):
    """Return ``tree(*names)``: makes a root with those empty files, which readers do not open."""

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("reader", "name", "expected"),
    [
        (morph, "009055_1M54.JPG", ("009055", "male", 54)),
        (morph, "123456_00F16.jpg", ("123456", "female", 16)),
        (morph, "009055_M54.JPG", None),
        (morph, "009055_1X54.JPG", None),
        (morph, "1M54.JPG", None),
        (morph, "009055_1M54.png", None),
        (muct, "i000qa-fn.jpg", ("000", "a", "female")),
        (muct, "i275ve-mg.jpg", ("275", "e", "male")),
        (muct, "i000qf-fn.jpg", None),
        (muct, "i00qa-fn.jpg", None),
        (muct, "i000qa-xn.jpg", None),
        (rafd, "Rafd090_28_Caucasian_male_angry_frontal.jpg", ("090", "28", "Caucasian", "male")),
        (rafd, "Rafd045_40_Moroccan_male_sad_left.jpg", ("045", "40", "Moroccan", "male")),
        (rafd, "Rafd090_28_Caucasian_male_angry.jpg", None),
        (rafd, "Rafd90_28_Caucasian_male_angry_frontal.jpg", None),
    ],
)
def test_names_tell_the_labels(reader, name, expected):
    assert reader.parse(name) == expected


def test_morph_takes_race_from_its_table_and_splits_by_person(tree):
    names = ["009055_1M54.JPG", "009055_2M55.JPG", "012500_0F20.JPG", "300000_1M31.JPG", "300001_1F46.JPG"]
    root = tree(*(f"Album2/{n}" for n in names), "Album2/readme.txt")
    rows = [
        f"9055,1,,,B,M,,54,,,Album2/{names[0]}",
        f"9055,2,,,B,M,,55,,,Album2\\{names[1]}",
        f"12500,0,,,W,F,,20,,,{names[2].lower()}",
        f"300000,1,,,H,M,,31,,,Album2/{names[3]}",
    ]
    (root / "morph_2008_nonCommercial.csv").write_text("\n".join([HEADER, *rows, ""]))
    found = readers.read("morph", root)
    assert [r.name for r in found] == [f"Album2/{n}" for n in names]
    assert [r.subject for r in found] == ["009055", "009055", "012500", "300000", "300001"]
    assert [r.labels.get("race") for r in found] == ["black", "black", "white", None, None]
    assert [r.labels["age"] for r in found] == ["old", "old", "young", "middle", "old"]
    assert [r.years for r in found] == [54, 55, 20, 31, 46]
    assert [r.part for r in found] == by_subject([f"morph/{r.subject}" for r in found]).tolist()


def test_a_label_that_differs_between_photos_of_one_person_is_dropped(tree):
    root = tree("000001_1M30.JPG", "000001_2F31.JPG", "000002_1F40.JPG", "000002_2F41.JPG")
    rows = [
        "1,1,,,W,M,,30,,,000001_1M30.JPG",
        "1,2,,,W,F,,31,,,000001_2F31.JPG",
        "2,1,,,W,F,,40,,,000002_1F40.JPG",
        "2,2,,,B,F,,41,,,000002_2F41.JPG",
    ]
    (root / "t.csv").write_text("\n".join([HEADER, *rows, ""]))
    labels = [r.labels for r in readers.read("morph", root)]
    assert ["gender" in own for own in labels] == [False, False, True, True]
    assert ["race" in own for own in labels] == [True, True, False, False]


def test_morph_without_a_table_has_no_race_and_a_wrong_one_is_named(tree):
    root = tree("000001_1M30.JPG")
    assert readers.read("morph", root)[0].labels == {"gender": "male", "age": "young"}
    (root / "a.csv").write_text(f"{HEADER}\n1,1,,,Z,M,,30,,,000001_1M30.JPG\n")
    with pytest.raises(DataError, match=r"a\.csv, line 2: race 'Z'"):
        readers.read("morph", root)
    (root / "b.csv").touch()
    with pytest.raises(DataError, match=r"both a\.csv and b\.csv"):
        readers.read("morph", root)


def test_muct_is_all_test(tree):
    root = tree("jpg/i000qa-fn.jpg", "jpg/i000ra-fn.jpg", "jpg/i001sb-mg.jpg", "muct-landmarks/muct76.csv")
    found = readers.read("muct", root)
    assert [(r.subject, r.labels, r.part) for r in found] == [
        ("000", {"gender": "female"}, TEST),
        ("000", {"gender": "female"}, TEST),
        ("001", {"gender": "male"}, TEST),
    ]


def test_rafd_leaves_out_profiles_and_children(tree):
    root = tree(
        "Rafd000_01_Caucasian_female_happy_frontal.jpg",
        "Rafd045_01_Caucasian_female_happy_frontal.jpg",
        "Rafd090_01_Caucasian_female_happy_left.jpg",
        "Rafd180_01_Caucasian_female_happy_frontal.jpg",
        "Rafd090_29_Moroccan_male_neutral_frontal.jpg",
        "Rafd090_10_Kid_female_neutral_frontal.jpg",
    )
    found = readers.read("rafd", root)
    assert [(r.name[:10], r.subject, r.labels, r.part) for r in found] == [
        ("Rafd045_01", "01", {"gender": "female", "race": "white"}, TEST),
        ("Rafd090_01", "01", {"gender": "female", "race": "white"}, TEST),
        ("Rafd090_29", "29", {"gender": "male"}, TEST),
    ]


def test_a_set_without_any_photo_of_its_form_is_named(tree):
    root = tree("photo.jpg")
    for kind in ("morph", "muct", "rafd"):
        with pytest.raises(DataError, match=f"no photo that the '{kind}' layout names"):
            readers.read(kind, root)
