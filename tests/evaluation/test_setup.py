"""Methods under names of one's own, with settings."""

import pytest

from facepriv.errors import UsageError
from facepriv.evaluation.setup import aliased
from facepriv.protection.pipeline import build_pipeline
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import registry


def test_a_method_stands_there_as_it_is_and_set_in_two_ways():
    texts = ["privacynet", "plain=privacynet:precision=float32", "privacynet:precision=fastest"]
    names, known = aliased(registry(), texts)
    assert names == ("privacynet", "plain", "privacynet:precision=fastest")
    assert known.find("method", "plain").options == {"precision": "float32"}
    assert known.find("method", names[2]).options == {"precision": "fastest"}
    assert known.find("method", "privacynet").options == {} and known.component("method", "plain") == "privacynet"
    assert "plain" not in registry().descriptors("method")


def test_an_alias_draws_the_noise_of_the_method_that_it_stands_for():
    _, known = aliased(registry(), ["other=face-mixing:shape=0.4"])
    pipelines = [build_pipeline(known, (name,), PrivacyRequest(), key=b"k" * 32) for name in ("face-mixing", "other")]
    assert pipelines[0]._purpose(0) == pipelines[1]._purpose(0) == "face-mixing"


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        (["privacnet"], "unknown method 'privacnet'"),
        (["plain=privacnet"], "unknown method 'privacnet'"),
        (["a=privacynet", "a=sim-zhang"], "two methods are called 'a'"),
        (["sim-zhang", "sim-zhang=privacynet"], "two methods are called 'sim-zhang'"),
        (["san=privacynet"], "'san' is no free name for a method"),
        (["=privacynet"], "'' is no free name"),
        (["privacynet:precision"], "expected METHOD:NAME=VALUE, got 'precision'"),
        (["privacynet:precison=float32"], "no such setting .did you mean 'precision'"),
        (["x=privacynet:precision=half"], "expected one of"),
    ],
)
def test_a_wrong_name_or_setting_is_one_line(texts, error):
    with pytest.raises(UsageError, match=error):
        aliased(registry(), texts)
