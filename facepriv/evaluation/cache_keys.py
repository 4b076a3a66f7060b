"""Cache keys: hashes of everything that a stored result depends on.

A result depends on the code of facepriv, on the package of each component used (and on the plugins that this package
imports), on weights and on options. A change in any of them gives another key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from facepriv.files import digest, file_hash
from facepriv.hookspecs import Descriptor

T = TypeVar("T")

CODE = frozenset({".py"})
WEIGHTS = frozenset({".safetensors"})
DATA = frozenset({".json", ".onnx", ".npz", ".npy"}) | WEIGHTS
# A settings file beside a model's file is part of the key.
_BESIDE = (".toml", ".json")
_PLUGIN = re.compile(rb"\bfacepriv_\w+")


def core_hash() -> str:
    """Return a hash of facepriv's own code and data."""
    return package_hash("facepriv")


def package_hash(package: str, suffixes: Collection[str] = CODE | DATA) -> str:
    """Return a hash of the files of a package with one of `suffixes`; a missing package has a hash, too."""
    files = sorted(f"{path} {_hash(path)}" for path in _files(package, suffixes))
    return digest([package, *(line.rpartition(f"/{package}/")[2] for line in files)])


def component_key(descriptor: Descriptor, weights: str = "") -> str:
    """Return a hash of everything that a component's results depend on; its name does not count.

    Parameters
    ----------
    descriptor : Descriptor
    weights : str
        Hash of the weights in use, if known; other weights in the package then do not count.
    """
    options = {name: value for name, value in descriptor.options.items() if name != "weights" or not weights}
    packages = plugin_packages(descriptor.target.partition(":")[0].partition(".")[0])
    suffixes = CODE | DATA - WEIGHTS if weights else CODE | DATA
    code = [package_hash(package, suffixes) for package in packages]
    return digest([core_hash(), descriptor.target, *code, weights, *_option_parts(options)])


def plugin_packages(package: str) -> list[str]:
    """Return a plugin's package and the plugins that it builds on, in alphabetical order."""
    found: set[str] = set()
    todo = [package]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            for path in _files(name, CODE):
                todo += _cached(_plugins_named, path)
    return sorted(name for name in found if name != "facepriv")


def _files(package: str, suffixes: Collection[str]) -> Iterator[Path]:
    spec = find_spec(package)
    if spec is None:
        return
    if not spec.submodule_search_locations:  # a plugin of one file
        yield Path(str(spec.origin))
        return
    root = Path(next(iter(spec.submodule_search_locations)))
    yield from sorted(path for path in root.rglob("*") if path.suffix in suffixes and path.is_file())


def _hash(path: Path) -> str:
    return _cached(file_hash, path)


def _plugins_named(path: Path) -> list[str]:
    return [match.decode() for match in _PLUGIN.findall(path.read_bytes())]


def _cached(read: Callable[[Path], T], path: Path) -> T:
    """Return `read(path)`, cached while the file does not change."""
    stat = path.stat()
    return _cache(read, path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=8192)
def _cache(read: Callable[[Path], Any], path: Path, size: int, changed: int) -> Any:
    return read(path)


def _option_parts(options: Mapping[str, Any]) -> list[str]:
    """Return the parts of options to hash; a file counts by its content and by that of the settings file beside it."""
    parts = []
    for name, value in sorted(options.items()):
        path = Path(str(value))
        if isinstance(value, str | Path) and path.is_file():
            beside = [p for p in (path.with_suffix(end) for end in _BESIDE) if p.is_file() and p != path]
            parts += [name, *(file_hash(p) for p in (path, *beside))]
        else:
            parts.append(f"{name}={value}")
    return parts
