"""What matchers' embeddings of protected faces give away.

A matcher that still recognises a person also describes what makes them look like a woman or a man. No method can hide
more than these attacks read off *unprotected* faces without a cost in recognition, so their error there is a floor,
which is reported beside them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from facepriv.attacks.evidence import descriptors
from facepriv.contracts import Answer, Attack, Images, Known, Notes, Tools, flat
from facepriv.metrics.logistic import Model, fit_logistic
from facepriv.metrics.probes import NEIGHBOURS, fit_neighbours, fit_network


class Neighbours(Attack):
    """A vote of the nearest protected faces of known class, for each matcher.

    Parameters
    ----------
    count : int, at least 1
        Voters for a face.
    """

    floor = True

    def __init__(self, count: int = NEIGHBOURS) -> None:
        self.count = count

    def observe(self, images: Images, tools: Tools) -> Notes:
        """Return every matcher's descriptors (N, D)."""
        return dict(descriptors(images, tools.matchers))

    def learn(self, known: Known, tools: Tools) -> dict[str, Answer]:
        """Return matcher -> its vote."""
        given = known.classes, known.subjects, tools.classes

        def vote(name: str) -> Model:
            return fit_neighbours(known.after[name], *given, score=tools.matchers[name].score_all, count=self.count)

        return {name: _on(name, vote(name)) for name in known.after}


class Probe(Attack):
    """A logistic regression and a small network on each matcher's descriptors, and on those of all matchers joined."""

    floor = True

    def observe(self, images: Images, tools: Tools) -> Notes:
        """Return every matcher's descriptors (N, D)."""
        return dict(descriptors(images, tools.matchers))

    def learn(self, known: Known, tools: Tools) -> dict[str, Answer]:
        """Return matcher (or "joined") and model -> its answers."""
        found: dict[str, Answer] = {}
        for words, fit in {"linear": fit_logistic, "network": fit_network}.items():
            for name in [*known.after, *["joined"] * (len(known.after) > 1)]:
                model = fit(_columns(known.after, name), known.classes, known.subjects, tools.classes)
                found[f"{name}, {words}"] = _on(name, model)
        return found


def _columns(notes: Notes, name: str) -> NDArray[np.float64]:
    return flat(notes) if name == "joined" else notes[name].astype(np.float64)


def _on(name: str, model: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Answer:
    return lambda notes: model(_columns(notes, name))
