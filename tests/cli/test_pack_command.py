"""``facepriv pack`` as a user calls it."""

import pytest
from click.testing import CliRunner

from facepriv.cli.pack import command
from facepriv.contracts import Frame
from facepriv.datasets.pack import open_pack
from facepriv.errors import DataError, UsageError


@pytest.fixture
def photos(tmp_path):
    """A labelled folder with one real face."""
    from PIL import Image
    from skimage import data

    root = tmp_path / "photos"
    root.mkdir()
    Image.fromarray(data.astronaut()).save(root / "astronaut.png")
    (root / "labels.csv").write_text("file,gender,part\nastronaut.png,female,train\n")
    return root


def call(*arguments, data=None):
    env = {"FACEPRIV_DATA": None if data is None else str(data)}
    return CliRunner().invoke(command, [str(a) for a in arguments], env=env)


def test_a_labelled_folder_becomes_a_pack(tmp_path, photos):
    result = call("-o", tmp_path / "pack", "--set", f"csv={photos}", "--size", 48, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert (
        "1 crops of 1 photos (csv 1); left out: 0 without a face, 0 copies, 0 near copies, 0 unreadable"
        in result.stdout
    )
    assert open_pack(tmp_path / "pack").crops.shape == (1, 48, 48, 3)


def test_a_frame_is_kept_in_the_pack(tmp_path, photos):
    given = ("-o", tmp_path / "pack", "--set", f"csv={photos}", "--size", 48, "--workers", 1, "--frame", 2.2, 0.6)
    assert call(*given).exit_code == 0
    assert open_pack(tmp_path / "pack", frame=None).frame == Frame(2.2, 0.6)


def test_sets_are_found_below_the_data_folder_and_lfw_is_not_among_them(tmp_path, photos):
    (tmp_path / "lfw" / "A_One").mkdir(parents=True)
    result = call("-o", tmp_path / "pack", "--data", tmp_path)
    assert isinstance(result.exception, UsageError) and "celeba, utkface" in str(result.exception)
    (tmp_path / "utkface").mkdir()
    (photos / "astronaut.png").rename(tmp_path / "utkface" / "30_1_0_20170116174525125.jpg.chip.jpg")
    result = call("-o", tmp_path / "pack", "--workers", 1, data=tmp_path)
    assert result.exit_code == 0, result.output
    assert open_pack(tmp_path / "pack").columns["set"].tolist() == ["utkface"]


def test_more_of_utkface_is_found_below_the_data_folder_without_near_copies_of_part_one(tmp_path, photos):
    from PIL import Image

    # Four photos of part one: one of them is tested. Another quality makes another file of the same photo.
    for n, folder in enumerate(["utkface"] * 4 + ["utkface_more"]):
        (tmp_path / folder).mkdir(exist_ok=True)
        place = tmp_path / folder / f"30_1_0_{n}.jpg.chip.jpg"
        Image.open(photos / "astronaut.png").crop((96, 0, 352, 256)).save(place, quality=90 - n)
    result = call("-o", tmp_path / "pack", "--workers", 1, data=tmp_path)
    assert result.exit_code == 0, result.output
    assert "(utkface 4, utkface_more 1); left out: 0 without a face, 0 copies, 1 near copies" in result.stdout
    assert set(open_pack(tmp_path / "pack").columns["set"].tolist()) == {"utkface"}


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((), UsageError, "where are the data sets"),
        (("--set", "lfw=/photos"), UsageError, "evaluation only"),
        (("--set", "celeba"), UsageError, "expected KIND=DIR"),
        (("--set", "csv=x", "--set", "csv=y"), UsageError, "given already"),
        (("--set", "celebA=."), DataError, "did you mean 'celeba'"),
        (("--set", "celeba=/nowhere"), DataError, "no such folder"),
        (("--set", "utkface_more=/nowhere"), UsageError, "needs utkface beside it"),
        (("--most", "35"), UsageError, "--most goes with --light"),
        (("--light", "/nowhere"), DataError, "no training pack"),
        (("--light", "/nowhere", "--set", "csv=x"), UsageError, "leave out --set"),
        (("--light", "/nowhere", "--frame", "2.2", "0.6"), UsageError, "leave out --set and --frame"),
    ],
)
def test_a_wrong_call_is_one_clear_error_and_makes_nothing(tmp_path, arguments, error, text):
    result = call("-o", tmp_path / "pack", *arguments)
    assert isinstance(result.exception, error) and text in str(result.exception)
    assert list(tmp_path.iterdir()) == []
