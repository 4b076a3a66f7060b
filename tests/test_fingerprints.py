"""A component's hash follows its own code and data, and not what else its package holds."""

import ast
import sys

import pytest

from facepriv.errors import DataError
from facepriv.fingerprints import CODE, DATA, WEIGHTS, file_hash, package_hash, target_hash


@pytest.fixture
def package(tmp_path, monkeypatch):
    root = tmp_path / "some_method"
    root.mkdir()
    (root / "__init__.py").write_text("")
    (root / "method.py").write_text(
        "import json\nfrom . import nets\n\ndef late():\n    from some_method.warp import bend\n    return bend\n"
    )
    (root / "nets.py").write_text("from facepriv.schema import ATTRIBUTES\n")
    (root / "warp.py").write_text("def bend(): pass\n")
    (root / "training.py").write_text("from some_method.method import late\n")
    (root / "net.safetensors").write_bytes(b"1")
    monkeypatch.syspath_prepend(tmp_path)
    yield root
    sys.modules.pop("some_method", None)  # looking for its modules imports the package


@pytest.mark.parametrize(
    ("file", "matters"),
    [
        ("method.py", True),
        ("nets.py", True),  # a relative import
        ("warp.py", True),  # an import inside a function
        ("net.safetensors", True),
        ("training.py", False),
        ("README.md", False),
    ],
)
def test_a_target_hash_follows_what_the_target_uses(package, file, matters):
    before = target_hash("some_method.method:Method")
    assert before == target_hash("some_method.method:Method")
    with (package / file).open("a") as open_file:
        open_file.write("# changed\n")
    assert (target_hash("some_method.method:Method") != before) is matters


def test_no_file_is_parsed_twice_while_it_stays_the_same(package, monkeypatch):
    parsed = []
    parse = ast.parse
    monkeypatch.setattr(ast, "parse", lambda text: parsed.append(text) or parse(text))
    target_hash("some_method.method:Method")
    assert parsed
    parsed.clear()
    target_hash("some_method.method:Method")
    assert not parsed
    (package / "warp.py").write_text("import some_method.training\n")
    target_hash("some_method.method:Method")
    assert [text for text in parsed if b"some_method.training" in text]


def test_data_that_does_not_matter_can_be_left_out(package):
    before = target_hash("some_method.method:Method", DATA - WEIGHTS)
    (package / "net.safetensors").write_bytes(b"2")
    assert target_hash("some_method.method:Method", DATA - WEIGHTS) == before
    code = package_hash("some_method", CODE)
    (package / "net.safetensors").write_bytes(b"3")
    assert package_hash("some_method", CODE) == code != package_hash("some_method")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jpg"):
        file_hash(tmp_path / "gone.jpg")
