"""Any ONNX file as an attribute estimator or a face matcher: ArcFace, FairFace, or a model of your own."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import AttributeEstimator, FaceMatcher, Images
from facepriv.errors import ContractError, UsageError, WeightsError, one_line
from facepriv.schema import ATTRIBUTES
from facepriv_estimators.chips import arcface_chips, dlib_chips
from facepriv_estimators.onnx_settings import EstimatorSettings, MatcherSettings, OnnxSettings, read_settings

#: The highest age that an estimator returns, in years.
OLDEST = 120.0
_DTYPES: dict[str, Any] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class _OnnxFile:
    """Base class of estimator and matcher: the model's path and its settings."""

    _kind: ClassVar[type[OnnxSettings]]

    def __init__(self, model: str | Path, settings: str | Path | None = None, **fields: Any) -> None:
        self.model = model
        self.settings = settings
        self.fields = fields

    @cached_property
    def told(self) -> Any:
        """The checked settings, of the class `_kind`."""
        return read_settings(self._kind, self.model, self.settings, self.fields)

    @property
    def trained_on(self) -> str:
        """The training data given in the settings."""
        return self.told.trained_on


class OnnxEstimator(_OnnxFile, AttributeEstimator):
    """An ONNX file as an attribute estimator.

    Parameters
    ----------
    model : path-like
        The ONNX file: one input, a batch of any size or of one.
    settings : path-like, optional
        Its TOML or JSON settings file; by default the one beside the model.
    **fields
        Fields of `EstimatorSettings`; they override the file's.

    Notes
    -----
    No file is read before the first use. The model processes faces one by one, so a result never depends on the batch.
    Errors are raised on first use: `UsageError` for a wrong setting, `WeightsError` for an unreadable model.
    """

    _kind = EstimatorSettings

    @property
    def attribute(self) -> str:  # type: ignore[override]
        """The estimated attribute."""
        return self.told.attribute

    @property
    def output(self) -> Literal["probabilities", "years"]:  # type: ignore[override]
        """The form of `predict`'s result."""
        return "years" if self.told.gives_years else "probabilities"

    def predict(self, images: Images) -> NDArray[np.float32]:
        """Return probabilities (N, K) in the schema's class order, or years (N,) from 0 to 120."""
        return interpret(run(self.model, self.told, images), self.told, self.model)


class OnnxMatcher(_OnnxFile, FaceMatcher):
    """An ONNX file as a face matcher; cosine similarity of its embeddings, higher = same person.

    Parameters
    ----------
    model, settings
        As for `OnnxEstimator`.
    **fields
        Fields of `MatcherSettings`; they override the file's.
    """

    _kind = MatcherSettings

    @property
    def threshold(self) -> float | None:  # type: ignore[override]
        """The published threshold given in the settings."""
        return self.told.threshold

    def embed(self, images: Images) -> NDArray[np.float32]:
        """Return the model's output (N, D) float32; a row that is not finite becomes all NaN, not acquired."""
        out = run(self.model, self.told, images)
        out[~np.isfinite(out).all(axis=1)] = np.nan
        return out


def model_input(images: Images, settings: OnnxSettings) -> NDArray[np.float32]:
    """Turn aligned crops (N, S, S, 3) into the model's input: (N, 3, size, size) or (N, size, size, 3)."""
    if settings.align == "arcface":
        chips = arcface_chips(images, settings.size)
    else:
        chips = dlib_chips(images, settings.padding, settings.size)
    if settings.colours == "bgr":
        chips = chips[:, :, :, ::-1]
    mean, std = np.float32(settings.mean), np.float32(settings.std)
    values = (chips * np.float32(settings.white) - mean) / std
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2) if settings.layout == "nchw" else values)


def run(model: str | Path, settings: OnnxSettings, images: Images) -> NDArray[np.float32]:
    """Run a model face by face and return the selected output numbers, (N, D) float32.

    Raises
    ------
    UsageError
        If the settings do not fit the model.
    WeightsError
        If the model cannot be read or run.
    """
    if not len(images):
        # The size of a model's output is certain only after a run.
        return run(model, settings, np.zeros((1, settings.size, settings.size, 3), dtype=np.float32))[:0]
    session = _session(*_identity(Path(model)), settings.threads)
    entry, dtype = _fitting_input(session, settings, model)
    name = _chosen_output(session, settings, model)
    rows = []
    for face in model_input(images, settings).astype(dtype):
        try:
            (row,) = session.run([name], {entry: face[None]})
        except Exception as error:  # onnxruntime's errors share no base class
            raise WeightsError(f"{model}: cannot be run on one face: {one_line(error)}") from error
        rows.append(_columns(np.asarray(row, dtype=np.float32).reshape(-1), settings, model))
    return np.stack(rows)


def interpret(numbers: NDArray[np.float32], settings: EstimatorSettings, model: object) -> NDArray[np.float32]:
    """Turn a model's numbers (N, D) into probabilities (N, K) in the schema's order, or years (N,)."""
    if not np.isfinite(numbers).all():
        raise ContractError(f"{model}: gave NaN or infinity: check white, mean and std")
    values = numbers.astype(np.float64)
    if settings.kind == "years":
        if values.shape[1] != 1:
            raise UsageError(f"{model}: gives {values.shape[1]} numbers, kind 'years' is one: choose it with columns")
        return np.clip(values[:, 0] * settings.scale, 0, OLDEST).astype(np.float32)
    meanings: tuple[Any, ...] = settings.ages or settings.classes
    shares = _shares(values, settings.kind, model)
    if shares.shape[1] != len(meanings):
        field = "ages" if settings.ages else "classes"
        raise UsageError(
            f"{model}: gives {values.shape[1]} numbers, {field} names {len(meanings)}: choose them with columns"
        )
    if settings.ages:
        return (shares @ np.asarray(settings.ages)).astype(np.float32)
    ours = ATTRIBUTES[settings.attribute].classes
    # The tiny term gives equal probabilities if all of the model's output is in columns left out.
    summed = np.stack([shares[:, [m == c for m in meanings]].sum(axis=1) for c in ours], axis=1) + 1e-12
    return (summed / summed.sum(axis=1, keepdims=True)).astype(np.float32)


def _shares(values: NDArray[np.float64], kind: str, model: object) -> NDArray[np.float64]:
    """Probabilities (N, D) that sum to 1; a single column becomes two, with its value in the second."""
    if kind == "logits":
        if values.shape[1] == 1:
            values = np.hstack([np.zeros_like(values), values])
        values = np.exp(values - values.max(axis=1, keepdims=True))
        return values / values.sum(axis=1, keepdims=True)
    if values.shape[1] == 1:
        values = np.hstack([1 - values, values])
    total = values.sum(axis=1, keepdims=True)
    if len(values) and (values.min() < -1e-3 or np.abs(total - 1).max() > 1e-2):
        raise UsageError(f"{model}: its numbers are no probabilities that sum to 1: set kind to logits, or columns")
    return np.clip(values, 0, None) / total


def _columns(row: NDArray[np.float32], settings: OnnxSettings, model: object) -> NDArray[np.float32]:
    if settings.columns is None:
        return row
    start, stop = settings.columns
    if stop > len(row):
        raise UsageError(f"{model}: columns end at {stop}, the output holds {len(row)} numbers")
    return row[start:stop]


def _identity(path: Path) -> tuple[Path, int]:
    """Return a model's cache key: its path and its time of modification."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; give an ONNX model")
    return path.absolute(), path.stat().st_mtime_ns


@lru_cache(maxsize=16)
def _session(path: Path, written: int, threads: int) -> Any:
    """Load a model once per process, and again if its file changes."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows' own; on other systems the variable in facepriv/__init__.py counts
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class
        raise WeightsError(f"{path}: no ONNX model that onnxruntime can load: {one_line(error)}") from error


def _fitting_input(session: Any, settings: OnnxSettings, model: object) -> tuple[str, Any]:
    """Return the input's name and dtype; raise if the graph and the settings disagree."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise UsageError(f"{model}: takes {len(inputs)} inputs ({', '.join(i.name for i in inputs)}), expected one")
    (entry,) = inputs
    if entry.type not in _DTYPES:
        raise UsageError(f"{model}: takes {entry.type}, expected one of {', '.join(_DTYPES)}")
    size = settings.size
    wanted = (1, 3, size, size) if settings.layout == "nchw" else (1, size, size, 3)
    # A dimension of the graph that is not a number may have any size.
    fits = len(entry.shape) == 4 and all(
        not isinstance(have, int) or have == want for have, want in zip(entry.shape, wanted, strict=True)
    )
    if not fits:
        raise UsageError(f"{model}: takes {entry.shape}, size {size} and layout {settings.layout} give {list(wanted)}")
    return entry.name, _DTYPES[entry.type]


def _chosen_output(session: Any, settings: OnnxSettings, model: object) -> str:
    names = [out.name for out in session.get_outputs()]
    if settings.output and settings.output not in names:
        raise UsageError(f"{model}: has no output '{settings.output}': its outputs are {', '.join(names)}")
    if not settings.output and len(names) != 1:
        raise UsageError(f"{model}: has the outputs {', '.join(names)}: choose one with the field output")
    return settings.output or names[0]
