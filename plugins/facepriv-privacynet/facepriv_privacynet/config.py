"""Hyperparameters: our presets and the paper's, and the settings that distinguish the methods of this family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from facepriv.training.augment import Augmentation
from facepriv.training.judges import JUDGES, JudgeShape
from facepriv.training.records import FAMILY, MATCHER
from facepriv_privacynet import __version__
from facepriv_privacynet.networks import GeneratorShape


@dataclass(frozen=True)
class Recipe:
    """All settings of a training run, without the data.

    Parameters
    ----------
    generator : GeneratorShape
    judges : tuple of JudgeShape
        Judges that keep learning; none in the paper's preset.
    judges_each_step, pool_each_step, fixed_every : int
        Numbers of judges, and of judges of earlier rounds, drawn at random to teach G at each step. The trained
        classifiers also teach every `fixed_every` steps (0: neither they nor copies take part).
    warm_up, warm_batch : int
        Steps, and faces per step, in which judges and D's attribute head learn on real faces before G starts.
    steps, batch : int
        Steps of G, and faces per step and process.
    copies : bool
        Whether copies of the trained classifiers also keep learning, at every second step of the judges. They teach G
        when the originals do not.
    rate_g, rate_d, rate_judges, rate_copies, rate_readers : float
        Adam's learning rates; they fall linearly to zero over the last `decay` share of the steps.
    w_source, w_attribute, w_judges, w_identity, w_alike, w_cycle, w_mirror, w_kept, w_roughness : float
    w_colour, w_told : float
        Weights of the losses. The paper's w_identity of 4 belongs to unnormalised VGG descriptors. With w_identity and
        w_alike both 0 no matcher is used. A w_cycle or w_mirror of 0 disables the cycle or the mirrored face. With
        w_told, readers learn gender from the matchers' descriptors of changed faces, and G leaves them nothing to
        read; see `facepriv_privacynet.readers`.
    w_gender, w_race, w_years : float
        Weights of gender, race, and age in ranks within G's attribute losses.
    ordered : bool
        Whether judges and G use age in ranks of one year; otherwise in the three groups, as in the paper.
    cycle_every, mirror_every : int
        Steps between uses of the cycle and of the mirrored face; each use is one more pass through G. Their weights
        apply each time.
    conditional : bool
        Whether the critic also receives a face's own or target labels. It then scores likeness to faces with those
        labels instead of to any face.
    scales : bool
        Whether further critics score patches, and the face shrunk to a quarter.
    critic_widest : int
        Largest number of channels in the critic's trunk.
    critic_every, penalty_every : int
        Steps of G per step of D; steps of D per gradient penalty (its weight is scaled to match).
    judges_every, judges_batch : int
        Steps of G per step of the judges on real and changed faces with their true labels; real faces per judges' step.
    hide : float
        Probability with which a training target hides an attribute.
    own : float
        Share of faces whose targets are all their own classes.
    matcher_shift, matcher_smallest, matcher_light : float
        Alignment jitter before the matcher and the smallest side of its input, as shares of the crop; strength of the
        changes of light, colour and grey faces before it. A jitter of 0 disables all of these.
    ema : float
        Decay of the released average.
    augment : Augmentation or None
        Applied between G and its judges.
    """

    generator: GeneratorShape = field(default_factory=lambda: GeneratorShape(base=24, blocks=4, region="outline"))
    judges: tuple[JudgeShape, ...] = JUDGES
    judges_each_step: int = 3
    pool_each_step: int = 1
    fixed_every: int = 2
    warm_up: int = 1000
    warm_batch: int = 64
    steps: int = 6000
    batch: int = 12
    rate_g: float = 4e-4
    rate_d: float = 2e-4
    rate_judges: float = 1e-3
    copies: bool = True
    rate_copies: float = 1e-4
    rate_readers: float = 2e-3
    decay: float = 0.3
    w_source: float = 1.0
    w_attribute: float = 0.3
    w_judges: float = 2.0
    w_gender: float = 4.0
    w_race: float = 1.0
    w_years: float = 0.8
    ordered: bool = True
    w_identity: float = 14.0
    w_alike: float = 100.0
    w_cycle: float = 1.0
    w_mirror: float = 40.0
    w_kept: float = 24.0
    w_roughness: float = 2.0
    w_colour: float = 100.0
    w_told: float = 0.0
    cycle_every: int = 6
    mirror_every: int = 3
    conditional: bool = True
    scales: bool = True
    critic_widest: int = 256
    critic_every: int = 2
    penalty_every: int = 4
    judges_every: int = 1
    judges_batch: int = 12
    hide: float = 0.5
    own: float = 0.2
    matcher_shift: float = 0.03
    matcher_smallest: float = 0.4
    matcher_light: float = 0.2
    ema: float = 0.998
    augment: Augmentation | None = field(default_factory=lambda: Augmentation(smallest=0.3))
    seed: int = 0

    @property
    def matched(self) -> bool:
        """Whether a matcher teaches G."""
        return bool(self.w_identity or self.w_alike)

    @property
    def teachers(self) -> tuple[str, ...]:
        """Names of the evaluators used in training; they are not unseen for the resulting generator."""
        return ((MATCHER,) if self.matched else ()) + FAMILY

    def unmatched(self) -> Recipe:
        """Return the recipe without the matcher's two loss terms."""
        return replace(self, w_identity=0.0, w_alike=0.0, w_told=0.0)


OURS = Recipe()

#: For `--policy random`. No term asks that faces that keep their class stay as they are, and readers of the matchers'
#: descriptors take part.
RANDOM = replace(OURS, own=0.0, w_kept=0.0, w_told=6.0)

#: The paper's (section 4.2): lambda_attr 4, lambda_m 4, lambda_rec 4, batch 16, 200,000 iterations, 128 pixels, labels
#: as input channels, no judge except D's own head, no augmentation between G and D.
PAPER = replace(
    OURS,
    generator=GeneratorShape(size=128, conditioning="channels", output="image"),
    judges=(),
    augment=None,
    steps=200_000,
    batch=16,
    critic_widest=512,
    matcher_smallest=1.0,
    decay=0.5,
    w_source=1.0,
    w_gender=1.0,
    **dict.fromkeys(("rate_g", "rate_d"), 1e-4),
    **dict.fromkeys(("w_attribute", "w_identity", "w_cycle"), 4.0),
    **dict.fromkeys(("cycle_every", "critic_every", "penalty_every"), 1),
    **dict.fromkeys(("judges_each_step", "warm_up"), 0),
    **dict.fromkeys(("copies", "ordered", "conditional", "scales"), False),
    **dict.fromkeys(("w_judges", "w_mirror", "w_alike", "w_kept", "w_roughness", "w_colour"), 0.0),
    **dict.fromkeys(("own", "matcher_shift", "matcher_light"), 0.0),
)


@dataclass(frozen=True)
class Variant:
    """One method of the family: its names and recipes. Methods differ in nothing else, so they can be compared.

    Parameters
    ----------
    name : str
        Name of the method, its trainer and its weights file.
    version : str
        Version of its distribution.
    package : str
        Dotted name of the package that holds the shipped weights.
    presets : mapping of str to Recipe
        ``ours``, ``random`` and ``paper``.
    """

    name: str
    version: str
    package: str
    presets: Mapping[str, Recipe]

    @property
    def architecture(self) -> str:
        """The architecture name in its weights files; it prevents use with another method."""
        return f"{self.name}-generator"

    @property
    def opponents_architecture(self) -> str:
        """The architecture name in a file of its training opponents."""
        return f"{self.name}-opponents"


PRIVACYNET = Variant(
    "privacynet", __version__, "facepriv_privacynet.weights", {"ours": OURS, "random": RANDOM, "paper": PAPER}
)
