"""Methods under names of one's own, with settings; the paper's outputs, and the names that stand for a request."""

import pytest

from facepriv.errors import UsageError
from facepriv.evaluation.setup import OWN, RANDOM, aliased, named_output, paper_outputs
from facepriv.protection.pipeline import build_pipeline
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import registry


def test_a_method_stands_there_as_it_is_and_set_in_two_ways():
    texts = ["privacynet", "plain=privacynet:precision=float32", "privacynet:precision=fastest"]
    names, known, strengths = aliased(registry(), texts)
    assert names == ("privacynet", "plain", "privacynet:precision=fastest")
    assert known.find("method", "plain").options == {"precision": "float32"}
    assert known.find("method", names[2]).options == {"precision": "fastest"}
    assert known.find("method", "privacynet").options == {} and known.component("method", "plain") == "privacynet"
    assert "plain" not in registry().descriptors("method") and strengths == {}


def test_a_strength_of_its_own_is_the_requests_and_no_setting_of_the_method():
    texts = ["privacynet", "half=privacynet:strength=0.5", "privacynet:precision=float32:strength=0.8"]
    names, known, strengths = aliased(registry(), texts)
    assert strengths == {"half": 0.5, names[2]: 0.8}
    assert known.find("method", "half").options == {} and known.find("method", names[2]).options == {
        "precision": "float32"
    }


def test_an_alias_draws_the_noise_of_the_method_that_it_stands_for():
    _, known, _ = aliased(registry(), ["other=face-mixing:shape=0.4"])
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
        (["privacynet:strength=2"], "'privacynet:strength=2': strength is a number from 0 to 1, not '2'"),
        (["privacynet:strength=nan"], "strength is a number from 0 to 1, not 'nan'"),
        (["privacynet:strength=half"], "strength is a number from 0 to 1, not 'half'"),
    ],
)
def test_a_wrong_name_or_setting_is_one_line(texts, error):
    with pytest.raises(UsageError, match=error):
        aliased(registry(), texts)


def test_the_paper_has_fifteen_outputs_and_each_name_stands_for_its_request():
    outputs = paper_outputs(strength=0.5)
    assert len(outputs) == 15 and {request.strength for request in outputs.values()} == {0.5}
    assert all(named_output(name, strength=0.5) == request for name, request in outputs.items())
    assert outputs["gender+age=old"].hidden == ("gender", "age") and outputs["age=old"].targets == {"age": "old"}
    assert all(
        request.hidden == tuple(n.partition("=")[0] for n in name.split("+")) for name, request in outputs.items()
    )
    drawn, own = named_output(RANDOM, strength=0.5), named_output(OWN)
    assert (drawn.hidden, drawn.policy, drawn.strength) == (("gender",), "random", 0.5) and own.hidden == ()


def test_an_attribute_may_stand_without_a_class_and_be_aimed_at_any():
    assert named_output("race+age").targets == {} and named_output("race+age").hidden == ("race", "age")
    assert named_output("gender=female").targets == {"gender": "female"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gendre", "did you mean 'gender'"),
        ("gender+gender", "names gender twice"),
        ("age=ancient", "young, middle"),
        ("", "known"),
    ],
)
def test_a_wrong_name_is_refused_with_what_is_known(name, said):
    with pytest.raises(UsageError, match=said):
        named_output(name)
