"""Settings of a training."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from facepriv.contracts import STANDARD
from facepriv.training.augment import Augmentation
from facepriv.training.judges import JUDGES, JudgeShape
from facepriv_san.family import CARICATURE, PUBLISHED, Form

#: Judges that learn on real faces only and teach no network: their figures are those of unseen classifiers.
PROBES = (JudgeShape(36, window=0.75), JudgeShape(72, window=0.85, residual=True))


@dataclass(frozen=True)
class Recipe:
    """All settings for the training of one network, without the data.

    Parameters
    ----------
    size : int
        Side of the crops.
    output : {"published", "residual"}
        How the network's output is used, see `facepriv_san.family.Form`.
    side, centre : float
        Frame of the crops, likewise.
    caricature : float
        How strongly prototypes are exaggerated, see `facepriv_san.family.Form`.
    judges : tuple of int
        Indices in `facepriv.training.judges.JUDGES`.
    diverse : bool
        Whether the network gets prototypes by age group and race.
    judges_each_step, judges_every : int
        Number of judges drawn at random to teach at each step; the trained classifier and a copy of it teach in turn
        with them. Number of steps after which these judges and the copy learn on the same faces.
    share : float
        Share of the training faces that a judge learns on, different for each judge.
    warm_up, warm_batch : int
        Steps, and faces per step, in which the judges learn on real faces before the network changes any.
    rebuild : int
        Steps of the first phase: reconstruction.
    towards : float
        Share of the difference between shown and own prototype that the first phase adds to its target, so that the
        network learns to use prototypes from the start.
    steps, batch, matched : int
        Steps of the second phase, with classifiers and matcher; faces per step, and how many of these the matcher gets.
    restart, restart_warm : int
        After so many steps each, the judges and the copy of the trained classifier start again, and first learn for so
        many steps on real and changed faces. A network adapts to the judges that it knows; new ones see through that.
        0: they never start again.
    rate_rebuild, rate, rate_judges, rate_copy : float
        Adam's learning rates; the second phase's fall linearly to zero over the last `decay` share of its steps.
    w_judges, w_identity, w_alike, w_same, w_change, w_faded, w_roughness : float
        Weights of the losses: classifiers; distance of a matcher's descriptors; rising similarity of different faces;
        change of a face shown its own prototype; change of any; faded edges; total variation of the change.
    same : float
        Share of the faces shown their own prototype, the other classifiers' half of the published loss.
    matcher_shift, matcher_smallest, matcher_light : float
        Alignment jitter before the matcher, the smallest side of its input (shares of the crop), and strength of light
        and colour changes before it.
    ema : float
        Decay of the released average.
    """

    size: int = 112
    output: str = "residual"
    side: float = STANDARD.side
    centre: float = STANDARD.centre
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
    restart: int = 0
    restart_warm: int = 200
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
        """Return how the network's output is used."""
        return Form(self.size, self.output, gain, self.caricature, self.side, self.centre)


#: The recipe for each output.
RECIPES = {
    "residual": Recipe(),
    "published": Recipe(
        size=224,
        output="published",
        side=PUBLISHED.side,
        centre=PUBLISHED.centre,
        caricature=CARICATURE,
        warm_up=450,
        steps=700,
        batch=8,
        rate=3e-4,
        w_change=2.0,
    ),
}

#: Default number of networks of `ensemble-san` and `flow-san`.
MEMBERS = {"san": 1, "ensemble-san": 3, "flow-san": 3}


def member(recipe: Recipe, method: str, number: int, members: int) -> Recipe:
    """Return the recipe of network `number`, from 0.

    The networks of an ensemble differ in seed, in judges (every judge teaches one of them) and in these judges'
    training faces. The first uses prototypes by gender, the others by age group and race. Those of a flow use all
    judges, which have already learnt on the networks before.
    """
    if method == "ensemble-san":
        judges = recipe.judges[number::members]
        return replace(recipe, judges=judges, diverse=number > 0, seed=recipe.seed + number)
    return replace(recipe, diverse=method == "flow-san" and number > 0, seed=recipe.seed + number)
