"""Every example in the docstrings that the API reference shows runs, and prints what it says."""

import doctest
import inspect
import re
from importlib import import_module

import pytest
from page_lines import ROOT

_SHOWN = re.findall(
    r"^::: (facepriv\S*)$", "\n".join(p.read_text() for p in sorted((ROOT / "docs/reference").glob("*.md"))), re.M
)


def named(target):
    """Return the module, class or function of a dotted name."""
    try:
        return import_module(target)
    except ModuleNotFoundError:
        module, _, name = target.rpartition(".")
        return getattr(import_module(module), name)


def examples(target):
    found = named(target)
    module = found if inspect.ismodule(found) else inspect.getmodule(found)
    return [test for test in doctest.DocTestFinder().find(found, target, module=module) if test.examples]


TESTS = [test for target in ("facepriv", *_SHOWN) for test in examples(target)]


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
def test_example_prints_what_it_says(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    doctest.DocTestRunner().run(test, out=said.append)
    assert not said, "".join(said)
