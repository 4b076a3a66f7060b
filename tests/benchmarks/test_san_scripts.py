"""The benchmarks of the SAN family: what is told is what was measured."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from facepriv_san import family
from facepriv_san.network import San

from facepriv.errors import UsageError
from facepriv.evaluation.truth import Truth
from facepriv.metrics.bootstrap import Estimate
from facepriv.registry import registry
from facepriv.weights import Provenance


@pytest.fixture
def weights(tmp_path):
    """A file of three networks of random weights."""

    def make(name="made", **wanted):
        torch.manual_seed(0)
        nets = torch.nn.ModuleList(San() for _ in range(3))
        form = family.Form(**{"size": 32, **wanted})
        family.save(
            tmp_path / f"{name}.safetensors", nets.state_dict(), [False] * 3, form, Provenance("a", "b", "c"), {}
        )
        return tmp_path / f"{name}.safetensors"

    return make


@pytest.fixture
def known(weights):
    path = str(weights().absolute())
    found = registry()
    for method in ("san", "ensemble-san", "flow-san"):
        found = found.with_options("method", method, {"weights": path})
    return found


def test_every_way_of_using_the_family_is_compared(san_family, known, tmp_path):
    names = [output.name for output in san_family.outputs(known, tmp_path / "authors.safetensors", ())]
    members = [f"ensemble-san:{m}" for m in ("random", 1, 2, 3)]
    assert names == ["san", "authors", "ensemble-san", *members, "flow-san:1", "flow-san:2", "flow-san:3"]
    assert [o.settings for o in san_family.outputs(known, None, ("flow-san:2",))] == [{"depth": 2}]
    with pytest.raises(UsageError, match="--output flow-san:4: there are san, ensemble-san"):
        san_family.outputs(known, None, ("flow-san:4",))


def test_weights_that_are_not_packaged_are_given_by_method(san_family, weights):
    path = weights()
    found = san_family.weighted(registry(), (f"san={path}",))
    assert found.create("method", "san").weights_path() == path
    for bad in ("san", "san=/nowhere.safetensors"):
        with pytest.raises(UsageError, match="expected METHOD=FILE"):
            san_family.weighted(registry(), (bad,))


def test_diversity_is_the_share_of_photos_on_which_two_members_are_judged_differently(san_family):
    def said(female):
        female = np.array(female)
        return {"judge": np.stack([1 - female, female], 1)}

    looks = {
        "ensemble-san": said([0.9, 0.9, 0.9, 0.9]),
        "ensemble-san:random": said([0.9, 0.9, 0.9, 0.9]),
        "ensemble-san:1": said([0.9, 0.1, 0.9, np.nan]),
        "ensemble-san:2": said([0.8, 0.9, 0.6, np.nan]),
        "ensemble-san:3": said([0.1, 0.2, 0.3, 0.4]),
    }
    truth = Truth(np.array(list("abcd")), True, {"gender": np.zeros(4, np.int64)}, np.full(4, np.nan))
    found = san_family.diversity(looks, "judge", truth, 20)
    assert {pair: share.value for pair, share in found.items()} == {
        "ensemble-san:1 and ensemble-san:2": 0.25,
        "ensemble-san:1 and ensemble-san:3": 0.75,
        "ensemble-san:2 and ensemble-san:3": 1.0,
    }


@pytest.mark.parametrize(("eer", "tmr", "holds"), [(0.4, 0.9, [True] * 3), (0.3, 0.8, [False] * 3)])
def test_san_beats_its_authors_only_with_a_higher_eer_at_no_lower_tmr(san_family, eer, tmr, holds):
    def said(eer, tmr):
        def estimate(value):
            return Estimate(value, value, value)

        point = {"tmr": estimate(tmr)}
        judges = {"weak": {"eer_before": estimate(0.2), "eer_after": estimate(0.0)}}
        judges["strong"] = {"eer_before": estimate(0.02), "eer_after": estimate(eer)}
        return {"gender": judges, "matching": {"dlib": {"(X1', X2')": {"own": point, "fixed": point}}}}

    found = {"san": said(eer, tmr), "authors": said(0.35, 0.85)}
    assert list(san_family.against_authors(found, ("strong", "weak"), "dlib").values()) == holds


def test_a_small_set_is_measured_from_end_to_end(san_family, small_lfw, weights, tmp_path):
    path = tmp_path / "result.json"
    file = weights()
    given = ["--data", str(small_lfw), "--work", str(tmp_path / "work"), "--limit", "8", "--workers", "1"]
    given += [part for method in ("san", "ensemble-san", "flow-san") for part in ("--weights", f"{method}={file}")]
    given += ["--output", "san", "--judge", "family-b-gender", "--replicates", "10", "--json", str(path)]
    result = CliRunner().invoke(san_family.main, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(path.read_text())
    assert found["people"] == 8 and set(found["outputs"]) == {"san"}
    assert 0 <= found["outputs"]["san"]["gender"]["family-b-gender"]["eer_after"]["value"] <= 1
    assert "EER, family-b-gender" in result.output


def test_without_a_place_the_call_is_refused(san_family, monkeypatch):
    monkeypatch.delenv("FACEPRIV_DATA", raising=False)
    result = CliRunner().invoke(san_family.main, [])
    assert result.exit_code != 0 and "give --data or FACEPRIV_DATA" in result.output
