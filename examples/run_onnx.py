"""Runs a generator that `facepriv export METHOD --onnx FILE` wrote, with NumPy, Pillow and ONNX Runtime alone.

    python examples/run_onnx.py privacynet.onnx crop.png -o changed.png --want gender=male,race=white,age=young
    python examples/run_onnx.py privacynet.onnx photo.jpg -o changed.png --want ... --points 255,104,237,105,...

Without --points the picture is an aligned crop. With them (five points in the order of the file's metadata `alignment`,
x,y,x,y,... in pixels) it is a photo: the face is cut out, changed, and the change is added to the photo, enlarged.
Name a class for every attribute: the face's own if it is not to change. A model that takes an outline of the head gets
that of a mean head, from the file's metadata; facepriv itself draws each head's own from its landmarks.
"""

import argparse
import json
import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when onnxruntime is imported

import numpy as np
import onnxruntime
from PIL import Image


def label_vector(schema, wanted):
    """One-hot blocks (1, V) float32 in the schema's order; a missing attribute is unknown, all zeros."""
    classes = {attribute["name"]: attribute["classes"] for attribute in schema}
    for name, value in wanted.items():
        if value not in classes.get(name, ()):
            raise SystemExit(f"--want {name}={value}: the model knows {classes}")
    return np.array([[float(wanted.get(n) == c) for n, names in classes.items() for c in names]], np.float32)


def similarity(source, destination):
    """Rotation, scale and shift (2, 3) that best maps `source` (K, 2) to `destination`."""
    a, b = source @ (1, 1j), destination @ (1, 1j)
    centred = a - a.mean()
    m = np.vdot(centred, b - b.mean()) / np.vdot(centred, centred)
    t = b.mean() - m * a.mean()
    return np.array([[m.real, -m.imag, t.real], [m.imag, m.real, t.imag]])


def cut(photo, matrix, size):
    """The crop (size, size, 3) float32 in [0, 1]; `matrix` takes crop pixels to photo pixels."""
    # A photo that is much finer than the crop would alias.
    factor = max(1, int(np.hypot(*matrix[:, 0])))
    small = photo.reduce(factor)
    crop = small.transform((size, size), Image.Transform.AFFINE, (matrix / factor).ravel(), Image.Resampling.BILINEAR)
    return np.asarray(crop, np.float32) / 255


def add(photo, change, matrix):
    """The photo (H, W, 3) uint8 with a crop's change (size, size, 3) added where the crop was cut."""
    linear = np.linalg.inv(matrix[:, :2])
    back = np.column_stack([linear, -linear @ matrix[:, 2]]).ravel()
    planes = [
        Image.fromarray(plane).transform(photo.size, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
        for plane in np.moveaxis(change, 2, 0).copy()
    ]
    return np.clip(np.asarray(photo) + 255 * np.dstack(planes), 0, 255).round().astype(np.uint8)


def main():
    """Parse the arguments, change one face, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("picture")
    parser.add_argument("-o", "--out", required=True)
    parser.add_argument("--want", required=True, type=lambda text: dict(part.split("=") for part in text.split(",")))
    parser.add_argument("--points", type=lambda text: np.array(text.split(","), float).reshape(5, 2))
    call = parser.parse_args()

    session = onnxruntime.InferenceSession(call.model, providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    size = int(said["size"])
    photo = Image.open(call.picture).convert("RGB")
    if call.points is None and photo.size != (size, size):
        raise SystemExit(f"{call.picture}: a crop has {size} x {size} pixels; for a photo, give --points")
    template = size * np.array(json.loads(said["template"]))
    matrix = np.eye(2, 3) if call.points is None else similarity(template, call.points)

    crop = cut(photo, matrix, size)
    feeds = {"images": crop.transpose(2, 0, 1)[None], "labels": label_vector(json.loads(said["schema"]), call.want)}
    if "outline" in said:
        feeds["outlines"] = np.array(json.loads(said["outline"]), np.float32)[None, None] / 255
    changed = session.run(["changed"], feeds)[0][0].transpose(1, 2, 0)
    Image.fromarray(add(photo, changed - crop, matrix)).save(call.out)
    print(f"{call.out}: {said['method']}, weights {said['weights_sha256'][:12]}, {said['licence']}")


if __name__ == "__main__":
    main()
