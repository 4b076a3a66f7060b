"""Make facepriv/faces/mtcnn.safetensors from the wheel of mtcnn 1.0.0 (MIT), whose weights are joblib pickles.

Needs ``pip install lz4 "joblib>=1.6"`` and the wheel, ``pip download --no-deps mtcnn==1.0.0``. The unpickler allows
NumPy arrays only. The values of the first two networks do not change, so that proposals stay the same; the third
network is stored in half precision. The same wheel gives the same bytes.

    python benchmarks/convert_mtcnn.py mtcnn-1.0.0-py3-none-any.whl
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import click
import numpy as np
from shared import Benchmark

from facepriv.errors import WeightsError
from facepriv.faces.networks import ARCHITECTURE, WEIGHTS
from facepriv.weights import Provenance, WeightsMetadata, half, save_weights

WHEEL = "0a96b4868e56db9ae984449519642be6dba03240e608a67e928ebb47833e9144"
CONVOLUTIONS = ("conv1", "conv2", "conv3")
#: Network -> its file, and its layers in the order of the file.
LAYERS = {
    "first": ("pnet", CONVOLUTIONS, ("box", "face")),
    "second": ("rnet", (*CONVOLUTIONS, "full"), ("box", "face")),
    "third": ("onet", (*CONVOLUTIONS, "conv4", "full"), ("box", "points", "face")),
}
ALLOWED = {("joblib.numpy_pickle", "NumpyArrayWrapper"), ("numpy", "ndarray"), ("numpy", "dtype")}
PROVENANCE = Provenance(
    trained_on="WIDER FACE and CelebA, by Zhang et al., the authors of MTCNN (2016)",
    command=f"converted from mtcnn 1.0.0 of PyPI (wheel's SHA-256 {WHEEL}), P-Net and R-Net unchanged, O-Net in half "
    "precision",
    date="2016",
    licence="MIT, Copyright (c) 2016 Kaipeng Zhang, Copyright (c) 2019-2024 Iván de Paz Centeno",
)


@click.command(cls=Benchmark, help=__doc__)
@click.argument("wheel", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def main(wheel: Path) -> None:
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL:
        raise WeightsError(f"{wheel}: not the wheel of mtcnn 1.0.0 on PyPI, its SHA-256 is another")
    tensors = {}
    with ZipFile(wheel) as archive:
        for net, (file, layers, heads) in LAYERS.items():
            arrays = iter(unpickle(archive.read(f"mtcnn/assets/weights/{file}.lz4")))
            for layer in layers:
                for part in ("weight", "bias", "slope"):
                    tensors[f"{net}.{layer}.{part}"] = as_ours(next(arrays), part)
            for layer in heads:
                for part in ("weight", "bias"):
                    tensors[f"{net}.{layer}.{part}"] = as_ours(next(arrays), part)
    for name in ("first.box.weight", "first.face.weight"):  # convolutions of 1 x 1
        tensors[name] = tensors[name][:, :, 0, 0]
    tensors |= half({name: array for name, array in tensors.items() if name.startswith("third.")})
    metadata = WeightsMetadata(architecture=ARCHITECTURE, provenance=PROVENANCE, schema={})
    print(save_weights(WEIGHTS, tensors, metadata), WEIGHTS)


def as_ours(array: np.ndarray, part: str) -> np.ndarray:
    """Return a Keras array with axes in the order outputs, inputs, rows, columns."""
    if part != "weight":
        return np.ascontiguousarray(array.ravel())
    return np.ascontiguousarray(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T)


def unpickle(data: bytes) -> list[np.ndarray]:
    """Load a joblib pickle; only arrays are allowed."""
    import lz4.frame
    from joblib import numpy_pickle

    class Careful(numpy_pickle.NumpyUnpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) not in ALLOWED:
                raise WeightsError(f"the pickle asks for {module}.{name}")
            return super().find_class(module, name)

    stream = io.BytesIO(lz4.frame.decompress(data))
    return Careful("", stream, ensure_native_byte_order=True).load()


if __name__ == "__main__":
    main()
