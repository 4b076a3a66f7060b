"""Settings as text: what of a constructor may be set, how values are read, and which line a wrong one gets."""

from pathlib import Path
from typing import Literal

import pytest

from facepriv.errors import UsageError
from facepriv.hookspecs import Descriptor
from facepriv.registry import Plugin, Registry
from facepriv.settings import configured


class Everything:
    """A parameter of every kind that is read."""

    def __init__(
        self,
        steps: int = 3,
        share: float = 0.5,
        deep: bool = False,
        how: Literal["near", "far"] = "near",
        against: tuple[str, ...] = (),
        sizes: tuple[int, ...] = (1,),
        gallery: Path | None = None,
        limit: float | None = 1.0,
        weights: str | Path | None = None,
        plain="x",
        number=4,
        *rest,
        fixed: int = 1,
        **more,
    ):
        self.steps = steps


class Unresolvable:
    def __init__(self, steps: "OnlyForCheckers" = 3):  # noqa: F821
        self.steps = steps


class Bare:
    pass


def known(target):
    descriptor = Descriptor("method", "one", f"{__name__}:{target}", "a test", options={"fixed": 2})
    return Registry([Plugin("x", "x", "1", (descriptor,))])


def options(*texts, target="Everything"):
    found = configured(known(target), texts, ("one",)).find("method", "one").options
    assert found["fixed"] == 2
    return {name: value for name, value in found.items() if name != "fixed"}


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("one.steps=12", "steps", 12),
        ("one.share=0.25", "share", 0.25),
        ("one.deep=true", "deep", True),
        ("one.deep=No", "deep", False),
        ("one.how=far", "how", "far"),
        ("one.against=family-a-gender, family-a-race", "against", ("family-a-gender", "family-a-race")),
        ("one.against=", "against", ()),
        ("one.sizes=1,20", "sizes", (1, 20)),
        ("one.gallery=a=b/c,d", "gallery", Path("a=b/c,d")),
        ("one.gallery=none", "gallery", None),
        ("one.limit=2.5", "limit", 2.5),
        ("one.limit=none", "limit", None),
        ("one.weights=w.safetensors", "weights", "w.safetensors"),
        ("one.plain=7", "plain", "7"),
        ("one.number=7", "number", 7),
    ],
)
def test_a_value_is_read_as_the_constructor_has_it(text, name, value):
    assert options(text) == {name: value}
    assert type(options(text)[name]) is type(value)


def test_an_annotation_that_cannot_be_resolved_leaves_the_defaults_type():
    assert options("one.steps=5", target="Unresolvable") == {"steps": 5}


def test_several_settings_add_up_and_none_changes_nothing():
    assert options("one.steps=5", "one.share=1") == {"steps": 5, "share": 1.0}
    assert options() == {}


def test_the_registry_that_was_given_stays_as_it_is():
    first = known("Everything")
    configured(first, ["one.steps=5"], ("one",))
    assert first.find("method", "one").options == {"fixed": 2}


def test_models_are_set_as_methods_are_and_a_name_for_two_things_is_refused():
    found = [Descriptor(kind, "one", f"{__name__}:Everything", "a test") for kind in ("estimator", "matcher")]
    both = Registry([Plugin("x", "x", "1", tuple(found))])
    for kind, used in (("estimator", {"estimators": ["one"]}), ("matcher", {"matchers": ["one"]})):
        assert configured(both, ["one.steps=5"], (), **used).find(kind, "one").options == {"steps": 5}
    with pytest.raises(UsageError, match="both estimator and matcher have this name"):
        configured(both, ["one.steps=5"], (), estimators=["one"], matchers=["one"])
    with pytest.raises(UsageError, match="'two' is not used in this call, which uses one"):
        configured(both, ["two.steps=5"], (), estimators=["one", "one"])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one.step=5", "--set one.step: no such setting (did you mean 'steps'"),
        ("one.fixed=5", "--set one.fixed: no such setting"),
        ("one.rest=5", "--set one.rest: no such setting"),
        ("one.more=5", "--set one.more: no such setting"),
        ("one.steps=many", "--set one.steps=many: expected a whole number"),
        ("one.share=half", "--set one.share=half: expected a number"),
        ("one.deep=maybe", "--set one.deep=maybe: expected true or false"),
        ("one.how=fa", "--set one.how=fa: expected one of near, far (did you mean 'far'?)"),
        ("one.sizes=1,x", "--set one.sizes=1,x: expected a whole number"),
        ("one.limit=x", "--set one.limit=x: expected a number"),
        ("one.gallery=", "--set one.gallery=: expected a file or folder"),
        ("one.weights=", "--set one.weights=: expected a file or folder"),
        ("two.steps=5", "--set two.steps: 'two' is not used in this call, which uses one"),
        ("steps=5", "--set 'steps=5': expected METHOD.NAME=VALUE"),
        ("one.steps", "--set 'one.steps': expected METHOD.NAME=VALUE"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(text, line):
    with pytest.raises(UsageError) as error:
        options(text)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_a_setting_given_twice_is_refused():
    with pytest.raises(UsageError, match=r"--set one\.steps: given twice"):
        options("one.steps=5", "one.steps=6")


def test_a_method_without_settings_says_so():
    with pytest.raises(UsageError, match="one has nothing to set"):
        options("one.steps=5", target="Bare")
