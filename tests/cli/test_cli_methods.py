"""`methods`: the listing."""

import json
from pathlib import Path

from click.testing import CliRunner

from facepriv.cli import main
from facepriv.registry import registry

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
