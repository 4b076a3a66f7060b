"""Speed of the page of ``facepriv serve``: the first picture of a photo, and every change of a control after it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from itertools import cycle

import click
import numpy as np
from PIL import Image

from facepriv.registry import registry
from facepriv.samples import portraits
from facepriv.serve.asked import Ask
from facepriv.serve.models import Models
from facepriv.serve.photos import Photos
from speed.harness import TIMES, Ratio, Result, in_turns, milliseconds, part

#: Most milliseconds of a change of a control with one face, and of the first picture of a photo of 12 megapixels.
CHANGE, FIRST = 300.0, 5000.0
#: Size of the large photo, and side of the portrait in it.
WIDE, HIGH, PORTRAIT = 4000, 3000, 2600


@part(rounds=10)
@click.option("--cpu", is_flag=True, help="Measure processor time: on a busy machine it is what a quiet one takes.")
@click.option("--method", default="privacynet", show_default=True)
def page(rounds: int, cpu: bool, method: str) -> Result:
    """The page's answers for one face, models loaded: a portrait of 512 x 512 and a photo of 12 megapixels.

    All work is done by one thread, as on the page. Pictures and figures are included, sending them is not.
    """
    photos = Photos(Models(registry(), b"no secret: nothing is published"))
    files = {"512 x 512": portraits()[0].path.read_bytes(), "12 megapixels": _large()}
    jobs: dict[str, Callable[[], object]] = {}
    for name, data in files.items():
        jobs[f"first picture, {name}"] = _first(photos, name, data, method)
        jobs[f"strength, {name}"] = _change(photos, name, [_ask(method, strength=n / 10) for n in (6, 7, 8, 9)])
        jobs[f"attributes, {name}"] = _change(photos, name, [_ask(method, hide=[a]) for a in ("gender", "race")])
    taken = in_turns(jobs, rounds, clock=time.process_time if cpu else time.perf_counter)
    ratios = {
        name: Ratio(f"ms: {name}", [1e3 * each for each in found], FIRST if "first" in name else CHANGE, at_most=True)
        for name, found in taken.items()
    }
    clock = "processor time" if cpu else "time"
    rows = [(name, *milliseconds(found)) for name, found in taken.items()]
    return Result(f"page: {method}, one face, one thread, {clock}", ("what", *TIMES), rows, ratios)


def _ask(method: str, hide: list[str] | None = None, strength: float = 1.0) -> Ask:
    return Ask.read({"method": method, "hide": hide or ["gender"], "strength": strength})


def _first(photos: Photos, name: str, data: bytes, method: str) -> Callable[[], object]:
    """Return what opens a photo and shows its first result; it stays open under its name."""

    def first() -> object:
        photos.open(name, "photo.jpg", data)
        photos.faces(name, _ask(method))
        return photos.show(name, _ask(method))

    return first


def _change(photos: Photos, name: str, asks: list[Ask]) -> Callable[[], object]:
    """Return what shows an open photo with another of some requests at each call."""
    turns = cycle(asks)
    return lambda: photos.show(name, next(turns))


def _large() -> bytes:
    """Return a photo of 12 megapixels with one face, as JPEG."""
    pixels = np.random.default_rng(0).integers(80, 120, (HIGH, WIDE, 3), dtype=np.uint8)
    photo = Image.fromarray(pixels)
    portrait = Image.open(portraits()[0].path).convert("RGB").resize((PORTRAIT, PORTRAIT))
    photo.paste(portrait, ((WIDE - PORTRAIT) // 2, (HIGH - PORTRAIT) // 2))
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=92)
    return file.getvalue()
