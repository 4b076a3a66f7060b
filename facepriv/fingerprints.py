"""Hashes of what a kept result hangs on: files, packages, code. A changed hash is a result to make anew."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path

from facepriv.errors import DataError

CODE = frozenset({".py"})
WEIGHTS = frozenset({".safetensors"})
DATA = frozenset({".json", ".onnx", ".npz", ".npy"}) | WEIGHTS
# What `package_hash` looks at.
_PACKAGE = frozenset({".py", ".safetensors", ".json", ".onnx"})


def digest(parts: Iterable[str]) -> str:
    """Return a short hash of texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file as hex; raises `DataError` where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error


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
            tops = [(n, n.partition(".")[0]) for n in _imports(path, name, found[name])]
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


@cache
def _imports(path: Path, module: str, content: str) -> tuple[str, ...]:
    """Return the names that a file imports anywhere, also inside functions; of ``from a import b`` both a and a.b.

    A comparison asks for the same modules again and again. `content`, the file's hash, makes a changed file a new call.
    """
    return tuple(_imported(path, module))


def _imported(path: Path, module: str) -> Iterator[str]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package) if node.level else str(node.module)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
