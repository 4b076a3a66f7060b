"""The generator as an ONNX file, with metadata for use by programs without facepriv."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from facepriv.errors import PluginError, UsageError
from facepriv.faces.align import TEMPLATE
from facepriv.files import atomic_write
from facepriv.weights import Weights, packaged_weights
from facepriv_privacynet.config import Variant
from facepriv_privacynet.method import load_generator
from facepriv_privacynet.networks import Generator, label_width
from facepriv_privacynet.region import OUTLINE_SIDE, mean_outline

if TYPE_CHECKING:
    from onnx import ModelProto

#: ONNX operator set; the generator needs no newer one.
OPSET = 17
IMAGES, LABELS, OUTLINES, CHANGED = "images", "labels", "outlines", "changed"


def export_onnx(variant: Variant, out: Path, weights: Path | None = None, *, overwrite: bool = False) -> str:
    """Write a method's generator as an ONNX file, atomically; return a line that describes it.

    The graph takes ``images`` (N, 3, S, S) float32 RGB in [0, 1] and ``labels`` (N, V) float32, a one-hot block for
    each attribute, and returns ``changed``, with the shape of ``images``; N is free. Weights that change outlined heads
    alone also take ``outlines`` (N, 1, s, s) float32. Its metadata hold the keys of `metadata`.

    Raises
    ------
    UsageError
        If `out` exists (unless `overwrite`) or does not end in ``.onnx``.
    WeightsError
        If the weights are missing, damaged, or those of another method.
    PluginError
        If onnx is not installed.
    """
    if out.suffix != ".onnx":
        raise UsageError(f"{out}: an ONNX file ends in .onnx")
    if out.exists() and not overwrite:
        raise UsageError(f"{out}: exists already; name another file, or replace it with --overwrite")
    try:
        import onnx
    except ImportError as error:
        raise PluginError("the export needs onnx: pip install 'facepriv-privacynet[export]'") from error
    path = weights or packaged_weights(variant.package, variant.name)
    generator, content = load_generator(path, "cpu", variant.architecture)
    model = _traced(generator, label_width(content.metadata.schema))
    onnx.helper.set_model_props(model, metadata(variant, content))
    onnx.checker.check_model(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    data = model.SerializeToString()
    atomic_write(out, data)
    return f"{out}  {len(data) / 2**20:.1f} MiB  weights {content.sha256[:12]}"


def metadata(variant: Variant, weights: Weights) -> dict[str, str]:
    """Return the file's metadata: texts by key, numbers and lists as JSON.

    ``method``, ``version``, ``weights_sha256``, ``licence``, ``trained_on``, ``seen`` (evaluators used in training),
    ``size`` (pixels), ``schema`` (attributes and classes, in the order of the label blocks), ``inputs``,
    ``alignment`` and ``template`` (five points in a crop of side 1, origin top left), ``paste``. If the change is
    limited to heads, ``outline``: that of a mean head, rows of 0 to 255.
    """
    origin, schema = weights.metadata.provenance, weights.metadata.schema
    shape = weights.metadata.config["generator"]
    outlined = shape.get("region") == "outline"
    outlines = f"; {OUTLINES}: of the heads, 1 within and 0 beside, from their landmarks" if outlined else ""
    mean = {"outline": json.dumps(mean_outline().tolist())} if outlined else {}
    return {
        "method": variant.name,
        "version": variant.version,
        "weights_sha256": weights.sha256,
        "licence": origin.licence,
        "trained_on": origin.trained_on,
        "seen": json.dumps(origin.seen),
        "size": str(shape["size"]),
        "schema": json.dumps([{"name": name, "classes": spec.classes} for name, spec in schema.items()]),
        "inputs": f"{IMAGES}: RGB in [0, 1]; {LABELS}: one-hot blocks in the schema's order, the wanted class of every "
        "attribute, a kept one's own; a block of zeros is unknown"
        f"{outlines}",
        "alignment": "similarity transform that takes dlib's five landmarks to the template: outer and inner corner of "
        "the eye on the right of the picture, the same on the left, nose base",
        "template": json.dumps(np.round(TEMPLATE, 6).tolist()),
        "paste": "replace the crop"
        if shape["output"] == "image"
        else "add the difference to the photo, enlarged; it is 0 at the crop's rim",
        **mean,
    }


def _traced(generator: Generator, width: int) -> ModelProto:
    """Return the graph. The network has no branches, so tracing suffices and needs no further packages."""
    import onnx

    size = generator.shape.size
    # Trace with two faces: with one, the trace could fix the batch size at one.
    example: tuple[Any, ...] = (torch.rand(2, 3, size, size), torch.zeros(2, width))
    inputs = [IMAGES, LABELS]
    if generator.shape.region == "outline":
        example, inputs = (*example, torch.ones(2, 1, OUTLINE_SIDE, OUTLINE_SIDE)), [*inputs, OUTLINES]
    free = {name: {0: "N"} for name in (*inputs, CHANGED)}
    names: dict[str, Any] = {"input_names": inputs, "output_names": [CHANGED], "dynamic_axes": free}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the old exporter, and about InstanceNorm without statistics
        path = str(Path(folder) / "generator.onnx")
        torch.onnx.export(generator, example, path, dynamo=False, opset_version=OPSET, **names)
        return onnx.load(path)
