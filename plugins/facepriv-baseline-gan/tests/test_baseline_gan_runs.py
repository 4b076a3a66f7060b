"""From a pack to weights to protected faces, without any matcher; and weights that are not mistaken for another's."""

import numpy as np
import pytest
from click.testing import CliRunner
from facepriv_baseline_gan.method import BASELINE, BaselineGan
from facepriv_privacynet.method import PrivacyNet

from facepriv.cli import main
from facepriv.errors import WeightsError
from facepriv.testing import checks
from facepriv.testing.packs import little_pack
from facepriv.weights import load_weights

QUICK = ("--steps", "1", "--batch", "2", "--set", "judges_batch=2", "--set", "warm_up=0", "--precision", "no")


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """The folder of a run of one step on real faces, exported; nothing that anybody would take for a trained model."""
    place = tmp_path_factory.mktemp("baseline-gan")
    little_pack(place / "pack")
    call = ["train", "baseline-gan", str(place / "pack"), "-o", str(place / "run"), *QUICK]
    for arguments in (call, [*call, "--export"]):
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    return place / "run"


@pytest.fixture(scope="session")
def weights(run):
    return run / "baseline-gan.safetensors"


def test_a_run_needs_no_matcher_and_its_weights_say_that_none_was_seen(weights):
    metadata = load_weights(weights, architecture=BASELINE.architecture).metadata
    assert metadata.provenance.seen == ("family-a-gender", "family-a-race", "family-a-age")
    assert metadata.provenance.command.startswith("facepriv train baseline-gan PACK --preset ours --steps 1")
    assert "--matcher" not in metadata.provenance.command
    assert "cosine" not in metadata.config["validation"] and "eer_gender" in metadata.config["validation"]


def test_weights_of_the_one_method_are_refused_by_the_other(weights):
    with pytest.raises(WeightsError, match="'privacynet-generator' is needed"):
        PrivacyNet(weights).info()
    with pytest.raises(WeightsError, match="'baseline-gan-generator' is needed"):
        BaselineGan(PrivacyNet().weights_path()).info()


def test_conforms_with_weights_of_a_run(weights):
    factory = lambda **options: BaselineGan(**{"weights": weights, **options})  # noqa: E731
    failed = {check.name: result.detail for check in checks(factory) if not (result := check.result()).passed}
    assert not failed


def test_info_names_this_distribution_and_what_was_seen(weights):
    info = BaselineGan(weights).info()
    assert info["weights"] == load_weights(weights).sha256 and info["version"] == BASELINE.version
    assert "mobilefacenet" not in info["seen"]


def test_privacynet_asks_for_the_matcher_that_the_baseline_does_without(tmp_path):
    missing = CliRunner().invoke(main, ["train", "privacynet", str(tmp_path), "-o", str(tmp_path / "run")])
    assert missing.exit_code == 2 and "--matcher" in missing.stderr
    assert not (tmp_path / "run").exists()


def test_the_generator_is_exported_for_other_programs(weights, tmp_path):
    import onnxruntime

    out = tmp_path / "baseline.onnx"
    result = CliRunner().invoke(main, ["export", "baseline-gan", "--onnx", str(out), "--weights", str(weights)])
    assert result.exit_code == 0, result.output
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["method"] == "baseline-gan"
    feeds = {"images": np.full((3, 3, 112, 112), 0.5, np.float32), "labels": np.zeros((3, 9), np.float32)}
    feeds |= {given.name: np.ones((3, 1, 28, 28), np.float32) for given in session.get_inputs()[2:]}  # outlines
    assert session.run(None, feeds)[0].shape == (3, 3, 112, 112)
