"""The fit: from a pack on disk to a weights file that the method takes."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from facepriv_sim_zhang import calibrate, fit
from facepriv_sim_zhang.cli import command
from facepriv_sim_zhang.method import SimZhang
from facepriv_sim_zhang.model import load
from facepriv_sim_zhang.recipe import Recipe

from facepriv.contracts import FaceBatch
from facepriv.datasets.pack import open_pack
from facepriv.errors import DataError, WeightsError
from facepriv.faces.detect import landmarks_of_crop
from facepriv.schema import ATTRIBUTES
from facepriv.testing.faces import astronaut
from facepriv.weights import Provenance, WeightsMetadata, save_weights

SIDE = 64
#: What the colours of a class are multiplied by: red for gender, green for race, blue for age.
EFFECTS = {"gender": (0, (0.6, 1.0)), "race": (1, (1.0, 0.55, 0.7, 0.85)), "age": (2, (1.0, 0.75, 0.5))}
SMALL = Recipe(size=32, axes=8, identity_axes=2)


@pytest.fixture(scope="module")
def pack_folder(tmp_path_factory):
    """A pack of the astronaut and her mirror image, tinted by their labels, in all lights: 5 faces a crossed class."""
    crop, _ = astronaut(SIDE, landmarks=True)
    rng = np.random.default_rng(0)
    crops, rows = [], []
    for n in range(24 * 5):
        label = {"gender": n % 2, "race": n // 2 % 4, "age": n // 8 % 3}
        face = (crop if rng.random() < 0.5 else crop[:, ::-1]) * rng.uniform(0.95, 1)
        for name, (channel, factors) in EFFECTS.items():
            face = face * np.where(np.arange(3) == channel, factors[label[name]], 1)
        crops.append(np.rint(np.clip(face + rng.normal(0, 0.01, face.shape), 0, 1) * 255).astype(np.uint8))
        part = "validation" if n >= 96 else "train"
        words = {name: ATTRIBUTES[name].classes[value] for name, value in label.items()}
        row = {"set": "tinted", "name": f"{n}.png", "subject": "", "part": part, "half": "a", **words}
        rows.append({**row, "years": str(25 + 15 * label["age"])})
    # A child, and a face without a race: neither has part.
    for n, change in enumerate(({"years": "3"}, {"race": ""})):
        crops.append(255 - crops[n])
        rows.append({**rows[n], **change, "name": f"odd-{n}.png"})
    folder = tmp_path_factory.mktemp("pack")
    np.save(folder / "crops.npy", np.stack(crops))
    (folder / "rows.csv").write_text("".join(",".join(row) + "\n" for row in (rows[0], *map(dict.values, rows))))
    (folder / "pack.json").write_text(json.dumps({"format": 1, "size": SIDE}))
    return folder


def trained(pack, out, *options):
    """Run the command; return the weights file that it writes, and what it says."""
    given = [str(pack), "-o", str(out), "--size", "32", "--axes", "8", "--identity-axes", "2", *options]
    result = CliRunner().invoke(command, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return out / "sim_zhang.safetensors", result.output


@pytest.fixture(scope="module")
def fitted(pack_folder, tmp_path_factory):
    return trained(pack_folder, tmp_path_factory.mktemp("out") / "run")


def test_command_writes_a_model_with_its_provenance_and_leaves_nothing_else(fitted):
    path, said = fitted
    weights = load(path)[1]
    assert {file.name for file in path.parent.iterdir()} == {path.name, path.name + ".sha256"}
    provenance = weights.metadata.provenance
    assert "tinted: 96 faces" in provenance.trained_on and "--size 32 --axes 8" in provenance.command
    assert provenance.seen == ()
    assert f"gender {weights.metadata.config['figures']['validation_accuracy']['gender']:.3f}" in said


def test_classes_are_told_apart_on_faces_that_had_no_part(fitted):
    # By chance 0.5, 0.25 and 0.33.
    figures = load(fitted[0])[1].metadata.config["figures"]["validation_accuracy"]
    assert figures["gender"] > 0.9 and figures["race"] > 0.5 and figures["age"] > 0.7


@pytest.mark.parametrize("name", list(ATTRIBUTES))
def test_a_change_of_one_attribute_changes_its_tint_and_no_other(fitted, pack_folder, name):
    pack = open_pack(pack_folder)
    row = int(pack.where(part="validation")[0])
    own = {key: pack.labels[key][[row]] for key in ATTRIBUTES}
    target = {**own, name: (own[name] + 1) % len(ATTRIBUTES[name].classes)}
    images = pack.crops[[row]].astype(np.float32) / 255
    faces = FaceBatch(images, landmarks_of_crop(pack.crops[row])[None], own)
    after = SimZhang(fitted[0]).perturb(faces, own, target, rngs=[np.random.default_rng(0)])
    middle = np.s_[0, SIDE // 3 : 2 * SIDE // 3, SIDE // 3 : 2 * SIDE // 3]
    moved = np.log(after[middle].mean(axis=(0, 1)) / images[middle].mean(axis=(0, 1)))
    channel, factors = EFFECTS[name]
    wanted = np.log(factors[int(target[name][0])] / factors[int(own[name][0])])
    assert moved[channel] == pytest.approx(wanted, abs=0.35 * abs(wanted))
    assert np.abs(np.delete(moved, channel)).max() < 0.3 * abs(wanted)


def test_calibration_finds_a_leak_in_changed_photos_and_takes_it_back(fitted, pack_folder):
    pack = open_pack(pack_folder)
    rows = fit.usable(pack, "train", SMALL)[::3]
    points = fit.landmarks(pack, rows, lambda: None)
    model = load(fitted[0])[0]
    gender, age = model.columns["gender"], model.columns["age"]
    spoilt = model.synthesis.copy()
    spoilt[:, gender] += 0.5 * model.synthesis[:, age][:, :1]
    moves = []
    leaky = replace(model, synthesis=spoilt)
    mended = calibrate.without_leak(leaky, "gender", *photo_moves(leaky, pack, rows, points))
    for some in (leaky, mended):
        asked, moved = photo_moves(some, pack, rows, points)
        moves.append(np.linalg.lstsq(asked[:, gender], moved, rcond=None)[0][0])
    before, after = moves
    assert np.linalg.norm(before[age]) > 0.3
    assert np.linalg.norm(after[age]) < 0.4 * np.linalg.norm(before[age])
    assert after[gender] == pytest.approx(before[gender], rel=0.2)


def test_without_calibration_nothing_is_taken_back(fitted, pack_folder, tmp_path):
    plain, model = (load(path)[0] for path, _ in (trained(pack_folder, tmp_path, "--calibration", "0"), fitted))
    gender = model.columns["gender"]
    np.testing.assert_array_equal(plain.analysis, model.analysis)
    np.testing.assert_array_equal(*(np.delete(m.synthesis, np.r_[gender], axis=1) for m in (plain, model)))
    assert (plain.synthesis[:, gender] != model.synthesis[:, gender]).any()


def photo_moves(model, pack, rows, points):
    return calibrate.photo_moves(model, pack, rows, points, "gender", lambda: None)


def test_the_step_back_is_along_the_other_attributes_only(fitted):
    model = load(fitted[0])[0]
    gender, identity = model.columns["gender"], model.columns["identity"]
    asked = np.zeros((4, model.analysis.shape[1]))
    asked[:, gender] = [[1], [-1], [2], [-2]]
    leak = np.linspace(0.1, 0.5, asked.shape[1])
    mended = calibrate.without_leak(model, "gender", asked, asked[:, gender] * leak)
    step = mended.synthesis - model.synthesis
    others = slice(gender.stop, identity.start)
    np.testing.assert_allclose(step[:, gender][:, 0], -model.synthesis[:, others] @ leak[others], atol=1e-5)
    assert not np.delete(step, np.r_[gender], axis=1).any()


def test_the_same_pack_gives_the_same_file(fitted, pack_folder, tmp_path):
    again, first = (load(path)[0] for path, _ in (trained(pack_folder, tmp_path), fitted))
    np.testing.assert_array_equal(again.analysis, first.analysis)
    np.testing.assert_array_equal(again.synthesis, first.synthesis)


def test_progress_counts_what_was_announced(pack_folder, tmp_path):
    pack, ticks = open_pack(pack_folder), []
    fit.fit(pack, SMALL, tmp_path, lambda: ticks.append(1))
    assert len(ticks) == fit.steps(len(fit.usable(pack, "train", SMALL)), SMALL)
    assert not list(tmp_path.iterdir())


def test_children_and_faces_without_a_label_are_left_out(pack_folder):
    pack = open_pack(pack_folder)
    names = pack.columns["name"][fit.usable(pack, "train", SMALL)]
    assert len(names) == 96 and not any(name.startswith("odd") for name in names)


def test_a_pack_without_labels_is_refused_in_one_line(pack_folder):
    pack = open_pack(pack_folder)
    pack.columns["race"][:] = ""
    with pytest.raises(DataError, match="0 faces of the pack's train part have gender, race and age"):
        fit.usable(pack, "train", SMALL)


def test_weights_of_another_method_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_weights(path, {"a": np.zeros(3)}, WeightsMetadata("something-else", Provenance("", "", "2026-01-01")))
    with pytest.raises(WeightsError, match="something-else"):
        SimZhang(path).info()
