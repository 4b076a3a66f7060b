"""What an adversary is given, and what it answers. Arrays at the border are NumPy, as everywhere.

An attack first notes of each face what it likes, without labels (`observe`). Then it studies the notes of other
people's faces, whose originals and classes it knows (`learn`): anybody can run a public method on photos of their own.
What it learnt must answer for people it never met; who these are, the core decides, not the attack.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import AttributeEstimator, FaceMatcher, Images, Perturber
from facepriv.evaluation.answers import judged
from facepriv.schema import attribute

if TYPE_CHECKING:
    from facepriv.components import Estimator

#: What an attack noted: name -> (N, ...), one row a face.
Notes = dict[str, NDArray[Any]]
#: Notes of M faces -> (M, K) probabilities of the classes.
Answer = Callable[[Notes], NDArray[np.float64]]


@dataclass(frozen=True)
class Tools:
    """What an adversary has beside faces.

    Parameters
    ----------
    attribute : str
        What was hidden, and is asked for.
    method : Perturber
        The method that protected the faces: it is public.
    estimators : mapping
        Name -> estimator of the attribute.
    matchers : mapping
        Name -> matcher.
    labels : mapping
        Attribute -> the estimator that tells the method a face's own class, for those that it needs.
    """

    attribute: str
    method: Perturber
    estimators: Mapping[str, AttributeEstimator]
    matchers: Mapping[str, FaceMatcher]
    labels: Mapping[str, Estimator]

    @property
    def classes(self) -> int:
        """How many classes the attribute has."""
        return len(attribute(self.attribute).classes)


@dataclass(frozen=True)
class Known:
    """Notes of the faces that an adversary may study: N photos of people who are asked about nowhere.

    Parameters
    ----------
    before, after : dict
        Notes of the originals (empty unless the attack asks for them) and of the protected faces.
    classes : ndarray
        (N,) int64 true class; of a detector 0.
    subjects : ndarray
        (N,) whose faces they are.
    """

    before: Notes
    after: Notes
    classes: NDArray[np.int64]
    subjects: NDArray[np.str_]

    def take(self, index: NDArray[Any]) -> Known:
        """Return the faces that an index or a mask (N,) selects."""
        return Known(taken(self.before, index), taken(self.after, index), self.classes[index], self.subjects[index])


class Attack(ABC):
    """One way to read from protected faces what was hidden. Constructors only store arguments."""

    #: "attribute": which class was hidden; "protection": whether a face is protected at all.
    asks: ClassVar[Literal["attribute", "protection"]] = "attribute"
    #: Whether it studies the originals of other people beside their protected faces.
    needs_originals: ClassVar[bool] = False
    #: Whether its notes hang on the method.
    uses_method: ClassVar[bool] = False

    @abstractmethod
    def observe(self, images: Images, tools: Tools) -> Notes:
        """Return notes of aligned crops (N, S, S, 3) float32 in [0, 1], each face by itself."""

    def learn(self, known: Known, tools: Tools) -> Answer:
        """Study other people's faces; by default a logistic regression on all notes.

        Returns
        -------
        callable
            Notes of M faces -> (M, K) probabilities of the classes; of a detector (M, 2): original, protected.
        """
        from facepriv.attacks.logistic import fit_logistic

        if self.asks == "protection":
            notes = np.concatenate([flat(known.before), flat(known.after)])
            protected = np.repeat(np.array([0, 1], np.int64), len(known.classes))
            model = fit_logistic(notes, protected, np.tile(known.subjects, 2), 2)
        else:
            model = fit_logistic(flat(known.after), known.classes, known.subjects, tools.classes)
        return lambda notes: model(flat(notes))


def taken(notes: Notes, index: NDArray[Any]) -> Notes:
    """Return the rows of notes that an index or a mask selects."""
    return {name: rows[index] for name, rows in notes.items()}


def flat(notes: Notes) -> NDArray[np.float64]:
    """Return notes as one matrix (N, D), in the order of their names."""
    return np.concatenate([notes[n].reshape(len(notes[n]), -1).astype(np.float64) for n in sorted(notes)], axis=1)


def evidence(images: Images, estimators: Mapping[str, AttributeEstimator]) -> NDArray[np.float32]:
    """Return what estimators say of crops (N, S, S, 3) as evidence (N, D): log-odds of classes, or decades of age.

    A face that an estimator cannot take is 0.
    """
    columns = []
    for model in estimators.values():
        said = judged(model, images)
        columns.append(said[:, None] / 10 if said.ndim == 1 else log_odds(said))
    return np.nan_to_num(np.concatenate(columns, axis=1)).astype(np.float32)


def log_odds(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Return log p/(1 - p) of probabilities (N, K); of two classes one column (N, 1), the other says the same."""
    p = np.clip(np.asarray(probabilities, np.float64), 1e-6, 1 - 1e-6)
    odds = np.log(p) - np.log1p(-p)
    return odds[:, 1:] if odds.shape[1] == 2 else odds
