"""Training in rounds, with new opponents for G in each.

G adapts to its current opponents, and changes learnt late fool no others. Each round initialises judges, copies of
trained classifiers and D again, with judges of other shapes. Judges of earlier rounds join a pool that also teaches, so
that G still fools them. Each round is a `Run` in its own folder and can be resumed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator

from facepriv.files import atomic_write
from facepriv.training.judges import Judge, JudgeShape
from facepriv.training.loop import deadline_in
from facepriv.training.records import curve_lines
from facepriv_privacynet.config import Recipe, Variant
from facepriv_privacynet.opponents import judges_of, read_opponents
from facepriv_privacynet.runs import Material, Run

#: File for the curves of all rounds, one line of JSON per gain.
CURVE = "curve.jsonl"
#: Gains at which a round is measured.
GAINS = (0.8, 1.0)
# The choices for judges. From 64 pixels on the first convolution halves the side: 112 cost no more than 56.
_SIDES = (32, 40, 48, 56, 64, 80, 96, 112)
_CHANNELS = (16, 24, 32)
_SMALLEST_WINDOW, _GREY = 0.7, 0.3


def draw_judges(count: int, *seeds: int) -> tuple[JudgeShape, ...]:
    """Draw shapes of judges: different sizes where possible, wide and narrow, grey and colour."""
    rng = np.random.default_rng(seeds)

    def dealt(values: Sequence[int]) -> list[int]:
        rounds = -(-count // len(values))
        return np.concatenate([rng.permutation(values) for _ in range(rounds)])[:count].tolist()

    return tuple(
        JudgeShape(
            side,
            base=base,
            grey=bool(rng.random() < _GREY),
            window=round(float(rng.uniform(_SMALLEST_WINDOW, 1)), 2),
            residual=bool(rng.random() < 0.5),
        )
        for side, base in zip(dealt(_SIDES), dealt(_CHANNELS), strict=True)
    )


def round_recipe(recipe: Recipe, number: int) -> Recipe:
    """Return the recipe of round `number`, counted from 1, with its own seed and judges."""
    return replace(recipe, seed=recipe.seed + number, judges=draw_judges(len(recipe.judges), recipe.seed, number))


@dataclass
class Rounds:
    """Rounds of one training in the folder `out`, each in ``round-N`` below it.

    Parameters
    ----------
    recipe : Recipe
        The recipe of each round; its steps are those of one round.
    start, opponents : Path or None
        Initial weights, and a file of `facepriv_privacynet.opponents` whose judges start the pool.
    """

    variant: Variant
    out: Path
    recipe: Recipe
    material: Material
    accelerator: Accelerator
    start: Path | None = None
    opponents: Path | None = None

    def train(self, count: int, minutes: float | None, say: Callable[[str], None], *, shown: str = "") -> int:
        """Train until `count` rounds are finished or the time is up; return the number of finished rounds.

        A finished round leaves ``NAME.safetensors``, the generator, and ``NAME-opponents.safetensors``, both in half
        precision. Its curve is added to ``curve.jsonl``.
        """
        deadline = deadline_in(minutes)
        start, opponents, pool = self.start, self.opponents, self._judges(self.opponents)
        for number in range(1, count + 1):
            folder = self.out / f"round-{number}"
            left_behind = folder / f"{self.variant.opponents_architecture}.safetensors"
            if not left_behind.is_file():
                minutes_left = (deadline - time.monotonic()) / 60
                if minutes_left <= 0:
                    return number - 1
                folder.mkdir(parents=True, exist_ok=True)
                run = self.run(number, start, opponents, pool)
                run.train(minutes_left, lambda line, number=number: say(f"round {number}  {line}"), shown=shown)
                if run.trainer.step < self.recipe.steps:
                    return number - 1
                if self.accelerator.is_main_process:
                    self._write(number, run, say, shown)
                self.accelerator.wait_for_everyone()
            start, opponents = folder / f"{self.variant.name}.safetensors", left_behind
            pool = [*pool, *self._judges(opponents)]
        return count

    def run(
        self, number: int, start: Path | None = None, opponents: Path | None = None, pool: Sequence[Judge] = ()
    ) -> Run:
        """Return the run of one round: resumed from its checkpoint, or started from the given networks."""
        folder, recipe = self.out / f"round-{number}", round_recipe(self.recipe, number)
        place = self.material, self.accelerator
        return Run(self.variant, folder, recipe, *place, start, pool=pool, opponents=opponents, restart=True)

    def _write(self, number: int, run: Run, say: Callable[[str], None], shown: str) -> None:
        run.export(shown)
        points = dict(run.points(GAINS))
        for line in curve_lines(points.items()):
            say(f"round {number}  {line}")
        self._add_curve(number, points)
        run.save_opponents(shown)  # last: it marks the round as finished

    def _add_curve(self, number: int, points: Mapping[float, Mapping[str, float]]) -> None:
        """Add the curve of a round to the file; replace one left by an interrupted end of this round."""
        path = self.out / CURVE
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
        kept = [row for row in rows if row["round"] != number]
        kept += [{"round": number, "gain": gain, **found} for gain, found in points.items()]
        atomic_write(path, "".join(json.dumps(row) + "\n" for row in kept).encode())

    def _judges(self, path: Path | None) -> list[Judge]:
        return judges_of(read_opponents(path, self.variant)) if path else []
