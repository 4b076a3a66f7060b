"""Photos to evaluate, with their labels: a data set in its native layout, or a folder with a table."""

from __future__ import annotations

from pathlib import Path

from facepriv.datasets import readers
from facepriv.datasets.copies import part_without_copies
from facepriv.datasets.readers import lfw
from facepriv.datasets.readers.csvfolder import LABELS
from facepriv.datasets.record import Record
from facepriv.datasets.splits import PARTS
from facepriv.errors import DataError, UsageError
from facepriv.schema import nearest

#: The first five photos of each person of LFW.
VISIBLE_LFW = "visible-lfw"


def layouts() -> tuple[str, ...]:
    """Return the names of the layouts that `photos_of` reads."""
    return (*readers.readers(), VISIBLE_LFW)


def photos_of(
    kind: str, root: Path, *, part: str = "", limit: int | None = None, without_copies: bool = False
) -> list[Record]:
    """Return the photos of a set.

    Parameters
    ----------
    kind : str
        One of `layouts`.
    root : Path
        The set's folder.
    part : str
        "train", "validation" or "test"; empty: all.
    limit : int or None
        Maximum number of photos, taken in the set's order.
    without_copies : bool
        Leave out photos that nearly copy a photo of another part, see `part_without_copies`.

    Raises
    ------
    UsageError
        If the layout or the part is unknown, or copies are to be left out and no part is named.
    DataError
        If the set is missing or damaged, or the part is empty.
    """
    known = layouts()
    if kind not in known:
        raise UsageError(f"unknown layout '{kind}'{nearest(kind, list(known))}: known are {', '.join(known)}")
    if part and part not in PARTS:
        raise UsageError(f"unknown part '{part}'{nearest(part, list(PARTS))}: one of {', '.join(PARTS)}")
    if without_copies and not part:
        raise UsageError("copies are looked for in other parts: name a part with --part, or leave out --without-copies")
    photos = readers.read("lfw" if kind == VISIBLE_LFW else kind, root)
    if kind == VISIBLE_LFW:
        photos = lfw.visible(photos)
    if part:
        photos = part_without_copies(photos, part) if without_copies else [r for r in photos if r.part == part]
        if not photos:
            raise DataError(f"{root}: no photo of the '{kind}' layout is in part '{part}'")
    return photos[:limit]


def layout_of(root: Path) -> str:
    """Detect the layout of a folder; raises `UsageError` if it is unclear."""

    if not root.is_dir():
        raise UsageError(f"{root}: no such folder; DATA is a data set, or a folder of photos with {LABELS}")
    signs = {
        "csv": (root / LABELS).is_file(),
        "celeba": (root / "list_attr_celeba.txt").is_file(),
        VISIBLE_LFW: any((place / "lfw_gender.csv").is_file() for place in (root, root.parent)) and "lfw" in root.name,
        "utkface": next(root.glob("[0-9]*_[01]_[0-4]_*.jpg"), None) is not None,
    }
    found = [name for name, there in signs.items() if there]
    if len(found) != 1:
        raise UsageError(f"{root}: name its layout with --layout, one of {', '.join(layouts())}")
    return found[0]
