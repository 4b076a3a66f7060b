"""The contract of attacks: adversaries that try to recover a hidden attribute."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts.evaluators import AttributeEstimator, FaceMatcher
from facepriv.contracts.methods import Images, Perturber
from facepriv.schema import attribute

#: Features that an attack extracts: name -> (N, ...), one row per face.
Notes = dict[str, NDArray[Any]]

#: Notes of M faces -> (M, K) probabilities of the classes.
Answer = Callable[[Notes], NDArray[np.float64]]

#: One answer, or several by name: what an attack learns.
Learnt = Answer | Mapping[str, Answer]

#: Trains a classifier, see `Tools`.
Fit = Callable[[NDArray[Any], NDArray[np.int64], NDArray[np.str_], int], Callable[[NDArray[Any]], NDArray[np.float64]]]


@dataclass(frozen=True)
class Tools:
    """The tools of an adversary, besides faces.

    Parameters
    ----------
    attribute : str
        The hidden attribute, which the adversary tries to recover.
    method : Perturber
        The method that protected the faces; it is public.
    estimators : mapping
        Name -> estimator of the attribute.
    matchers : mapping
        Name -> matcher.
    labels : mapping
        Attribute -> function that estimates the class of aligned faces, (N, S, S, 3) -> (N,) int64; for the labels that
        the method needs.
    fit : callable
        Takes notes (N, D), classes (N,), people (N,) and the number of classes K, and returns a classifier of notes
        (M, D) -> (M, K): a logistic regression, see `facepriv.metrics.logistic.fit_logistic`.
    """

    attribute: str
    method: Perturber
    estimators: Mapping[str, AttributeEstimator]
    matchers: Mapping[str, FaceMatcher]
    labels: Mapping[str, Callable[[Images], NDArray[np.int64]]]
    fit: Fit

    @property
    def classes(self) -> int:
        """Number of classes of the attribute."""
        return len(attribute(self.attribute).classes)


@dataclass(frozen=True)
class Known:
    """Notes of an adversary's training faces: N photos of people who are not in the test.

    Parameters
    ----------
    before, after : dict
        Notes of the originals (empty unless the attack needs them) and of the protected faces.
    classes : ndarray
        (N,) int64 true class. 0 for a detector of protection; for one of changes 1 where the face changed class.
    subjects : ndarray
        (N,) the person of each face.
    """

    before: Notes
    after: Notes
    classes: NDArray[np.int64]
    subjects: NDArray[np.str_]

    def take(self, index: NDArray[Any]) -> Known:
        """Return the faces selected by an index or a mask (N,)."""
        return Known(taken(self.before, index), taken(self.after, index), self.classes[index], self.subjects[index])


class Attack(ABC):
    """One way to recover hidden attributes from protected faces. Constructors only store arguments.

    An attack first extracts notes (features) from each face, without labels (`observe`). Then it trains on notes of
    other people's faces with known originals and classes (`learn`): anyone can run a public method on their own photos.
    It is tested on people who are not in its training data. The core picks the split.
    """

    #: "attribute": which class was hidden; "protection": whether a face is protected at all; "change": whether a face
    #: got another class where classes are drawn (policy ``random``), or kept its own.
    asks: ClassVar[Literal["attribute", "protection", "change"]] = "attribute"
    #: Whether it trains on the originals of other people besides their protected faces.
    needs_originals: ClassVar[bool] = False
    #: Whether its notes depend on the method.
    uses_method: ClassVar[bool] = False
    #: Whether it is also trained and tested on unprotected faces: its error there is the floor of any method.
    floor: ClassVar[bool] = False
    #: Numbers of labelled faces with which it is also trained, besides all of them.
    sizes: ClassVar[tuple[int, ...]] = ()

    @abstractmethod
    def observe(self, images: Images, tools: Tools) -> Notes:
        """Return notes of aligned crops (N, S, S, 3) float32 in [0, 1], computed for each face separately."""

    def learn(self, known: Known, tools: Tools) -> Learnt:
        """Train on other people's faces; by default a logistic regression on all notes.

        Returns
        -------
        callable or dict of str to callable
            Notes of M faces -> (M, K) probabilities of the classes; for a detector (M, 2): original and protected, or
            kept and changed. Several models have names; each is reported by itself.
        """
        if self.asks == "protection":
            notes = np.concatenate([flat(known.before), flat(known.after)])
            protected = np.repeat(np.array([0, 1], np.int64), len(known.classes))
            model = tools.fit(notes, protected, np.tile(known.subjects, 2), 2)
        else:
            model = tools.fit(flat(known.after), known.classes, known.subjects, tools.classes)
        return lambda notes: model(flat(notes))


def taken(notes: Notes, index: NDArray[Any]) -> Notes:
    """Return the rows of notes selected by an index or a mask."""
    return {name: rows[index] for name, rows in notes.items()}


def flat(notes: Notes) -> NDArray[np.float64]:
    """Return notes as one matrix (N, D), ordered by name."""
    return np.concatenate([notes[n].reshape(len(notes[n]), -1).astype(np.float64) for n in sorted(notes)], axis=1)
