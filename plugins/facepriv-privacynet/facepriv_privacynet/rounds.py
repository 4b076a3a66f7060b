"""Training in rounds: G meets new opponents in each.

G adapts to the opponents that it knows, and what it learns last fools no others. A round starts judges, copies of
trained classifiers and D again, the judges in other shapes. Judges of earlier rounds join a pool that teaches as well,
so that G keeps fooling them. Each round is a `Run` in a folder of its own, which goes on where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator

from facepriv.images import atomic_write
from facepriv.training.judges import Judge, JudgeShape
from facepriv_privacynet.config import Recipe, Variant
from facepriv_privacynet.runs import Material, Run, in_words
from facepriv_privacynet.state import load_judges

#: Where each round's curve is written, a line of JSON a gain.
CURVE = "curve.jsonl"
#: Gains at which a round is measured.
GAINS = (0.8, 1.0)
# What judges are drawn from. From 64 pixels on the first convolution halves the side: 112 cost no more than 56.
_SIDES = (32, 40, 48, 56, 64, 80, 96, 112)
_CHANNELS = (16, 24, 32)
_SMALLEST_WINDOW, _GREY = 0.7, 0.3


def draw_judges(count: int, *seeds: int) -> tuple[JudgeShape, ...]:
    """Draw shapes of judges: of different sizes as far as there are so many, wide and narrow, grey and colour."""
    rng = np.random.default_rng(seeds)
    sides = np.concatenate([rng.permutation(_SIDES) for _ in range(-(-count // len(_SIDES)))])[:count]
    return tuple(
        JudgeShape(
            int(side),
            base=int(rng.choice(_CHANNELS)),
            grey=bool(rng.random() < _GREY),
            window=round(float(rng.uniform(_SMALLEST_WINDOW, 1)), 2),
            residual=bool(rng.random() < 0.5),
        )
        for side in sides
    )


def round_recipe(recipe: Recipe, number: int) -> Recipe:
    """Return the recipe of round `number`, counted from 1: with a seed and judges of its own."""
    return replace(recipe, seed=recipe.seed + number, judges=draw_judges(len(recipe.judges), recipe.seed, number))


@dataclass
class Rounds:
    """Rounds of one training in the folder `out`, each in ``round-N`` below it.

    Parameters
    ----------
    recipe : Recipe
        Of each round; its steps are those of one round.
    start : Path or None
        A weights file, or a file of `facepriv_privacynet.state.save_state`, whose judges are the first of the pool.
    """

    variant: Variant
    out: Path
    recipe: Recipe
    material: Material
    accelerator: Accelerator
    start: Path | None = None

    def train(self, count: int, minutes: float | None, say: Callable[[str], None], *, shown: str = "") -> int:
        """Train until `count` rounds are finished or the time is up; returns how many are.

        A round that is finished leaves ``NAME.safetensors``, the generator, and ``NAME-training.safetensors``, all
        networks, both in half precision. Its curve is added to ``curve.jsonl``.
        """
        deadline = time.monotonic() + 60 * minutes if minutes else float("inf")
        begin, pool = self.start, self._judges(self.start)
        for number in range(1, count + 1):
            state = self.out / f"round-{number}" / f"{self.variant.training_architecture}.safetensors"
            if not state.is_file():
                left = (deadline - time.monotonic()) / 60
                if left <= 0 or not self._round(number, begin, pool, left, say, shown):
                    return number - 1
            begin, pool = state, [*pool, *self._judges(state)]
        return count

    def export(self, number: int, shown: str) -> Path:
        """Write the generator of a round that is not finished; returns its path.

        Raises
        ------
        DataError
            If that round has made no step yet.
        """
        return self._run(number, None, []).export(shown)[0]

    def _run(self, number: int, begin: Path | None, pool: list[Judge]) -> Run:
        folder = self.out / f"round-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        recipe = round_recipe(self.recipe, number)
        return Run(self.variant, folder, recipe, self.material, self.accelerator, begin, pool=pool, restart=True)

    def _round(
        self, number: int, begin: Path | None, pool: list[Judge], minutes: float, say: Callable[[str], None], shown: str
    ) -> bool:
        """Train one round, or go on with it; returns whether it is finished."""
        run = self._run(number, begin, pool)
        run.train(minutes, lambda line: say(f"round {number}  {line}"), shown=shown)
        if run.trainer.step < self.recipe.steps:
            return False
        if self.accelerator.is_main_process:
            self._finish(number, run, say, shown)
        self.accelerator.wait_for_everyone()
        return True

    def _finish(self, number: int, run: Run, say: Callable[[str], None], shown: str) -> None:
        run.export(shown)
        points = dict(run.points(GAINS))
        for gain, found in points.items():
            say(f"round {number}  gain {gain:.2f}  {in_words(found)}")
        self._add_curve(number, points)
        run.save_state(shown)  # last: it marks the round as finished

    def _add_curve(self, number: int, points: Mapping[float, Mapping[str, float]]) -> None:
        """Add the curve of a round to the file, in place of one that an interrupted end of this round has left."""
        path = self.out / CURVE
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
        kept = [row for row in rows if row["round"] != number]
        kept += [{"round": number, "gain": gain, **found} for gain, found in points.items()]
        atomic_write(path, "".join(json.dumps(row) + "\n" for row in kept).encode())

    def _judges(self, path: Path | None) -> list[Judge]:
        state = Run.state_in(path, self.variant)
        return load_judges(state) if state else []
