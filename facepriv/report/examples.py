"""Figure 4: example faces protected by every method. The defaults are two public-domain portraits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepriv.errors import FaceprivError, PluginError, UsageError
from facepriv.evaluation.outputs import OutputRun
from facepriv.evaluation.results import Example
from facepriv.faces import find_faces
from facepriv.files import digest, file_hash, load_arrays, save_arrays
from facepriv.image import IMAGE_SUFFIXES
from facepriv.image.decode import read_image
from facepriv.image.photo import Photo
from facepriv.protection.pipeline import build_pipeline

#: Side of a picture in pixels.
SIDE = 176
#: Half the side of the picture, in sides of the aligned crop.
_ROOM = 0.55


def bundled() -> tuple[tuple[str, Path], ...]:
    """Return caption and file of the portraits included in scikit-image and matplotlib, as far as they exist."""
    from facepriv.samples import portraits

    try:
        return tuple((portrait.caption, portrait.path) for portrait in portraits())
    except PluginError:
        return ()


def of_folder(folder: Path) -> tuple[tuple[str, Path], ...]:
    """Return caption (the file's name) and file of the user's own photos; raises `UsageError` if there are none."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; --examples takes a folder of photos that may be shown")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise UsageError(f"{folder}: holds no photo to show")
    return tuple((path.stem, path) for path in files)


def make_examples(
    output_runs: Mapping[str, OutputRun], shown: Sequence[tuple[str, Path]], place: Path
) -> list[Example]:
    """Protect the example photos, and return the largest face of each, before and after.

    Parameters
    ----------
    output_runs : mapping
        Method -> its run.
    shown : sequence of (str, Path)
    place : Path
        Folder for cached pictures, stored under hashes of their inputs.

    Raises
    ------
    UsageError
        If no face is found in a photo.
    """
    photos = [read_image(path) for _, path in shown]
    windows = [_window(photo, path) for photo, (_, path) in zip(photos, shown, strict=True)]
    hashes = [file_hash(path) for _, path in shown]
    outputs: list[dict[tuple[str, str], NDArray[np.uint8] | None]] = [{} for _ in photos]
    for method, output_run in output_runs.items():
        keys = output_run.crop_keys()
        for output in output_run.requests:
            file = place / f"{digest([keys[output], output, str(SIDE), str(_ROOM), *hashes])}.npz"
            if not file.is_file():
                made = [_protected(output_run, output, *given) for given in zip(photos, windows, strict=True)]
                save_arrays(file, {str(n): one for n, one in enumerate(made) if one is not None}, compressed=True)
            kept = load_arrays(file)
            for n, own in enumerate(outputs):
                own[method, output] = kept.get(str(n))
    pictures = [_cut(photo, window) for photo, window in zip(photos, windows, strict=True)]
    captions = [caption for caption, _ in shown]
    return [Example(*example) for example in zip(captions, pictures, outputs, strict=True)]


Window = tuple[int, int, int, int]


def _window(photo: Photo, path: Path) -> Window:
    """Return (left, top, right, bottom) of the largest face with its hair, within the photo."""
    faces = find_faces(photo.rgb8())
    if not faces:
        raise UsageError(f"{path}: no face found in it; --examples takes photos with a face")
    face = max(faces, key=lambda f: f.scale)
    height, width = photo.pixels.shape[:2]
    middle = face.to_photo @ (0.5, 0.5, 1)  # of the aligned crop, which holds hair and jaw
    reach = min(_ROOM * face.scale, height / 2, width / 2)
    x = float(np.clip(middle[0], reach, width - reach))
    y = float(np.clip(middle[1], reach, height - reach))
    return round(x - reach), round(y - reach), round(x + reach), round(y + reach)


def _cut(photo: Photo, window: Window) -> NDArray[np.uint8]:
    left, top, right, bottom = window
    picture = Image.fromarray(photo.rgb8()[top:bottom, left:right])
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def _protected(output_run: OutputRun, output: str, photo: Photo, window: Window) -> NDArray[np.uint8] | None:
    pipeline = build_pipeline(
        output_run.registry, (output_run.method,), output_run.requests[output], key=output_run.key
    )
    try:
        return _cut(pipeline.protect(photo).photo, window)
    except FaceprivError:
        return None  # shown as a gap; only a failure on the data set stops the run
