"""Hashes of what a kept result hangs on: files, packages, code. A changed hash is a result to make anew."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from facepriv.evaluation.crops import JUDGE_SIZE
from facepriv.files import digest, file_hash
from facepriv.hookspecs import Kind
from facepriv.registry import Registry

CODE = frozenset({".py"})
WEIGHTS = frozenset({".safetensors"})
DATA = frozenset({".json", ".onnx", ".npz", ".npy"}) | WEIGHTS
# What `package_hash` looks at.
_PACKAGE = frozenset({".py", ".safetensors", ".json", ".onnx"})


def package_hash(package: str, suffixes: Collection[str] = _PACKAGE) -> str:
    """Return a hash of a package's code and weights; a changed file is a changed result."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        origin = "" if spec is None else str(spec.origin)
        return digest([package, file_hash(Path(origin)) if Path(origin).is_file() else ""])
    root = Path(next(iter(spec.submodule_search_locations)))
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.suffix in suffixes)
    return digest([package, *(f"{p.relative_to(root)} {file_hash(p)}" for p in files)])


def target_hash(target: str, data: Collection[str] = DATA) -> str:
    """Return a hash of a component's code: its module, and what that imports of its own package and of facepriv.

    Unlike `package_hash` it stays the same where only other modules of the package change, such as a trainer's.

    Parameters
    ----------
    target : str
        ``package.module:Class``, as a descriptor has it.
    data : collection of str
        Suffixes of the package's data files, which count too.
    """
    module = target.partition(":")[0]
    package = module.partition(".")[0]
    found: dict[str, str] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        if name not in found and (path := _source(name)):
            found[name] = file_hash(path)
            # A plugin may build on another: facepriv_baseline_gan is facepriv_privacynet's code.
            tops = [(n, n.partition(".")[0]) for n in _imports(path, name)]
            todo += [n for n, top in tops if top in (package, "facepriv") or top.startswith("facepriv_")]
    return digest([target, *(f"{name} {found[name]}" for name in sorted(found)), package_hash(package, data)])


def _source(module: str) -> Path | None:
    """Return a module's file, importing nothing; None where the name is no module, but something in one."""
    top, *rest = module.split(".")
    spec = find_spec(top)
    if spec is None:
        return None
    if not spec.submodule_search_locations:
        return Path(str(spec.origin)) if not rest else None
    for location in spec.submodule_search_locations:
        base = Path(location, *rest)
        for path in (base / "__init__.py", base.parent / f"{base.name}.py"):
            if path.is_file():
                return path
    return None


def _imports(path: Path, module: str) -> Iterator[str]:
    """Yield the names that a file imports anywhere, also inside functions; of ``from a import b`` both a and a.b."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package) if node.level else str(node.module)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


#: The code between a photo and the crop that judges are given.
CROP_PACKAGES = (
    "facepriv.faces",
    "facepriv.images",
    "facepriv.imageformats",
    "facepriv.image.cmyk",
    "facepriv.faces.subject",
)


_BESIDE = (".toml", ".json")


def judge_key(known: Registry, kind: Kind, name: str) -> str:
    """Return a hash of all that decides what a judge says of a photo, but the photo; not of its name.

    A file that one of its options names counts by its content, and so does a settings file beside it.
    """
    descriptor = known.find(kind, name)
    return digest([*crop_parts(), target_hash(descriptor.target), *option_parts(descriptor.options)])


def crop_parts() -> list[str]:
    """Return what must be hashed of the way from a photo to the face that a judge sees."""
    return [str(JUDGE_SIZE), *(package_hash(package, CODE | WEIGHTS) for package in CROP_PACKAGES)]


def option_parts(options: Mapping[str, Any]) -> list[str]:
    """Return what must be hashed of a component's options: of a file that one names, its content."""
    parts = []
    for option, value in sorted(options.items()):
        parts.append(f"{option}={value}")
        path = Path(str(value))
        if isinstance(value, str | Path) and path.is_file():
            parts[-1] = f"{option}={file_hash(path)}"
            parts += [file_hash(p) for p in (path.with_suffix(s) for s in _BESIDE) if p.is_file() and p != path]
    return parts
