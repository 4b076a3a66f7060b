"""Which faces changed class: where classes are drawn, an adversary that knows it can invert the answers."""

from __future__ import annotations

from typing import ClassVar, Literal

from facepriv.attacks.detector import Detector
from facepriv.attacks.evidence import descriptors, evidence
from facepriv.contracts import Images, Notes, Tools


class Change(Detector):
    """Tells faces that got another class from those that kept theirs, by the traces of the change and by all models.

    It learns on protected faces of other people for which the draw is known.
    """

    asks: ClassVar[Literal["attribute", "protection", "change"]] = "change"
    needs_originals = False

    def observe(self, images: Images, tools: Tools) -> Notes:
        """Return the energy of the frequencies, see `Detector`, the classifiers' evidence and the descriptors."""
        seen = {"evidence": evidence(images, tools.estimators), **descriptors(images, tools.matchers)}
        return {**super().observe(images, tools), **seen}
