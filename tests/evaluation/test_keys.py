"""The key of a component follows the code that it runs on, its data, and its options."""

import sys

import pytest

from facepriv.errors import DataError
from facepriv.evaluation.cache_keys import CODE, component_key, package_hash, plugin_packages
from facepriv.files import file_hash
from facepriv.hookspecs import Descriptor


@pytest.fixture
def package(tmp_path, monkeypatch):
    root = tmp_path / "facepriv_some"
    root.mkdir()
    (root / "__init__.py").write_text("")
    (root / "method.py").write_text(
        "import json\nfrom . import nets\n\ndef late():\n    from facepriv_other import bend\n    return bend\n"
    )
    (root / "nets.py").write_text("from facepriv.schema import ATTRIBUTES\n")
    other = tmp_path / "facepriv_other"
    other.mkdir()
    (other / "__init__.py").write_text("def bend(): pass\n")
    (root / "net.safetensors").write_bytes(b"1")
    monkeypatch.syspath_prepend(tmp_path)
    yield root
    sys.modules.pop("facepriv_some", None)  # looking for its modules imports the package


def descriptor(**options):
    return Descriptor("method", "some", "facepriv_some.method:Method", "a test's", options=options)


@pytest.mark.parametrize(
    ("file", "matters"),
    [
        ("facepriv_some/method.py", True),
        ("facepriv_some/nets.py", True),
        ("facepriv_other/__init__.py", True),  # a plugin that it builds on
        ("facepriv_some/net.safetensors", True),
        ("facepriv_some/README.md", False),
    ],
)
def test_a_key_follows_the_code_and_data_of_a_component(package, file, matters):
    before = component_key(descriptor())
    assert before == component_key(descriptor())
    with (package.parent / file).open("a") as open_file:
        open_file.write("# changed\n")
    assert (component_key(descriptor()) != before) is matters


def test_a_plugin_names_those_that_it_builds_on(package):
    assert {"facepriv_some", "facepriv_other"} <= set(plugin_packages("facepriv_some"))
    assert "facepriv_privacynet" in plugin_packages("facepriv_baseline_gan")


def test_a_key_follows_the_options_and_the_content_of_files_among_them(package, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("1")
    keys = [component_key(descriptor()), component_key(descriptor(amount=1)), component_key(descriptor(table=table))]
    table.write_text("2")
    keys.append(component_key(descriptor(table=str(table))))
    assert len(set(keys)) == 4


def test_other_weights_do_not_count_where_those_in_use_are_known(package):
    known, unknown = component_key(descriptor(), "abc"), component_key(descriptor())
    (package / "net.safetensors").write_bytes(b"another net")
    assert component_key(descriptor(), "abc") == known != component_key(descriptor(), "abd")
    assert component_key(descriptor()) != unknown
    code = package_hash("facepriv_some", CODE)
    (package / "net.safetensors").write_bytes(b"a third")
    assert package_hash("facepriv_some", CODE) == code != package_hash("facepriv_some")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jpg"):
        file_hash(tmp_path / "gone.jpg")
