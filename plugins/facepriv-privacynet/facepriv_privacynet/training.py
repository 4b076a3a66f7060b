"""The training loop: the order of updates, random seeds, and how a run stops and resumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor

from facepriv.errors import DataError
from facepriv.training.loop import CHECKPOINT, Log, Loop, load_checkpoint, save_checkpoint
from facepriv.training.records import FAMILY, MATCHER
from facepriv.training.steps import agreed, descend, set_rates
from facepriv_privacynet import losses
from facepriv_privacynet.data import draw_faces, draw_work, seed_step
from facepriv_privacynet.networks import encode
from facepriv_privacynet.players import Players

# Purposes of a seed; the step follows and, for draws of one process, the process.
_WARM_FACES, _WARMING, _WORK, _GENERATING, _LEARNING = range(5)

#: Separates the commands of a resumed run.
_THEN = "; then "


class Trainer(Players):
    """One training run; takes the parameters of `Players`.

    Each step sets the seed again. A resumed run, two recipes with one seed, and several processes or a single one with
    all of their faces therefore make the same draws.
    """

    warmed = 0
    #: The commands of all steps, and a description of the training data.
    command, trained_on = "", ""
    #: Name and step of the file or run that it started from; "" and 0 if none.
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
        """Do one step of G and the due updates of the others; return the parts of all losses."""
        r = self.recipe
        self._set_rates()
        process, processes = self._place()
        self._seed(_WORK, self.step)
        work = draw_work(self.faces, r, process, processes, pool=len(self.pool))
        self._seed(_GENERATING, self.step, process)
        y, wanted, parts = self.generator_step(work)
        # Seed again: the use of a matcher must not change the input of D and judges.
        self._seed(_LEARNING, self.step, process)
        parts |= self.readers_step()
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
        """Train to the recipe's steps or until `deadline` (of `time.monotonic`); save so that it can resume."""

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
        """Resume from a checkpoint; raise `DataError` if its networks differ from the recipe's."""
        state = load_checkpoint(path, self.nets(), self.optimisers(), self.accelerator.device)
        self.step, self.warmed, self.average.updates = state["step"], state["warmed"], state["updates"]
        # Without this entry, assume that the checkpoint has seen all possible teachers.
        self.saw(state.get("seen", (MATCHER, *FAMILY)))
        self.command = state.get("command", "")
        self.trained_on = state.get("trained_on", self.trained_on)
        self.start, self.began = state.get("start", ""), state.get("began", 0)

    def commanded(self, command: str) -> None:
        """Record a command before its first step."""
        commands = self.command.split(_THEN) if self.command else []
        if command and command not in commands[-1:]:
            self.command = _THEN.join([*commands, command])

    def saw(self, names: Iterable[str]) -> None:
        """Record evaluators that were used to train these networks before."""
        self.seen = tuple(dict.fromkeys((*self.seen, *names)))

    def start_from(self, tensors: Mapping[str, Tensor]) -> None:
        """Initialise G with released weights; raise `DataError` if they belong to another shape."""
        try:
            for net in (self.g, self.average.net):
                net.load_state_dict({name: value.float() for name, value in tensors.items()})
        except RuntimeError as error:
            raise DataError("these weights belong to a generator of another shape than the recipe's") from error

    def _place(self) -> tuple[int, int]:
        """Index of this process, and the number of processes."""
        return self.accelerator.process_index, self.accelerator.num_processes

    def _seed(self, *parts: int) -> None:
        seed_step(self.recipe.seed, *parts)

    def _set_rates(self) -> None:
        r = self.recipe
        rates = {"g": r.rate_g, "d": r.rate_d, "judges": r.rate_judges, "copies": r.rate_copies}
        rates["readers"] = r.rate_readers
        full = {optimiser: rates[name] for name, optimiser in self.optimisers().items()}
        set_rates(full, self.step, r.steps, r.decay)
