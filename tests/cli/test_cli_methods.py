"""`methods`: the listing, and the facts of one method."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from facepriv.cli import main
from facepriv.errors import UsageError
from facepriv.registry import registry
from facepriv.settings import settings_of
from facepriv.weights import load_weights

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTIONS = {path.parent.name for path in ROOT.glob("*/*/pyproject.toml")}
#: The methods of this repository that are installed.
SHIPPED = [n for n, d in registry().descriptors("method").items() if registry().owner(d).distribution in DISTRIBUTIONS]


def call(*arguments):
    return CliRunner().invoke(main, ["methods", *arguments])


class TestListing:
    def test_a_method_is_one_line_with_what_it_changes(self, tiny):
        result = call()
        assert result.exit_code == 0
        lines = [line for line in result.stdout.splitlines() if line.startswith("paint ")]
        assert [line.split(maxsplit=1)[1] for line in lines] == ["gender, race, age  test method paint"]

    def test_the_methods_of_this_repository_fit_80_columns(self):
        widths = {line.split()[0]: len(line) for line in call().stdout.splitlines()}
        assert SHIPPED
        assert not {name: widths[name] for name in ("method", *SHIPPED) if widths[name] > 80}

    def test_json(self, tiny):
        rows = {row["name"]: row for row in json.loads(call("--json").stdout)}
        texts = {"summary": "test method grey", "reference": "nowhere", "distribution": "tiny-plugin"}
        assert rows["grey"] == {"name": "grey", "attributes": ["race"], **texts}


#: A method of a third party: a docstring in Google style, a setting that is required, no weights.
THIRD_PARTY = """
    from facepriv.contracts import Perturber
    from facepriv.hookspecs import Descriptor, hookimpl

    FACEPRIV_CONTRACT = 2

    @hookimpl
    def facepriv_components():
        return [Descriptor("method", "flat", __name__ + ":Flat", "a flat face", attributes=("gender",))]

    class Base(Perturber):
        '''A base.

        Parameters
        ----------
        deep : bool
            Described by the base.
        amount : int, 0 to 9
            Described by the class itself.
        '''

    class Flat(Base):
        '''Paints the face.

        Args:
            colours (tuple of float): Red, green
                and blue.
            amount (float, 0 to 2): How much.
        '''

        attributes = ("gender",)
        crop_size = 96
        neutral = ("gender",)

        def __init__(self, colours: tuple[float, ...], amount: float | None = None, deep: bool = True):
            self.colours = colours

        def _perturb(self, faces, source, target, strength, rngs):
            return faces.images
"""

UNTRAINED = f"""{THIRD_PARTY}
        def weights_path(self):
            from facepriv.weights import packaged_weights
            return packaged_weights("facepriv_estimators.weights", "flat")

        def info(self):
            return {{"weights": str(self.weights_path())}}
""".replace("colours: tuple[float, ...],", "colours: tuple[float, ...] = (),")


def facts(name):
    result = call(name, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


class TestOneMethod:
    def test_declarations_and_settings_of_a_third_party_need_no_work_of_its_author(self, install_plugin):
        install_plugin("flat-plugin", THIRD_PARTY)
        found = facts("flat")
        assert found["about"] == "Paints the face."
        assert (found["attributes"], found["neutral"], found["crop_size"]) == (["gender"], ["gender"], 96)
        assert found["targets"] == {"gender": ["male", "female", "same", "opposite", "neutral"]}
        assert (found["distribution"], found["version"]) == ("flat-plugin", "1.2.3")
        colours, amount, deep = found["settings"]
        assert colours["required"] and colours["description"] == "Red, green and blue."
        assert (amount["type"], amount["limits"], amount["default"]) == ("number or none", "0 to 2", None)
        assert (deep["type"], deep["default"], deep["description"]) == ("true | false", True, "Described by the base.")
        # What only an instance knows cannot be read without the required setting.
        assert found["weights"] is None and found["seen"] is None
        assert "colours" in found["problems"][0]
        result = call("flat")
        assert "colours  Red, green and blue. [number,...; required]" in result.stdout
        assert "weights   not known, see the warning" in result.stdout
        assert result.stderr.startswith("facepriv: warning: method 'flat' cannot be built")

    def test_choices_are_listed_and_what_the_descriptor_fixes_is_not(self, tiny):
        amount, how = facts("tuned")["settings"]
        assert (how["name"], how["choices"], how["default"]) == ("how", ["evenly", "below"], "evenly")
        assert amount["name"] == "amount"
        assert "[evenly | below; default: evenly]" in call("tuned").stdout

    def test_what_a_method_states_of_itself(self, tiny):
        found = facts("paint")
        assert (found["needs"], found["paste"], found["stochastic"]) == (["labels"], "replacement", False)
        assert found["seen"] == ["bright-gender"]
        assert [(w["file"], w["sha256"]) for w in found["weights"]] == [(None, "f" * 64)]
        assert facts("grey")["weights"] == []
        assert "none of its own" in call("grey").stdout

    def test_a_method_without_its_weights_is_shown_with_the_reason(self, install_plugin):
        install_plugin("flat-plugin", UNTRAINED)
        result = call("flat")
        assert result.exit_code == 0
        assert "crop      96 pixels" in result.stdout
        assert "weights   not known, see the warning" in result.stdout
        assert result.stderr.startswith(
            "facepriv: warning: facepriv-estimators comes without the weights 'flat': train"
        )
        assert result.stderr.count("\n") == 1

    def test_weights_are_shown_with_their_provenance(self):
        for name in SHIPPED:
            for weights in facts(name)["weights"]:
                origin = load_weights(weights["file"]).metadata.provenance
                assert (weights["licence"], weights["trained_on"]) == (origin.licence, origin.trained_on)
        lines = dict(line.split(maxsplit=1) for line in call("privacynet").stdout.splitlines() if line)
        assert lines["licence"] == "research use (of the weights)"
        assert lines["seen"] == "mobilefacenet, family-a-gender, family-a-race, family-a-age (in training)"
        assert lines["source"].startswith("Mirjalili")

    def test_the_page_is_the_readme_that_the_package_was_built_with(self):
        assert call("pixelate", "--page").stdout.startswith("# facepriv-pixelate")
        assert "facepriv methods pixelate --page" in call("pixelate").stdout

    def test_a_package_without_a_readme_has_no_page(self, tiny):
        assert "--page" not in call("grey").stdout
        result = call("grey", "--page")
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert "tiny-plugin was built without a README" in result.stderr

    @pytest.mark.parametrize(
        ("arguments", "code", "text"),
        [
            (["privacynt"], 2, "unknown method 'privacynt' (did you mean 'privacynet'"),
            (["unloadable"], 1, "method 'unloadable' cannot be loaded from tiny_methods:NotThere"),
            (["--page"], 2, "--page: name a method"),
        ],
    )
    def test_a_wrong_call_is_one_line(self, tiny, arguments, code, text):
        result = call(*arguments)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1)
        assert result.stderr.startswith(f"facepriv: error: {text}")


_LIMIT = re.compile(
    r"(?P<low>-?[\d.]+) to (?P<high>-?[\d.]+)"
    r"|above (?P<above>[\d.]+)|at least (?P<least>[\d.]+)|at most (?P<most>[\d.]+)"
)


def _numbers():
    """Yield the settings of the methods here that are numbers."""
    for name in SHIPPED:
        for setting in settings_of(registry().find("method", name)):
            if "number" in setting.type and not setting.type.endswith("..."):
                yield pytest.param(name, setting, id=f"{name}.{setting.name}")


@pytest.mark.parametrize(("name", "setting"), list(_numbers()))
def test_the_limits_that_a_docstring_states_are_those_that_the_method_checks(name, setting):
    step = 1 if "whole" in setting.type else 0.001
    found = [m.groupdict() for m in _LIMIT.finditer(setting.limits)]
    assert found, "a number states its limits"
    for limits in found:
        allowed = {float(v): k for k, v in limits.items() if v is not None}
        for value, side in allowed.items():
            outside = {"above": value, "low": value - step, "least": value - step}.get(side, value + step)
            inside = value + step if side == "above" else value
            _build(name, setting, inside)
            with pytest.raises(UsageError, match=setting.name):
                _build(name, setting, outside)


def _build(name, setting, value):
    value = int(value) if "whole" in setting.type else value
    registry().create("method", name, **{setting.name: value}).to("cpu")
