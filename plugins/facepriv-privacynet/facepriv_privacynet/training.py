"""The training loop: whose turn it is, what chance decides, how a run stops and goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor

from facepriv.errors import DataError
from facepriv.training.loop import CHECKPOINT, Log, Loop, load_checkpoint, save_checkpoint
from facepriv.training.steps import agreed, descend
from facepriv_privacynet import losses
from facepriv_privacynet.config import FAMILY, MATCHER
from facepriv_privacynet.data import draw_faces, draw_work, seed_step
from facepriv_privacynet.networks import encode
from facepriv_privacynet.players import Players

# What a seed decides; after it stand the step and, where each process draws its own, the process.
_WARM_FACES, _WARMING, _WORK, _GENERATING, _LEARNING = range(5)

#: Between the commands of a run that went on with others.
_THEN = "; then "


class Trainer(Players):
    """One training run; takes what `Players` takes.

    Chance is seeded anew at each step: a run that goes on draws what it would have drawn, and so do two recipes of one
    seed, or several processes and one with all of their faces.
    """

    warmed = 0
    #: The commands that made the steps, and what these networks were trained on, in words.
    command, trained_on = "", ""
    #: Name of the file or run that it began with, and at which step; "" and 0: with nothing.
    start, began = "", 0

    def warm_up(self) -> dict[str, Tensor]:
        """Teach judges and D's attribute head on real faces only, before G starts."""
        self._seed(_WARM_FACES, self.warmed)
        x, own = draw_faces(self.faces, self.recipe.warm_batch, *self._place())
        self._seed(_WARMING, self.warmed, self._place()[0])
        with self.accelerator.autocast():
            value = losses.attributes(self.d(x, encode(own))[1], own)
        descend(self.accelerator, self.opt_d, value, self.d.parameters())
        self.warmed += 1
        return {"d_attribute": value.detach(), **self.judges_step((x, own), None)}

    def train_step(self) -> dict[str, Tensor]:
        """Do one step of G and what is due of the others; returns the parts of all losses."""
        r = self.recipe
        self._set_rates()
        process, processes = self._place()
        self._seed(_WORK, self.step)
        work = draw_work(self.faces, r, process, processes, pool=len(self.pool))
        self._seed(_GENERATING, self.step, process)
        y, wanted, parts = self.generator_step(work)
        # Anew: whether a matcher took part must not change what D and judges see.
        self._seed(_LEARNING, self.step, process)
        if self.step % r.critic_every == 0:
            parts |= self.discriminator_step(work.faces, work.own, y, wanted)
        if work.real and self.step % r.judges_every == 0:
            parts |= self.judges_step(work.real, (y, work.own))
            if self.step % (2 * r.judges_every) == 0:
                parts |= self.copies_step(work.real, (y, work.own))
        self.step += 1
        return parts

    def run(
        self,
        out: Path,
        *,
        deadline: float = float("inf"),
        log: Log,
        log_every: int = 20,
        save_every: int = 200,
        sample: Callable[[Trainer], None] | None = None,
    ) -> None:
        """Train until the recipe's steps or until `deadline` (of `time.monotonic`), saving so that it can go on."""

        def save() -> None:
            self.save(out / CHECKPOINT)

        def save_and_sample() -> None:
            save()
            if sample and self.accelerator.is_main_process:
                sample(self)

        before = self.recipe.warm_up
        loop = Loop(log, save, deadline, log_every, save_every, partial(agreed, self.accelerator))
        loop.run(self.warm_up, lambda: self.warmed, before, before=before)
        replace(loop, save=save_and_sample).run(self.train_step, lambda: self.step, self.recipe.steps)
        save()

    def save(self, path: Path) -> None:
        """Write all state, atomically, from the main process."""
        if not self.accelerator.is_main_process:
            return
        numbers = {
            "recipe": repr(self.recipe),
            "step": self.step,
            "warmed": self.warmed,
            "updates": self.average.updates,
            "seen": list(self.seen),
            "command": self.command,
            "trained_on": self.trained_on,
            "start": self.start,
            "began": self.began,
        }
        save_checkpoint(path, self.nets(), self.optimisers(), numbers)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; raises `DataError` if its networks are others than the recipe's."""
        state = load_checkpoint(path, self.nets(), self.optimisers(), self.accelerator.device)
        self.step, self.warmed, self.average.updates = state["step"], state["warmed"], state["updates"]
        # A checkpoint that does not say may have seen everybody who can teach.
        self.saw(state.get("seen", (MATCHER, *FAMILY)))
        self.command = state.get("command", "")
        self.trained_on = state.get("trained_on", self.trained_on)
        self.start, self.began = state.get("start", ""), state.get("began", 0)

    def commanded(self, command: str) -> None:
        """Note a command that is about to make steps."""
        commands = self.command.split(_THEN) if self.command else []
        if command and command not in commands[-1:]:
            self.command = _THEN.join([*commands, command])

    def saw(self, names: Iterable[str]) -> None:
        """Note evaluators that have taught these networks before."""
        self.seen = tuple(dict.fromkeys((*self.seen, *names)))

    def start_from(self, tensors: Mapping[str, Tensor]) -> None:
        """Let G begin with released weights; raises `DataError` if they belong to another shape."""
        try:
            for net in (self.g, self.average.net):
                net.load_state_dict({name: value.float() for name, value in tensors.items()})
        except RuntimeError as error:
            raise DataError("these weights belong to a generator of another shape than the recipe's") from error

    def _place(self) -> tuple[int, int]:
        """Which process this is, and of how many."""
        return self.accelerator.process_index, self.accelerator.num_processes

    def _seed(self, *parts: int) -> None:
        seed_step(self.recipe.seed, *parts)

    def _set_rates(self) -> None:
        r = self.recipe
        left = 1 - self.step / max(1, r.steps)
        factor = min(1.0, left / r.decay) if r.decay else 1.0
        rates = {"g": r.rate_g, "d": r.rate_d, "judges": r.rate_judges, "copies": r.rate_copies}
        for name, optimiser in self.optimisers().items():
            for group in optimiser.param_groups:
                group["lr"] = rates[name] * max(factor, 0.02)
