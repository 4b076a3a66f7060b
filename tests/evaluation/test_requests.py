"""The paper's outputs, and the names that stand for a request."""

import pytest

from facepriv.errors import UsageError
from facepriv.evaluation.requests import OWN, RANDOM, all_outputs, named_output, paper_outputs, possible


def test_the_paper_has_fifteen_outputs_and_each_name_stands_for_its_request():
    outputs = paper_outputs(strength=0.5)
    assert len(outputs) == 15 and {request.strength for request in outputs.values()} == {0.5}
    assert all(named_output(name, strength=0.5) == request for name, request in outputs.items())
    assert outputs["gender+age=old"].hidden == ("gender", "age")
    assert [named_output(n) for n in (RANDOM, OWN)] == [all_outputs()[n] for n in (RANDOM, OWN)]


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


def test_a_method_is_asked_only_for_what_it_can_change():
    assert list(possible(all_outputs(), ("gender",))) == ["gender", RANDOM, OWN]
    assert list(possible(all_outputs(), ())) == [OWN]
