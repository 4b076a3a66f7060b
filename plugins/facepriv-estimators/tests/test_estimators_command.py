"""The training command: what it writes, and what it refuses before it trains."""

import pytest
from click.testing import CliRunner
from facepriv_estimators.cli import command
from facepriv_estimators.families import architecture

from facepriv.errors import DataError
from facepriv.testing.packs import little_pack
from facepriv.weights import load_weights


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """Two faces in each part, all in half A."""
    return little_pack(tmp_path_factory.mktemp("estimators") / "pack", each=1)


def called(pack, out, family):
    # Two steps: an epoch is two faces, a step 64.
    return CliRunner().invoke(command, [str(pack), "--family", family, "-o", str(out), "--epochs", "64"])


def test_a_family_is_written_with_its_provenance_and_figures(pack, tmp_path):
    done = called(pack, tmp_path / "new" / "out", "a")
    path = tmp_path / "new" / "out" / "family_a.safetensors"
    assert done.exit_code == 0 and done.stdout.startswith(f"{path}  gender_portraits ")
    metadata = load_weights(path, architecture=architecture("a")).metadata
    assert metadata.provenance.command == "facepriv train estimators PACK --family a --epochs 64"
    assert metadata.provenance.trained_on == "half a of the training part of portraits"
    assert set(metadata.config["validation"]) == {"gender_portraits", "race_portraits", "mae_portraits"}


def test_a_folder_that_cannot_be_made_and_an_empty_half_are_named_before_training(pack, tmp_path, monkeypatch):
    monkeypatch.setattr("facepriv_estimators.training.train", lambda *_: pytest.fail("trained"))
    (tmp_path / "file").write_text("no folder")
    for family, said in (("a", "file: the folder cannot be made"), ("b", "pack: .* no faces in half b")):
        with pytest.raises(DataError, match=said):
            raise called(pack, tmp_path / "file", family).exception
