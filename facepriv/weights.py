"""Weights files: safetensors with schema, provenance and architecture, identified by their hash.

A plugin ships ``NAME.safetensors`` with ``NAME.safetensors.sha256``, one line in the format of `sha256sum`, so that
``sha256sum -c`` can check it. `save_weights` writes both, `load_weights` compares them. All metadata of facepriv is
JSON under one metadata key, ``facepriv``: safetensors orders several keys at random, and the same weights must give the
same file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import ImageError, UntrainedError, WeightsError
from facepriv.files import parse
from facepriv.schema import ATTRIBUTES, Attribute, Schema

#: Version of the metadata below; a file of another version is refused.
FORMAT_VERSION = 1
SUFFIX = ".safetensors"
HASH_SUFFIX = ".sha256"

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Provenance:
    """Where weights come from.

    Parameters
    ----------
    trained_on : str
        Data sets and splits, in words.
    command : str
        The training command.
    date : str
        ISO date of the training.
    licence : str
        Terms of use; face data sets rarely allow more than research.
    seen : tuple of str
        Names of the estimators and matchers that it was trained against; they are not unseen evaluators for it.
    """

    trained_on: str
    command: str
    date: str
    licence: str = "research use"
    seen: tuple[str, ...] = ()


@dataclass(frozen=True)
class WeightsMetadata:
    """The metadata of a weights file.

    Parameters
    ----------
    architecture : str
        Name of the network, for example ``privacynet-generator``; `load_weights` can require it.
    provenance : Provenance
    config : mapping
        Arguments of the network's constructor; any JSON values.
    schema : mapping of str to Attribute
        The attributes, and their classes in the order of the model's channels or outputs.
    """

    architecture: str
    provenance: Provenance
    config: Mapping[str, Any] = field(default_factory=dict)
    schema: Schema = field(default_factory=lambda: dict(ATTRIBUTES))

    def to_json(self) -> str:
        """Return the metadata as JSON, the same text for the same values."""
        content = {
            "format_version": FORMAT_VERSION,
            "architecture": self.architecture,
            "provenance": asdict(self.provenance),
            "config": dict(self.config),
            # A list, because the order of the attributes is the order of the model's label channels.
            "schema": [asdict(spec) for spec in self.schema.values()],
        }
        return json.dumps(content, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> WeightsMetadata:
        """Read the output of `to_json`; raises `WeightsError` on another version or a missing field."""
        try:
            content = parse(text)
            version = content["format_version"]
            if version != FORMAT_VERSION:
                raise WeightsError(f"weights format version {version}, this facepriv reads {FORMAT_VERSION}")
            origin = content["provenance"]
            attributes = [Attribute(a["name"], tuple(a["classes"]), tuple(a["thresholds"])) for a in content["schema"]]
            return cls(
                architecture=content["architecture"],
                provenance=Provenance(**{**origin, "seen": tuple(origin["seen"])}),
                config=content["config"],
                schema={a.name: a for a in attributes},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"damaged facepriv metadata ({type(error).__name__}: {error})") from error


@dataclass(frozen=True)
class Weights:
    """A loaded file: tensors by name (NumPy or torch), metadata, and the SHA-256 of the file as hex."""

    tensors: dict[str, Any]
    metadata: WeightsMetadata
    sha256: str


def half(tensors: Mapping[str, Any]) -> Tensors:
    """Return floating tensors as float16 (integers as they are), halving the file.

    Raises
    ------
    WeightsError
        If a value does not fit float16 (beyond 65504).
    """
    halved = {}
    for name, tensor in tensors.items():
        array = _as_array(name, tensor)
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):
                narrow = array.astype(np.float16)
            if np.isinf(narrow).any():
                raise WeightsError(
                    f"tensor '{name}' does not fit float16: its largest value is {np.abs(array).max():g}"
                )
            array = narrow
        halved[name] = array
    return halved


def save_weights(path: str | Path, tensors: Mapping[str, Any], metadata: WeightsMetadata) -> str:
    """Write a weights file and its hash file, each atomically; the same input gives the same bytes.

    Parameters
    ----------
    path : path
        Must end in ``.safetensors``; an existing file is replaced.
    tensors : mapping
        Name -> NumPy array or torch tensor (any device), for example a state dict; see `half`.
    metadata : WeightsMetadata

    Returns
    -------
    str
        The file's SHA-256 as hex.

    Raises
    ------
    WeightsError
        If the suffix is wrong, a value is NaN or infinite, the metadata is not JSON, or the file cannot be written.
    """
    from safetensors.numpy import save

    from facepriv.files import atomic_write

    path = Path(path)
    if path.suffix != SUFFIX:
        raise WeightsError(f"{path}: a weights file ends in {SUFFIX}")
    arrays = {name: _as_array(name, tensor) for name, tensor in tensors.items()}
    try:
        data = save(arrays, metadata={"facepriv": metadata.to_json()})
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{path}: metadata must be JSON: {error}") from error
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        atomic_write(path, data)
        atomic_write(hash_path(path), f"{sha256}  {path.name}\n".encode())
    except ImageError as error:
        raise WeightsError(str(error)) from error
    return sha256


def load_weights(
    path: str | Path,
    expected_sha256: str | None = None,
    *,
    framework: Literal["numpy", "torch"] = "numpy",
    architecture: str | None = None,
) -> Weights:
    """Read and check a weights file.

    Parameters
    ----------
    path : path
    expected_sha256 : str or None
        The required hash; None: that of its hash file, if there is one.
    framework : {"numpy", "torch"}
        Type of the tensors, on the CPU; float16 is widened to float32.
    architecture : str or None
        The architecture that the metadata must have.

    Returns
    -------
    Weights

    Raises
    ------
    WeightsError
        If the file is missing, is not safetensors (pickles are never opened), has another hash or format version, lacks
        the metadata, or is for another architecture.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(path)
    data = _read(path)
    sha256 = hashlib.sha256(data).hexdigest()
    expected = expected_sha256 or (stored_sha256(path) if hash_path(path).is_file() else sha256)
    if sha256 != expected.lower():
        raise WeightsError(f"{path}: SHA-256 is {sha256}, expected {expected}: the file is damaged or was exchanged")
    try:
        arrays = load(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error})") from error
    try:
        metadata = WeightsMetadata.from_json(_facepriv_metadata(data))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    if architecture is not None and metadata.architecture != architecture:
        raise WeightsError(f"{path}: holds weights of '{metadata.architecture}', '{architecture}' is needed")
    # `load` gives read-only views; a copy is writable and can be passed to torch.
    tensors = {name: a.astype(np.float32) if a.dtype == np.float16 else a.copy() for name, a in arrays.items()}
    return Weights(_as_torch(tensors) if framework == "torch" else tensors, metadata, sha256)


def packaged_weights(package: str, name: str) -> Path:
    """Return the path of ``NAME.safetensors`` inside an installed `package` (dotted, for example ``plugin.weights``).

    Raises
    ------
    WeightsError
        If the package, the file or its hash file is missing; the text says how to fix it.
    UntrainedError
        If the package has neither file: it comes without these weights.
    """
    distribution = package.partition(".")[0].replace("_", "-")
    try:
        found = find_spec(package) is not None
    except ModuleNotFoundError:  # a parent of a dotted name
        found = False
    if not found:
        raise WeightsError(
            f"package '{package}' with the weights '{name}' is not installed: pip install {distribution}"
        )
    path = Path(str(files(package) / f"{name}{SUFFIX}"))
    missing = [wanted for wanted in (path, hash_path(path)) if not wanted.is_file()]
    if len(missing) == 2:
        raise UntrainedError(
            f"{distribution} comes without the weights '{name}': train them as its page says, and give the file "
            "with --set METHOD.weights=FILE"
        )
    for wanted in missing:
        raise WeightsError(f"{wanted}: missing, pip install --force-reinstall {distribution}")
    return path


def hash_path(path: Path) -> Path:
    """Return the path of the hash file of the weights file `path`."""
    return path.with_name(path.name + HASH_SUFFIX)


def stored_sha256(path: str | Path) -> str:
    """Return the hash in the hash file of weights file `path`, without reading the weights."""
    source = hash_path(Path(path))
    word = _read(source).split()[:1]
    if not word or len(word[0]) != 64:
        raise WeightsError(f"{source}: expected one line as sha256sum writes it")
    return word[0].decode("ascii", "replace").lower()


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error
    # Pickles begin with 0x80, torch.save archives (zip files of pickles) with PK. The length at the start of a
    # safetensors file may look like either, but then its ninth byte opens a JSON header.
    if data[8:9] != b"{" and (data[:1] == b"\x80" or data[:2] == b"PK"):
        raise WeightsError(
            f"{path}: a pickle or torch.save archive, which can run code when opened: "
            "convert it to safetensors with facepriv.weights.save_weights"
        )
    return data


def _facepriv_metadata(data: bytes) -> str:
    """Return facepriv's JSON from a valid safetensors file: 8 bytes header length, then a JSON header."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    text = (header.get("__metadata__") or {}).get("facepriv")
    if text is None:
        raise WeightsError("safetensors without facepriv metadata: written by something else than save_weights")
    return str(text)


def _as_array(name: str, tensor: Any) -> NDArray[Any]:
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        if str(tensor.dtype) == "torch.bfloat16":  # NumPy has no bfloat16, float32 holds all of its values
            tensor = tensor.float()
        tensor = tensor.numpy()
    # safetensors stores the raw memory: a transposed view would be written incorrectly.
    array = np.asarray(tensor, order="C")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise WeightsError(f"tensor '{name}' holds NaN or infinity")
    return array


def _as_torch(tensors: Tensors) -> dict[str, Any]:
    import torch

    return {name: torch.from_numpy(array) for name, array in tensors.items()}
