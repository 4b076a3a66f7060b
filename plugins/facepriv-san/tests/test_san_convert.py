"""Published weights become ours; anything else is one line, and nothing in it runs."""

import pickle

import pytest
import torch
from click.testing import CliRunner
from facepriv_san import convert, family
from facepriv_san.network import San

from facepriv.cli import main
from facepriv.errors import WeightsError
from facepriv.weights import load_weights


def converted(file, out):
    return CliRunner().invoke(main, ["convert", "san", str(file), "-o", str(out)])


@pytest.fixture
def published(tmp_path):
    """A file as the authors saved theirs, of random weights."""
    torch.manual_seed(3)
    net = San()
    torch.save(net.state_dict(), tmp_path / "published.pkl", _use_new_zipfile_serialization=False)
    return tmp_path / "published.pkl", net.state_dict()


def test_a_published_file_becomes_ours_with_where_it_is_from(published, tmp_path):
    file, state = published
    result = converted(file, tmp_path / "out.safetensors")
    assert result.exit_code == 0, result.output
    weights = load_weights(tmp_path / "out.safetensors", framework="torch", architecture=family.ARCHITECTURE)
    form = family.read_form(weights.metadata.config["form"])
    assert (form.size, form.output, form.gain, form.frame) == (224, "published", 1.0, family.PUBLISHED)
    assert "iPRoBe-lab" in weights.metadata.provenance.trained_on and weights.metadata.provenance.licence == "MIT"
    assert weights.metadata.provenance.seen == ()
    loaded = family.load(tmp_path / "out.safetensors", None, "cpu").nets[0]
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())


def test_the_authors_file_is_converted(authors_file, tmp_path):
    assert converted(authors_file, tmp_path / "authors.safetensors").exit_code == 0


class Evil:
    def __reduce__(self):
        return (open, ("was-run", "w"))


@pytest.mark.parametrize("kind", ["code", "text", "cut", "none", "others"])
def test_what_is_no_published_network_is_one_line_and_leaves_nothing(kind, published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "bad.pkl"
    if kind == "code":
        file.write_bytes(pickle.dumps({"autoencoder.0.weight": Evil()}))
    elif kind == "text":
        file.write_text("weights")
    elif kind == "cut":
        file.write_bytes(published[0].read_bytes()[:2000])
    elif kind == "others":
        torch.save(torch.nn.Linear(2, 2).state_dict(), file)
    result = converted(file, tmp_path / "out.safetensors")
    assert result.exit_code != 0
    assert result.stderr.startswith(f"facepriv: error: {file}: ") and result.stderr.count("\n") == 1, result.stderr
    assert not (tmp_path / "was-run").exists() and not (tmp_path / "out.safetensors").exists()


def test_the_error_names_what_differs(published):
    file, state = published
    state["autoencoder.9.weight"] = torch.zeros(64, 256, 3, 3)
    torch.save(state, file)
    with pytest.raises(WeightsError, match=r"differs in autoencoder\.9\.weight"):
        convert.read(file)
