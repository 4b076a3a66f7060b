"""Rows of what a matcher's embedding gives away by itself: gender by a vote of neighbours, and by a linear probe.

Both are trained on one half of the people and tested on the other, in turn: on originals for ``before``, on protected
photos for ``after``. The first is the floor: a matcher that recognises people has to describe what they look like.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import FaceMatcher
from facepriv.evaluation.attributes import Resampling, known_faces
from facepriv.evaluation.rows import Float, Row
from facepriv.evaluation.truth import Truth
from facepriv.metrics.attributes import binary_eer
from facepriv.metrics.folds import FOLDS, LEAST, held_out, people_folds, trainable
from facepriv.metrics.logistic import fit_logistic
from facepriv.metrics.probes import fit_neighbours
from facepriv.schema import GENDER

#: The figures: a vote of nearest neighbours, and a logistic regression.
FIGURES = ("gender_neighbours", "gender_probe")


class Leakage:
    """What one matcher's descriptors give away; the originals are answered for once.

    Parameters
    ----------
    name : str
        The matcher's.
    matcher : FaceMatcher
    before : ndarray
        (N, D) descriptors of the originals, NaN where no face was found.
    truth : Truth
    how : Resampling
    """

    def __init__(self, name: str, matcher: FaceMatcher, before: NDArray[Any], truth: Truth, how: Resampling) -> None:
        self.name, self.how, self.before = name, how, before
        self.known = known_faces(GENDER.name, truth)
        self.classes, self.people = truth.classes[GENDER.name][self.known], truth.subjects[self.known]
        self.fits = dict(zip(FIGURES, (partial(fit_neighbours, score=matcher.score_all), fit_logistic), strict=True))

    def rows(self, after: NDArray[Any]) -> list[Row]:
        """Return the rows for descriptors (N, D) of protected photos; none without a label of gender."""
        empty = [Row(figure, self.name, GENDER.name) for figure in FIGURES]
        if not self.known.any():
            return []
        if not trainable(self.classes, people_folds(self.people, self.classes, FOLDS)):
            note = f"too few faces to learn gender from: each half needs {LEAST} a class"
            return [Row(row.figure, row.evaluator, row.attribute, note=note) for row in empty]
        female = self.classes == GENDER.index("female")
        second = self._answers(after)
        return [
            self.how.fill(row, lambda p, w: binary_eer(p, female, w[:, self.known]), self._first[row.figure], p)
            for row, p in zip(empty, second.values(), strict=True)
        ]

    @cached_property
    def _first(self) -> dict[str, Float]:
        return self._answers(self.before)

    def _answers(self, descriptors: NDArray[Any]) -> dict[str, Float]:
        """Return figure -> (M,) probability of female for the M faces of known gender."""
        x = np.asarray(descriptors)[self.known]
        classes = len(GENDER.classes)
        return {
            figure: held_out(fit, x, self.classes, self.people, classes)[:, GENDER.index("female")]
            for figure, fit in self.fits.items()
        }
