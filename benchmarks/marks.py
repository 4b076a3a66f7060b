"""Count the photos in which a method leaves marks on the background beside the head.

Heads of LFW and CelebA are cut out with GrabCut and put on a plain grey and a plain white background, so that nothing
there can explain a change. Each photo is protected with gender hidden, as by `facepriv.protect`. A background pixel is
marked if it lies more than 12 pixels from the head and moves by more than 6 of 255 in any channel. The two
public-domain portraits are measured on their own backgrounds. Needs OpenCV (``pip install opencv-python-headless``).

    python benchmarks/marks.py --data DIR
    python benchmarks/marks.py --data DIR --method sim-zhang --photos 40 --sheet marks.png
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial import ConvexHull
from shared import Benchmark, data_option, json_option, write_json
from skimage.draw import polygon2mask

import facepriv
from facepriv.cli.console import note, progress, table
from facepriv.datasets import readers
from facepriv.errors import NoFaceError, PluginError, UsageError
from facepriv.faces import Face, find_faces
from facepriv.image.decode import read_image
from facepriv.samples import portraits

Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]

#: The bar: photos without a marked pixel.
CLEAN = 0.98
#: Distance from the head in pixels, and change of a channel in levels, above which a pixel is marked.
DISTANCE, LEVELS = 12, 6
BACKGROUNDS = {"grey": 128, "white": 255}
# CelebA's files are half size: heads are enlarged, so that the detector finds them.
_ENLARGED = {"lfw": 1, "celeba": 2}
# A cut head of another size, as a share of the box of its landmarks, is a wrong cut.
_SMALLEST, _LARGEST = 0.6, 3.5
# So is one that misses more than this share of the face: the hull of its landmarks and its forehead. GrabCut takes some
# foreheads for background.
_MISSED = 0.02
# Height of the forehead above the brows, as a share of the distance from there to the chin. It is more than face mixing
# takes: with its 0.4, heads that are cut without the upper forehead would count as complete.
_FOREHEAD = 0.5


@click.command(cls=Benchmark, help=__doc__)
@data_option
@click.option("--method", default="privacynet", show_default=True)
@click.option("--set", "settings", multiple=True, metavar="METHOD.NAME=VALUE", help="A setting of the method.")
@click.option("--photos", "count", type=click.IntRange(1), default=150, show_default=True, help="Heads of each set.")
@click.option("--sheet", type=click.Path(path_type=Path), help="Also write the photos with most marks to this file.")
@json_option
def main(
    data: Path | None, method: str, settings: tuple[str, ...], count: int, sheet: Path | None, json_path: Path | None
) -> None:
    if data is None:
        raise UsageError("where are the data sets? give --data or FACEPRIV_DATA")
    found: dict[str, list[int]] = {}
    worst: list[tuple[int, Rgb]] = []
    for name, photo, head in [*photos_of(data, count), *own_backgrounds()]:
        try:
            after = facepriv.protect(photo, method, ("gender",), key=b"marks", settings=settings)
        except NoFaceError:  # the method saw no face, so it made no mark
            continue
        marked = marks(photo, after, head)
        found.setdefault(name, []).append(int(marked.sum()))
        worst.append((int(marked.sum()), np.hstack([photo, after, shown(marked)])))
    rows = {name: summary(counts) for name, counts in found.items()}
    plain = [n for name, counts in found.items() if "," in name for n in counts]
    rows["all plain backgrounds"] = summary(plain)
    holds = rows["all plain backgrounds"]["clean"] >= CLEAN
    head = ("photos", "number", "without a mark", "over 500 pixels marked", "marked pixels, mean")
    table(
        head,
        [(n, str(r["photos"]), _share(r["clean"]), _share(r["many"]), f"{r['mean']:.1f}") for n, r in rows.items()],
    )
    print(f"no mark in {100 * CLEAN:g} % of photos: {'holds' if holds else 'FALLS SHORT'}")
    if sheet is not None:
        save_sheet(worst, sheet)
    if json_path is not None:
        write_json(json_path, {"method": method, "settings": settings, "photos": rows, "holds": holds})


def photos_of(data: Path, count: int) -> Iterator[tuple[str, Rgb, Mask]]:
    """Yield composed photos: their kind, pixels (H, W, 3), and the head (H, W)."""
    for name, factor in _ENLARGED.items():
        records = readers.read(name, data / name)
        with progress(count, f"heads of {name}") as bar:
            made = 0
            for record in records[:: max(1, len(records) // (2 * count))]:
                cut = cut_head(enlarged(read_image(record.path).rgb8(), factor))
                if cut is None:
                    continue
                for background, level in BACKGROUNDS.items():
                    yield f"{name}, {background}", *composed(*cut, level)
                bar.advance()
                made += 1
                if made == count:
                    break


def own_backgrounds() -> Iterator[tuple[str, Rgb, Mask]]:
    """Yield the portraits as they are, with the heads that are cut out of them."""
    for portrait in portraits():
        rgb = read_image(portrait.path).rgb8()
        cut = cut_head(rgb)
        if cut is None:
            note(f"{portrait.name}: the head could not be cut out")
        else:
            yield portrait.name, rgb, cut[1]


def enlarged(rgb: Rgb, factor: int) -> Rgb:
    """Return a photo enlarged by a whole factor."""
    size = (factor * rgb.shape[1], factor * rgb.shape[0])
    return rgb if factor == 1 else np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC))


def cut_head(rgb: Rgb) -> tuple[Rgb, Mask] | None:
    """Return the photo and the mask of its largest head with hair and neck; None without a face or a plausible cut."""
    faces = find_faces(rgb, dense=True)
    if not faces:
        return None
    mask = grab_cut(rgb, faces[0])
    size = mask.sum() / head_box_area(faces[0])
    missed = 1 - mask[face_with_forehead(faces[0], mask.shape)].mean()
    return (rgb, mask) if _SMALLEST < size < _LARGEST and missed <= _MISSED else None


def face_with_forehead(face: Face, shape: tuple[int, ...]) -> Mask:
    """Return the mask (H, W) of the hull of a face's landmarks, extended by a forehead above the brows."""
    assert face.dense is not None
    brows, chin = face.dense[17:27], face.dense[8]
    up = (brows.mean(0) - chin) * _FOREHEAD
    points = np.concatenate([face.dense, brows + up])
    return polygon2mask(shape, points[ConvexHull(points).vertices, ::-1])


def head_box_area(face: Face) -> float:
    """Return the area of the box around the 68 landmarks, in pixels."""
    assert face.dense is not None
    return float(np.prod(np.ptp(face.dense, axis=0)))


def grab_cut(rgb: Rgb, face: Face) -> Mask:
    """Return the head of a face (H, W): GrabCut from its landmarks (Rother et al., 2004), the part with the face."""
    try:
        import cv2
    except ImportError:
        raise PluginError("heads are cut out with OpenCV: pip install opencv-python-headless") from None
    assert face.dense is not None
    points = face.dense.astype(np.int32)
    (left, top), (right, bottom) = points.min(0), points.max(0)
    width, height = right - left, bottom - top
    marked = np.full(rgb.shape[:2], cv2.GC_BGD, np.uint8)
    # Hair lies above and beside the landmarks, the neck below the chin.
    low = np.maximum((left - 6 * width // 10, top - 9 * height // 10), 2)
    high = np.minimum((right + 6 * width // 10, bottom + 3 * height // 10), np.array(rgb.shape[1::-1]) - 2)
    marked[low[1] : high[1], low[0] : high[0]] = cv2.GC_PR_BGD
    marked[max(top - height // 2, low[1]) : bottom, left:right] = cv2.GC_PR_FGD
    cv2.fillConvexPoly(marked, cv2.convexHull(points), cv2.GC_FGD)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(rgb, marked, None, *models, 5, cv2.GC_INIT_WITH_MASK)
    parts, _ = ndimage.label((marked == cv2.GC_FGD) | (marked == cv2.GC_PR_FGD))
    x, y = points.mean(0).astype(int)
    return ndimage.binary_fill_holes(parts == parts[y, x])


def composed(rgb: Rgb, head: Mask, level: int) -> tuple[Rgb, Mask]:
    """Return the head on a plain background, with room on every side, and the mask of the head there."""
    rows, columns = (side // 3 for side in head.shape)
    room = ((rows, rows), (columns, columns))
    mask = np.pad(head, room)
    alpha = ndimage.gaussian_filter(mask.astype(np.float32), 1)[..., None]
    mixed = alpha * np.pad(rgb, (*room, (0, 0)), mode="edge") + (1 - alpha) * level
    return np.rint(mixed).astype(np.uint8), mask


def marks(before: Rgb, after: Rgb, head: Mask) -> Mask:
    """Return the marked pixels (H, W)."""
    far = ndimage.distance_transform_edt(~head) > DISTANCE
    return far & (np.abs(after.astype(np.int16) - before).max(-1) > LEVELS)


def summary(counts: list[int]) -> dict[str, Any]:
    """Return the number of photos, the shares without and with many marked pixels, and their mean number."""
    n = np.array(counts)
    return {"photos": len(n), "clean": float((n == 0).mean()), "many": float((n > 500).mean()), "mean": float(n.mean())}


def shown(marked: Mask) -> Rgb:
    """Return the marked pixels as a picture."""
    return np.repeat((255 * marked).astype(np.uint8)[..., None], 3, axis=2)


def save_sheet(photos: list[tuple[int, Rgb]], path: Path) -> None:
    """Write the ten photos with most marks below each other: before, after, marked pixels. They show real people."""
    first = [Image.fromarray(rgb) for _, rgb in sorted(photos, key=lambda item: -item[0])[:10]]
    sheet = Image.new("RGB", (max(i.width for i in first), sum(i.height for i in first)))
    y = 0
    for image in first:
        sheet.paste(image, (0, y))
        y += image.height
    sheet.save(path)


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


if __name__ == "__main__":
    main()
