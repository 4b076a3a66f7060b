"""The method: an optimised perturbation for every face, face by face."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facepriv.contracts import FaceBatch, Images, Labels, Perturber, Rngs
from facepriv.errors import UsageError
from facepriv.faces.paste import feather_mask
from facepriv_k_attribute.classifiers import Classifier, changeable, load_classifiers, load_matcher, seen
from facepriv_k_attribute.optimise import demands, perturb

#: Weight of the matcher's shortfall (cosine) relative to the classifiers' (logits).
IDENTITY = 20.0


class KAttribute(Perturber):
    """Fools the given classifiers, photo by photo. For comparison only: it does not protect against others.

    Parameters
    ----------
    against : tuple of str
        Estimators used to compute the perturbation; each must offer a torch module. Their attributes can be hidden.
    budget : float, above 0, at most 1
        Largest root mean square of the change over pixels and channels, in units of the full range (0.01 is 2.55 of
        255 levels); times ``sqrt(3 * 112 * 112)`` it is the L2 norm on the crop.
    steps : int, at least 1
        Largest number of gradient steps, each on a different view.
    margin : float, at least 0
        Required lead of the wanted class, in logits.
    views : int, at least 1
        How many successive random views (shift, scale, rotation, blur, light) must show the wanted classes.
    keep : float, at least 0
        Weight of keeping the predictions of attributes that are not hidden; 0 ignores them.
    matcher : str or None
        A matcher with a torch module whose similarity is also kept.
    matcher_file : path or None
        Its option ``path``, if it has one.
    similarity : float, -1 to 1
        Lowest allowed cosine of the matcher's descriptors before and after.

    Raises
    ------
    UsageError
        If a number is out of range, or no estimator of that name is installed.
    """

    attributes: ClassVar[tuple[str, ...]] = ("gender", "race", "age")
    crop_size: ClassVar[int] = 112
    needs: ClassVar[frozenset[str]] = frozenset({"labels"})

    def __init__(
        self,
        against: tuple[str, ...] = ("family-a-gender", "family-a-race", "family-a-age"),
        budget: float = 0.03,
        steps: int = 12,
        margin: float = 1.5,
        views: int = 2,
        keep: float = 1.0,
        matcher: str | None = None,
        matcher_file: Path | None = None,
        similarity: float = 0.9,
    ) -> None:
        _check("against", against, bool(against), "one estimator at least")
        _check("budget", budget, 0 < budget <= 1, "above 0, at most 1")
        _check("steps", steps, steps >= 1, "1 or more")
        _check("margin", margin, 0 <= margin < np.inf, "a finite number, 0 or more")
        _check("views", views, views >= 1, "1 or more")
        _check("keep", keep, 0 <= keep < np.inf, "a finite number, 0 or more")
        _check("similarity", similarity, -1 <= similarity <= 1, "-1 to 1")
        _check("matcher_file", matcher_file, bool(matcher) or matcher_file is None, "a matcher that it belongs to")
        self.against, self.matcher, self.matcher_file = tuple(against), matcher, matcher_file
        self.budget, self.steps, self.views = budget, steps, views
        self.margin, self.keep, self.similarity = margin, keep, similarity
        self.attributes = changeable(self.against)  # type: ignore[misc]  # those of the chosen classifiers

    def to(self, device: str) -> KAttribute:
        """Load the classifiers, so that errors in them are raised before any photo is read; return self.

        The method always runs on the CPU, whatever `device` is: on a GPU the gradient of resampling has no fixed order
        of summation, so output bytes could differ between runs.
        """
        self._load()
        return self

    def info(self) -> dict[str, Any]:
        """Return the version, and as seen every estimator that shares a network with those in use."""
        from facepriv_k_attribute import __version__

        matchers = [self.matcher] if self.matcher else []
        return {"version": __version__, "weights": "", "seen": [*seen(self.against), *matchers]}

    def _perturb(self, faces: FaceBatch, source: Labels, target: Labels, strength: float, rngs: Rngs) -> Images:
        mask = torch.from_numpy(feather_mask(faces.images.shape[1]).copy())
        out = np.empty_like(faces.images)
        # One face at a time: a convolution's rounding depends on the batch size, a protected photo must not.
        for n, image in enumerate(faces.images):
            hidden = {
                name: int(target[name][n])
                for name in self.attributes
                if name in target and target[name][n] >= 0 and target[name][n] != source[name][n]
            }
            x = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
            change = perturb(
                x, mask, self._shortfall(x, hidden), budget=self.budget, steps=self.steps, views=self.views
            )
            out[n] = np.clip(image + np.float32(strength) * change[0].permute(1, 2, 0).numpy(), 0, 1)
        return out

    def _load(self) -> tuple[tuple[Classifier, ...], nn.Module | None]:
        matcher = load_matcher(self.matcher, self.matcher_file) if self.matcher else None
        return load_classifiers(self.against), matcher

    def _shortfall(self, x: Tensor, hidden: dict[str, int]) -> Callable[[Tensor], Tensor]:
        """Return the total shortfall of a view (1, 3, S, S) of face `x` from all demands, a scalar."""
        classifiers, matcher = self._load()
        asked = demands(x, classifiers, hidden, self.margin, self.keep)
        with torch.no_grad():
            person = matcher(x) if matcher else None

        def shortfall(seen: Tensor) -> Tensor:
            total = torch.zeros(())
            for classifier, wanted in zip(classifiers, asked, strict=True):
                logits = classifier.logits(seen)
                total = total + sum(demand.shortfall(logits[name]) for name, demand in wanted.items())
            if matcher is not None:
                total = total + IDENTITY * F.relu(self.similarity - F.cosine_similarity(matcher(seen), person)[0])
            return total

        return shortfall


def _check(name: str, value: object, holds: bool, expected: str) -> None:
    """Raise `UsageError` unless `holds`; comparisons with NaN are False as well."""
    if not holds:
        raise UsageError(f"k-attribute.{name}: expected {expected}, got {value!r}")
