"""The public-domain portraits."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from facepriv.errors import PluginError


@dataclass(frozen=True)
class Portrait:
    """One photo of the demonstration: its name, the person (both are women), and its file."""

    name: str
    caption: str
    path: Path


def portraits() -> list[Portrait]:
    """Return the two portraits; raises `PluginError` naming the package whose file is missing."""
    wanted = (
        ("astronaut", "Eileen Collins, NASA", "skimage", "data/astronaut.png", "scikit-image"),
        ("grace_hopper", "Grace Hopper, US Navy", "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "matplotlib"),
    )
    return [Portrait(name, who, _package_file(module, file, dist)) for name, who, module, file, dist in wanted]


def _package_file(module: str, file: str, distribution: str) -> Path:
    spec = find_spec(module)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise PluginError(f"a portrait of the demo is missing ({distribution}: {file}): pip install 'facepriv[demo]'")
    return path
