"""The components that the page uses: methods as pipelines, unseen judges, and what the page's controls need of them."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import asdict
from functools import cached_property
from typing import Any

from facepriv.contracts import AttributeEstimator, Evaluator
from facepriv.errors import FaceprivError, PluginError, one_line
from facepriv.evaluation.judges import Judges, find_judges
from facepriv.hookspecs import Descriptor
from facepriv.pool import use_one_thread
from facepriv.protection.pipeline import Pipeline, build_pipeline
from facepriv.protection.request import POLICIES, RELATIVE_TARGETS, PrivacyRequest
from facepriv.registry import Registry, build_detector, load_target
from facepriv.schema import ATTRIBUTES
from facepriv.serve.asked import Ask, offered
from facepriv.settings import Setting, settings_of

#: Most pipelines that are kept: each holds the weights of a method.
_KEPT = 16
_NUMBER = r"(-?[\d.]+)"
# An end of a number's range -> the words of a docstring before it.
_LIMITS = {"min": "at least", "above": "above", "max": "at most", "below": "below"}


class Models:
    """Builds components on first use, and keeps them.

    Parameters
    ----------
    registry : Registry
    key : bytes
        The secret that draws targets, see `facepriv.protection.options.read_key`.
    device : str
    """

    def __init__(self, registry: Registry, key: bytes, device: str = "cpu") -> None:
        self.registry, self.key, self.device = registry, key, device
        self._pipelines: OrderedDict[tuple[Any, ...], Pipeline] = OrderedDict()

    def pipeline(self, ask: Ask) -> Pipeline:
        """Return the pipeline of a request; raises what `build_pipeline` raises."""
        part = (ask.method, ask.settings, ask.finding)
        if part not in self._pipelines:
            use_one_thread()
            self._pipelines[part] = build_pipeline(
                ask.configured(self.registry),
                [ask.method],
                ask.request,
                key=self.key,
                device=self.device,
                thorough=ask.thorough,
                detector=ask.detector,
                min_face=ask.min_face,
            )
            use_one_thread()  # again: a plugin may have imported torch
        self._pipelines.move_to_end(part)
        while len(self._pipelines) > _KEPT:
            self._pipelines.popitem(last=False)
        return self._pipelines[part].with_request(ask.request, self.key)

    def finder(self, finding: tuple[str, bool, float]) -> Pipeline:
        """Return a pipeline without a method, which only finds faces; see `Ask.finding`."""
        name, thorough, min_face = finding
        detector = build_detector(name, thorough=thorough)
        return Pipeline((), PrivacyRequest(()), self.key, detector=detector, min_face=min_face)

    @cached_property
    def judges(self) -> Judges:
        """The default judges of ``facepriv evaluate``: no method of this project was trained against them."""
        return find_judges(self.registry)

    @cached_property
    def judge_models(self) -> dict[str, Evaluator]:
        """Judge -> model."""
        return self.judges.build()

    def about(self) -> dict[str, Any]:
        """Return what the controls offer, ready for JSON."""
        return {
            "methods": [self._method(d) for d in self.registry.descriptors("method").values()],
            "problems": self.registry.problems(),
            "detectors": list(self.registry.descriptors("detector")),
            "attributes": {name: list(spec.classes) for name, spec in ATTRIBUTES.items()},
            "policies": list(POLICIES),
            "judges": {n: getattr(m, "attribute", "") for n, m in self.judge_models.items()},
        }

    def _method(self, descriptor: Descriptor) -> dict[str, Any]:
        known = {"name": descriptor.name, "summary": descriptor.summary, "attributes": list(descriptor.attributes)}
        try:
            target = load_target(descriptor)
            neutral = getattr(target, "neutral", ())
            targets = {
                name: [*spec.classes, *(w for w in RELATIVE_TARGETS if w != "neutral" or name in neutral)]
                for name, spec in ATTRIBUTES.items()
                if name in descriptor.attributes
            }
            found = settings_of(descriptor)
        except FaceprivError as error:
            return known | {"problem": str(error), "targets": {}, "settings": [], "closed": []}
        settings = [control(setting) for setting in found if offered(setting)]
        closed = [setting.name for setting in found if not offered(setting)]
        return known | {"problem": "", "targets": targets, "settings": settings, "closed": closed}

    def seen(self, pipeline: Pipeline) -> set[str]:
        """Return the judges that the pipeline's method was trained against."""
        try:
            named = pipeline.methods[0].info()["seen"]
        except Exception as error:  # a plugin may raise anything
            raise PluginError(f"method '{pipeline.methods[0].name}': {one_line(error)}") from error
        return self.judges.among(named)


def control(setting: Setting) -> dict[str, Any]:
    """Return a setting as a control of the page: its type, choices and range.

    Returns
    -------
    dict
        The fields of `Setting`; ``kind``: "choice", "switch", "integer" or "number"; ``free``: whether none is
        a value; ``range``: any of ``min``, ``max`` (inclusive), ``above``, ``below`` (exclusive).
    """
    parts = setting.type.split(" or ")
    numbers = [part for part in parts if part in ("whole number", "number")]
    kind = "integer" if "whole number" in numbers else "number" if numbers else "choice"
    if "true | false" in parts:
        kind = "switch"
    found = {end: re.search(rf"{words} {_NUMBER}", setting.limits) for end, words in _LIMITS.items()}
    ends = {end: float(match[1]) for end, match in found.items() if match}
    if between := re.search(rf"{_NUMBER} to {_NUMBER}", setting.limits):
        ends |= {"min": float(between[1]), "max": float(between[2])}
    default = setting.default if isinstance(setting.default, bool | int | float | str | None) else str(setting.default)
    return asdict(setting) | {"kind": kind, "free": "none" in parts, "range": ends, "default": default}


def said(model: Evaluator, prediction: Any) -> dict[str, Any]:
    """Return an estimate in words and numbers: ``answer``, ``text``; None for a face that it could not process."""
    assert isinstance(model, AttributeEstimator)
    spec = ATTRIBUTES[model.attribute]
    if model.output == "years":
        years = float(prediction)
        known = years == years
        group = spec.classes[int(spec.bin(prediction.reshape(1))[0])] if known else ""
        return {"answer": group, "text": f"{years:.0f}\u00a0years ({group})" if known else "no answer"}
    best = int(prediction.argmax())
    share = float(prediction[best])
    if share != share:
        return {"answer": "", "text": "no answer"}
    return {"answer": spec.classes[best], "text": f"{spec.classes[best]} {100 * share:.0f}\u00a0%"}
