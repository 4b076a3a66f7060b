"""docs/architecture.md: the files that it names are there, and its picture shows the layers that lint enforces."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text()


def layers():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return [[name.strip() for name in layer.split("|")] for layer in contracts[0]["layers"]]


def test_every_file_that_the_page_names_is_there():
    named = re.findall(r"`((?:facepriv|plugins)/[\w/.-]+)`", PAGE)
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("package", ["protection", "evaluation", "training"])
def test_the_path_of_a_package_names_most_of_its_modules(package):
    modules = {path.name for path in (ROOT / "facepriv" / package).glob("*.py")} - {"__init__.py"}
    named = set(re.findall(rf"`facepriv/{package}/(\w+\.py)`", PAGE))
    assert named <= modules and len(named) >= 0.5 * len(modules)


def test_the_picture_shows_the_layers_in_their_order():
    shown = re.findall(r"<text[^>]*>([\w|]+)</text>", (ROOT / "docs/architecture.svg").read_text())
    assert shown == [name for layer in layers() for name in layer]
