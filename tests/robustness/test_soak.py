"""A run that is killed again and again: what would be wrong is noticed, and nothing is."""

import shutil

import pytest
import soak
from click.testing import CliRunner
from PIL import Image

from facepriv.cli import main
from facepriv.protection.manifest import RUN_FOLDER


@pytest.mark.parametrize("shards", [False, True])
def test_killed_runs_end_as_one_that_was_left_alone(tmp_path, long, seed, shards):
    if long:
        kills, run = 50, soak.Soak(tmp_path, 120, 6 * shards, "privacynet", 2, seed)
    else:
        kills, run = 2, soak.Soak(tmp_path, 6, 3 * shards, "pixelate", 1, seed)
    run.run(kills)
    print(f"{kills} kills, with {min(run.there)} to {max(run.there)} outputs there")
    assert len(run.there) == kills and not run.wrong


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The output folder of a finished run over four photos."""
    from skimage.data import astronaut

    place = tmp_path_factory.mktemp("soak")
    (place / "photos").mkdir()
    for n in range(4):
        Image.fromarray(astronaut()).crop((96, 0, 352, 256 + n)).save(place / f"photos/{n:05d}.jpg")
    given = [
        "apply",
        str(place / "photos"),
        "-o",
        str(place / "alone"),
        "--method",
        "pixelate",
        "--obfuscate",
        "gender",
    ]
    assert CliRunner().invoke(main, given).exit_code == 0
    return place / "alone"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda out: (out / "00001.jpg").unlink(), "00001.jpg: missing"),
        (lambda out: (out / "00001.jpg").write_bytes(b"half"), "00001.jpg: differs"),
        (lambda out: (out / "stray.jpg").write_bytes(b"x"), "stray.jpg: no output"),
        (lambda out: (out / RUN_FOLDER / "staging-1").mkdir(), f"{RUN_FOLDER}/staging-1: left behind"),
    ],
)
def test_what_is_lost_half_or_left_is_noticed(whole, tmp_path, spoil, said):
    out = tmp_path / "killed"
    shutil.copytree(whole, out)
    assert soak.differences(whole, out) == [] and soak.look(out) == (4, [])
    spoil(out)
    assert said in soak.differences(whole, out)


def test_a_file_that_is_not_the_recorded_one_is_noticed_after_a_kill(whole, tmp_path):
    out = tmp_path / "killed"
    shutil.copytree(whole, out)
    (out / "00001.jpg").write_bytes(b"half")
    (out / "stray.jpg").write_bytes(b"x")
    assert soak.look(out)[1] == [
        "00001.jpg: is not the file that the manifest names",
        "stray.jpg: is not in the manifest",
    ]
    shutil.rmtree(out / RUN_FOLDER)
    assert len(soak.look(out)[1]) == 5
