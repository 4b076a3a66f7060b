"""The benchmark of sim-zhang's leaks: on moves that are known, and from a small pack to its figures."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from skimage.data import astronaut

from facepriv.faces import crop_face, find_faces
from facepriv.schema import ATTRIBUTES


@pytest.fixture
def sim_zhang(script):
    return script("plugins/facepriv-sim-zhang/benchmarks/sim_zhang.py")


@pytest.fixture
def small_pack(tmp_path):
    """A pack with 24 test faces of UTKFace, all of them the astronaut in another light, and one of CelebA."""
    rgb = astronaut()
    crop = crop_face(rgb, find_faces(rgb)[0], 64) * 255
    crops, rows = [], []
    for n in range(25):
        crops.append((crop * (0.4 + 0.02 * n)).astype(np.uint8))
        rows.append(
            {
                "set": "utkface" if n < 24 else "celeba",
                "name": f"{n}.jpg",
                "subject": "",
                "part": "test",
                "half": "a",
                "years": "40",
                "gender": ATTRIBUTES["gender"].classes[n % 2],
                "race": ATTRIBUTES["race"].classes[n // 2 % 2],
                "age": ATTRIBUTES["age"].classes[n % 3],
            }
        )
    folder = tmp_path / "pack"
    folder.mkdir()
    np.save(folder / "crops.npy", np.stack(crops))
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    (folder / "pack.json").write_text(json.dumps({"format": 1, "size": 64}))
    return folder


def test_moves_of_two_classes_to_opposite_sides_do_not_cancel(sim_zhang):
    values = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, -1.0], [0.0, -1.0]])
    found = sim_zhang._largest_mean(values, np.array([0, 0, 1, 1]), np.array([[1.0, 1, 1, 1], [1, 1, 1, 0]]))
    np.testing.assert_allclose(found, [1, 1])


def test_scattered_moves_of_one_class_do(sim_zhang):
    values = np.array([[1.0], [-1.0], [0.2], [0.2]])
    np.testing.assert_allclose(sim_zhang._largest_mean(values, np.array([0, 0, 1, 1]), np.ones((1, 4))), [0.2])


def test_every_class_is_turned_into_another(sim_zhang):
    for name, spec in ATTRIBUTES.items():
        own = np.arange(len(spec.classes))
        turned = sim_zhang.flipped(name, own)
        assert (turned != own).all() and sorted(turned) == own.tolist()


def test_a_pack_is_measured_from_end_to_end(sim_zhang, small_pack, tmp_path):
    out = tmp_path / "result.json"
    given = [str(small_pack), "--replicates", "10", "--json", str(out)]
    result = CliRunner().invoke(sim_zhang.main, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "24 faces, 0 near copies left out" in result.output
    figures = json.loads(out.read_text())
    moves = {(row["changed"], row["moves"]): row["mean"]["value"] for row in figures["moves"]}
    assert len(moves) == 9
    as_put = {row["changed"]: row["mean_as_put"]["value"] for row in figures["moves"] if row["changed"] == row["moves"]}
    # Landmarks that are detected again lie elsewhere, and so do the coordinates there.
    assert all(as_put[name] > 0.5 and as_put[name] != moves[name, name] for name in ATTRIBUTES)
    for name in ATTRIBUTES:
        # The changed attribute moves by about the distance between two classes, the others by much less.
        assert moves[name, name] > 0.5
        assert all(moves[name, other] < 0.5 * moves[name, name] for other in ATTRIBUTES if other != name)


def test_a_pack_without_test_faces_is_refused(sim_zhang, small_pack):
    rows = small_pack / "rows.csv"
    rows.write_text(rows.read_text().replace("test", "train"))
    result = CliRunner().invoke(sim_zhang.main, [str(small_pack)])
    assert result.exit_code == 2 and result.stderr.endswith("pack: holds no test face of UTKFace\n")


def test_near_copies_and_children_are_left_out(sim_zhang, small_pack):
    rows = small_pack / "rows.csv"
    lines = rows.read_text().splitlines()
    lines[1] = lines[1].replace("test", "train")  # all others are the same face in another light
    rows.write_text("\n".join(lines))
    found, copies = sim_zhang.adults(small_pack, sim_zhang.open_pack(small_pack))
    assert (len(found), copies) == (0, 23)
    rows.write_text(rows.read_text().replace("train", "test").replace(",40,", ",14,", 3))
    assert len(sim_zhang.adults(small_pack, sim_zhang.open_pack(small_pack))[0]) == 21
