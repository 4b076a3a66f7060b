"""Mismatch: classifiers change their answer on a restored face more if the face was protected."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from facepriv.attacks.restoration import Restoration
from facepriv.contracts import Answer, Images, Known, Notes, Tools
from facepriv.evaluation.predictions import predict


class Mismatch(Restoration):
    """Detects protection by the classifiers' predictions on the face less those on restored copies of it.

    It needs no protected face for training. Unprotected faces of other people set the unit of each difference. The
    settings are those of `Restoration`.
    """

    asks: ClassVar[Literal["attribute", "protection", "change"]] = "protection"
    needs_originals = True

    def observe(self, images: Images, tools: Tools) -> Notes:
        """Return (N, V, E): the mean absolute difference of the predictions of E classifiers for V restored copies."""
        whole, *views = self.views(images).values()
        columns = []
        for model in tools.estimators.values():
            asked = predict(model, whole)
            shifts = [np.abs(predict(model, view) - asked).reshape(len(images), -1).mean(axis=1) for view in views]
            columns.append(np.stack(shifts, axis=1))
        return {"mismatch": np.nan_to_num(np.stack(columns, axis=2)).astype(np.float32)}

    def learn(self, known: Known, tools: Tools) -> Answer:
        """Measure the differences on unprotected faces; a larger one than theirs speaks for protection."""
        usual = known.before["mismatch"].astype(np.float64)
        centre, spread = usual.mean(axis=0), np.maximum(usual.std(axis=0), 1e-6)

        def answer(notes: Notes) -> np.ndarray:
            excess = ((notes["mismatch"] - centre) / spread).mean(axis=(1, 2))
            p = 1 / (1 + np.exp(-np.clip(excess, -500, 500)))
            return np.stack([1 - p, p], axis=1)

        return answer
