"""Which units multiply bfloat16, and what follows from it, on processors of every kind."""

import pytest
import torch

from facepriv.cli.doctor_checks import examine
from facepriv.inference.devices import bfloat16_units, multiplies_bfloat16
from facepriv.registry import Registry
from facepriv.training.steps import mixed_precision


@pytest.fixture
def processor(monkeypatch):
    """Pretend that the processor has these features and no others."""

    def set_features(*, amx=False, avx512_bf16=False, arm_bf16=False, machine="x86_64", mkldnn=True):
        monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx)
        monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: avx512_bf16)
        monkeypatch.setattr("platform.machine", lambda: machine)
        monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: mkldnn)
        # Yes on x86, too, as processors with AVX-512 answer.
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: arm_bf16 or machine == "x86_64")

    return set_features


@pytest.mark.parametrize(
    ("features", "units"),
    [
        ({}, ""),
        ({"amx": True, "avx512_bf16": True}, "AMX"),
        ({"avx512_bf16": True}, "AVX512_BF16"),
        ({"machine": "aarch64", "arm_bf16": True}, "Arm BF16"),
        ({"machine": "aarch64"}, ""),
        ({"machine": "arm64", "arm_bf16": True, "mkldnn": False}, ""),
    ],
)
def test_what_the_processor_has_decides(processor, features, units):
    processor(**features)
    assert bfloat16_units("cpu") == units
    assert multiplies_bfloat16("cpu") is bool(units)


@pytest.mark.parametrize("native", [True, False])
def test_a_card_that_only_emulates_bfloat16_has_no_units(monkeypatch, native):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert bfloat16_units("cuda") == ("CUDA" if native else "")


def test_other_devices_have_none_that_is_known(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert bfloat16_units("mps") == "" and bfloat16_units("cuda") == ""


@pytest.mark.parametrize(
    ("features", "trains_in", "said"),
    [
        ({"avx512_bf16": True}, "bf16", "bfloat16 by default: cpu multiplies it in hardware (AVX512_BF16)"),
        ({}, "no", "float32 by default: cpu has no units that multiply bfloat16"),
    ],
)
def test_training_follows_and_doctor_says_which_and_why(processor, monkeypatch, features, trains_in, said):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    processor(**features)
    assert mixed_precision(None) == trains_in
    assert mixed_precision("no") == "no"
    (found,) = [finding.text for finding in examine(Registry([])) if finding.subject == "precision"]
    assert found == said
