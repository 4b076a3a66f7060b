"""The checks of an installed component as a plugin: its descriptor, and the imports needed to find it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from facepriv.contracts import AttributeEstimator, Perturber
from facepriv.hookspecs import Kind
from facepriv.registry import load_target, registry
from facepriv.schema import attribute
from facepriv.testing.core import require

#: Modules that listing methods must not import.
HEAVY = ("torch", "scipy", "skimage", "dlib", "onnxruntime", "matplotlib")

_LIST = """
import sys
from facepriv.registry import registry
registry().find(sys.argv[1], sys.argv[2])
print(*[name for name in sys.argv[3:] if name in sys.modules])
"""


def descriptor_agrees(kind: Kind, name: str) -> None:
    """The descriptor has a one-line summary, and its attributes are those that the class declares."""
    descriptor = registry().find(kind, name)
    require(descriptor.summary and "\n" not in descriptor.summary, "the descriptor needs a summary of one line")
    for known in descriptor.attributes:
        attribute(known)
    target = load_target(descriptor)
    declared: tuple[str, ...] | None = None
    # A factory function declares nothing until it is called, so there is nothing to compare.
    if isinstance(target, type) and issubclass(target, Perturber):
        declared = target.attributes
    elif isinstance(target, type) and issubclass(target, AttributeEstimator):
        declared = (target.attribute,) if target.attribute else None
    require(
        declared is None or set(declared) == set(descriptor.attributes),
        f"the descriptor names {descriptor.attributes}, the class {declared}",
    )


def found_without_heavy_imports(kind: Kind, name: str) -> None:
    """Finding the component, in a separate process, imports no heavy library."""
    registry().find(kind, name)
    command = [sys.executable, "-c", _LIST, kind, name, *HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    require(done.returncode == 0, done.stderr.strip().rpartition("\n")[2])
    require(not done.stdout.strip(), f"imports {', '.join(done.stdout.split())}: import them on first use")


CHECKS: tuple[Callable[[Kind, str], None], ...] = (descriptor_agrees, found_without_heavy_imports)
