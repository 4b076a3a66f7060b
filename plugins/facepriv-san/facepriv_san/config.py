"""Numbers of a training."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from facepriv.training.augment import Augmentation
from facepriv.training.judges import JUDGES, JudgeShape
from facepriv_san.family import Form

#: Judges that learn on real faces only and teach nobody: what they say is what strangers will say.
PROBES = (JudgeShape(36, window=0.75), JudgeShape(72, window=0.85, residual=True))


@dataclass(frozen=True)
class Recipe:
    """All that the training of one network needs besides data.

    Parameters
    ----------
    size : int
        Side of the crops.
    caricature : float
        How strongly prototypes are drawn, see `facepriv_san.family.Form`.
    judges : tuple of int
        Which of `facepriv.training.judges.JUDGES`.
    diverse : bool
        Whether the network is shown prototypes by age group and race.
    judges_each_step, judges_every : int
        How many judges, drawn by chance, teach at each step; with them, by turns, the trained classifier and a copy of
        it. At every how many steps those that taught, and the copy, learn on what they saw.
    share : float
        Share of the training faces that a judge learns on: each has its own.
    warm_up, warm_batch : int
        Steps, and faces a step, in which the judges learn on real faces before anything is changed.
    rebuild : int
        Steps of the first phase: reconstruction.
    towards : float
        How much of what the shown prototype differs in from the own the first phase adds, so that the network begins by
        making use of it.
    steps, batch, matched : int
        Steps of the second phase, with classifiers and matcher; faces a step, and how many of these the matcher sees.
    rate_rebuild, rate, rate_judges, rate_copy : float
        Adam's learning rates; the second phase's fall linearly to zero over the last `decay` share of its steps.
    w_judges, w_identity, w_alike, w_same, w_change, w_faded, w_roughness : float
        Weights of the losses: classifiers; distance of a matcher's descriptors; different faces growing alike; change
        of the face that is shown its own prototype; change of any; edges that fade; total variation of the change.
    same : float
        Share of the faces that are shown their own prototype, the other classifiers' half of the published loss.
    matcher_shift, matcher_smallest, matcher_light : float
        Alignment jitter before the matcher, the smallest side that it is shown (shares of the crop), and how much light
        and colour change before it.
    ema : float
        Decay of the average that is released.
    """

    size: int = 112
    caricature: float = 3.0
    judges: tuple[int, ...] = tuple(range(len(JUDGES)))
    diverse: bool = False
    judges_each_step: int = 3
    judges_every: int = 4
    share: float = 0.6
    warm_up: int = 1000
    warm_batch: int = 48
    rebuild: int = 1500
    towards: float = 1.0
    steps: int = 350
    batch: int = 16
    matched: int = 8
    rate_rebuild: float = 2e-3
    rate: float = 6e-4
    rate_judges: float = 1e-3
    rate_copy: float = 1e-4
    decay: float = 0.4
    w_judges: float = 6.0
    w_identity: float = 14.0
    w_alike: float = 100.0
    w_same: float = 2.0
    w_change: float = 6.0
    w_faded: float = 60.0
    w_roughness: float = 2.0
    same: float = 0.1
    matcher_shift: float = 0.03
    matcher_smallest: float = 0.4
    matcher_light: float = 0.2
    ema: float = 0.99
    augment: Augmentation = field(default_factory=lambda: Augmentation(smallest=0.3))
    seed: int = 0

    def form(self, gain: float = 1.0) -> Form:
        """Return how the network's drawings are used."""
        return Form(self.size, gain=gain, caricature=self.caricature)


#: How many networks `ensemble-san` and `flow-san` have unless told.
MEMBERS = {"san": 1, "ensemble-san": 3, "flow-san": 3}


def member(recipe: Recipe, method: str, number: int, members: int) -> Recipe:
    """Return the recipe of network `number`, from 0.

    The networks of an ensemble differ in judges (every judge teaches one of them), in the faces that these learnt on,
    in prototypes (by gender for the first, by age group and race for the others) and in seed. Those of a flow see all
    judges, which by then know the networks before.
    """
    if method == "ensemble-san":
        judges = recipe.judges[number::members]
        return replace(recipe, judges=judges, diverse=number > 0, seed=recipe.seed + number)
    return replace(recipe, diverse=method == "flow-san" and number > 0, seed=recipe.seed + number)
