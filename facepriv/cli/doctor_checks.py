"""Checks of an installation: each yields findings and never raises."""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import numpy as np

from facepriv import __version__
from facepriv.contracts import STANDARD, FaceBatch, Frame, Perturber
from facepriv.errors import FaceprivError, PluginError, UntrainedError, one_line
from facepriv.hookspecs import Descriptor
from facepriv.inference.devices import bfloat16_units
from facepriv.protection.request import PrivacyRequest, face_rng
from facepriv.registry import Registry, load_target
from facepriv.schema import ATTRIBUTES

DiagnosisStatus = Literal["ok", "warn", "fail"]

#: Module, distribution, whether the core needs it, and otherwise what is missing without it.
LIBRARIES = (
    ("numpy", "numpy", True, ""),
    ("PIL", "pillow", True, ""),
    ("dlib", "dlib-bin", True, ""),
    ("scipy", "scipy", True, ""),
    ("skimage", "scikit-image", True, ""),
    ("safetensors", "safetensors", True, ""),
    ("torch", "torch", True, ""),
    ("onnxruntime", "onnxruntime", False, "estimators in ONNX files need it"),
)


@dataclass(frozen=True)
class Diagnosis:
    """One line of the result."""

    status: DiagnosisStatus
    subject: str
    text: str


def examine(registry: Registry, device: str = "cpu") -> Iterator[Diagnosis]:
    """Yield all diagnoses, the fast checks first."""
    yield from _python()
    yield from _libraries()
    yield from _landmarks()
    yield from _plugins(registry)
    yield from _device(device)
    portrait = _portrait()
    if portrait is None:
        yield Diagnosis("warn", "self-test", "left out: scikit-image's portrait 'astronaut' is not there")
        return
    yield _self_test(portrait)
    for name in registry.descriptors("method"):
        yield _method(registry, name, portrait, device)
    for name in registry.descriptors("estimator"):
        yield _evaluator(registry, "estimator", name, portrait)
    for name in registry.descriptors("matcher"):
        yield _evaluator(registry, "matcher", name, portrait)


def _python() -> Iterator[Diagnosis]:
    new_enough = sys.version_info >= (3, 11)
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Diagnosis(
        "ok" if new_enough else "fail", "Python", text if new_enough else f"{text}: 3.11 or newer is needed"
    )
    yield Diagnosis("ok", "facepriv", __version__)


def _libraries() -> Iterator[Diagnosis]:
    for module, distribution, needed, use in LIBRARIES:
        if not needed and find_spec(module) is None:
            yield Diagnosis("warn", distribution, f"not installed; {use}")
            continue
        try:
            import_module(module)
        except Exception as error:  # a damaged library may raise anything
            yield Diagnosis("fail", distribution, f"{one_line(error)}; pip install --force-reinstall {distribution}")
            continue
        yield Diagnosis("ok", distribution, _version(distribution, module))


def _version(distribution: str, module: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # the same library from another distribution, such as dlib instead of dlib-bin
        return str(getattr(sys.modules[module], "__version__", "version unknown"))


def _landmarks() -> Iterator[Diagnosis]:
    from facepriv.faces import models

    wanted = (
        (models.LANDMARKS_5, "5 landmarks", True),
        (models.LANDMARKS_68, "68 landmarks", False),
        (models.DESCRIPTOR, "face descriptor", False),
    )
    for name, subject, needed in wanted:
        try:
            yield Diagnosis("ok", subject, str(models.model_file(name)))
        except PluginError as error:
            yield Diagnosis("fail" if needed else "warn", subject, str(error))


def _plugins(registry: Registry) -> Iterator[Diagnosis]:
    for plugin in registry.plugins:
        if not plugin.error:
            yield Diagnosis(
                "ok", "plugin", f"{plugin.distribution} {plugin.version}, {len(plugin.components)} components"
            )
    if not registry.descriptors("method"):
        yield Diagnosis("warn", "plugin", "no method is installed: pip install facepriv-privacynet, or another plugin")
    for text in registry.problems():
        yield Diagnosis("warn", "plugin", text)


def _device(device: str) -> Iterator[Diagnosis]:
    if find_spec("torch") is None:
        return
    import torch

    try:
        torch.ones(2, 2, device=device).sum().item()
    except Exception as error:  # torch raises many exception types here
        yield Diagnosis("fail", "device", f"{device} cannot be used: {one_line(error)}")
        return
    yield Diagnosis(
        "ok", "device", f"{device}, {torch.get_num_threads()} threads; CUDA {_yes(torch.cuda.is_available())}"
    )
    yield Diagnosis("ok", "precision", _precision(torch.device(device).type))


def _precision(kind: str) -> str:
    """Return the default number format of network computations on this kind of device, and the reason."""
    units = bfloat16_units(kind)
    if units:
        return f"bfloat16 by default: {kind} multiplies it in hardware ({units})"
    return f"float32 by default: {kind} has no units that multiply bfloat16"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _portrait() -> Path | None:
    spec = find_spec("skimage")
    path = Path(spec.origin).parent / "data" / "astronaut.png" if spec and spec.origin else None
    return path if path is not None and path.is_file() else None


class _Darker(Perturber):
    """A method without dependencies for the self-test; it darkens every face slightly."""

    attributes = ("gender",)

    def _perturb(self, faces: FaceBatch, source: Any, target: Any, strength: float, rngs: Any) -> Any:
        return faces.images * np.float32(1 - 0.3 * strength)


def _self_test(portrait: Path) -> Diagnosis:
    """Run the complete pipeline on one real photo, with files."""
    return _attempt("self-test", lambda: _whole_road(portrait), "see the libraries and models above")


def _whole_road(portrait: Path) -> str:
    from facepriv.faces.align import invert
    from facepriv.image.decode import read_image
    from facepriv.image.encode import write_image
    from facepriv.protection.pipeline import Pipeline
    from facepriv.registry import Method

    pipeline = Pipeline([Method("darker", _Darker())], PrivacyRequest(targets={"gender": "male"}), b"self-test")
    result = pipeline.protect(read_image(portrait))
    if len(result.prepared.faces) != 1:
        raise PluginError(f"found {len(result.prepared.faces)} faces in a portrait of one")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "protected.png"
        write_image(result.photo, target)
        after = read_image(target).pixels
    before = result.prepared.photo.pixels
    changed = (before != after).any(axis=2)
    rows, columns = np.nonzero(changed)
    inverse = invert(result.prepared.faces[0].to_photo)
    inside = np.stack([columns + 0.5, rows + 0.5], axis=1) @ inverse[:, :2].T + inverse[:, 2]
    if not len(rows) or inside.min() < 0 or inside.max() > 1:
        raise PluginError("the face did not change, or something else did")
    return f"a face found, changed, pasted, written and read back; {1 - changed.mean():.0%} of the photo bit-identical"


def _method(registry: Registry, name: str, portrait: Path, device: str) -> Diagnosis:
    """Build a method and run it on a real face; this loads its weights and checks their hash."""

    def run() -> str:
        if missing := _missing_option(registry.find("method", name)):
            return missing
        method: Perturber = registry.create("method", name).to(device)
        faces = _crop(portrait, method.crop_size or 128, "landmarks" in method.needs, method.frame)
        own = {a: np.zeros(1, dtype=np.int64) for a in ATTRIBUTES}
        wanted = {a: own[a] + (a in method.attributes) for a in ATTRIBUTES}
        rngs = [face_rng("self-test", 0, name, 0)]
        change = np.abs(method.perturb(faces, own, wanted, rngs=rngs) - faces.images).mean()
        if not change:
            raise PluginError("it leaves a real face as it is")
        weights = method.info().get("weights") or ""
        return f"works, mean change of the crop {change:.3f}" + (f", weights {weights[:12]} ok" if weights else "")

    return _attempt(f"method {name}", run, f"see 'facepriv check {name}'")


def _evaluator(registry: Registry, kind: Literal["estimator", "matcher"], name: str, portrait: Path) -> Diagnosis:
    """Build an estimator or a matcher and run it on a real face."""

    def run() -> str:
        if missing := _missing_option(registry.find(kind, name)):
            return missing
        images = _crop(portrait, 224, False).images
        model = registry.create(kind, name)
        found = model.predict(images) if kind == "estimator" else model.embed(images)
        if len(found) != 1 or not np.isfinite(found).all():
            raise PluginError("gave no finite answer for a real face")
        return "works"

    return _attempt(f"{kind} {name}", run, f"see 'facepriv check {name} --kind {kind}'")


def _missing_option(descriptor: Descriptor) -> str:
    """Return why a component cannot be tested, if it needs a setting from the user (a file), or an empty text."""
    try:
        signature(load_target(descriptor)).bind(**descriptor.options)
    except TypeError as error:
        return f"not tried: {error}"
    return ""


def _crop(portrait: Path, size: int, dense: bool, frame: Frame = STANDARD) -> FaceBatch:
    from facepriv.faces import crop_face, find_faces
    from facepriv.image.decode import read_image

    rgb = read_image(portrait).rgb8()
    face = find_faces(rgb, dense=dense)[0].framed(frame)
    points = face.landmarks_in_crop(size)
    labels = {name: np.zeros(1, dtype=np.int64) for name in ATTRIBUTES}
    return FaceBatch(crop_face(rgb, face, size)[None], None if points is None else points[None], labels)


def _attempt(subject: str, run: Callable[[], str], hint: str) -> Diagnosis:
    """Run one test; any exception becomes a finding."""
    try:
        return Diagnosis("ok", subject, run())
    except UntrainedError as error:
        return Diagnosis("warn", subject, str(error))
    except FaceprivError as error:
        return Diagnosis("fail", subject, str(error))
    except (Exception, SystemExit) as error:  # the component may be broken in any way
        return Diagnosis("fail", subject, f"{one_line(error)}; {hint}")
