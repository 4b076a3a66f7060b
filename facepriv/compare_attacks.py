"""The attacks of a comparison: every attack on every attribute that an output hides."""

from __future__ import annotations

from collections.abc import Mapping

from facepriv.attacks.figures import adversary_rows
from facepriv.attacks.siege import Answers, Siege, Target
from facepriv.compare_setup import Setup, Watch
from facepriv.evaluate import Looks
from facepriv.evaluation.measure import SEEN
from facepriv.evaluation.rows import Row
from facepriv.outcomes import Truth
from facepriv.report.comparison import TOLD, Output
from facepriv.trial import ORIGINAL, Plan


def attack_outputs(
    plans: Mapping[str, Plan], truth: Truth, setup: Setup, watch: Watch
) -> dict[str, dict[Target, Answers]]:
    """Run what is missing of every attack; returns method -> target -> what it said."""
    return {method: _besiege(method, done, truth, setup, watch) for method, done in plans.items()}


def _besiege(method: str, done: Plan, truth: Truth, setup: Setup, watch: Watch) -> dict[Target, Answers]:
    targets: list[Target] = []
    for output, request in done.trial.requests.items():
        asked = [name for name in request.hidden if setup.telling(name)]
        for attack in setup.attacks:
            # Whether a face is protected is one question, whatever is hidden in it.
            once = setup.registry.create("attack", attack).asks == "protection"
            targets += [Target(output, name, attack) for name in (asked[:1] if once else asked)]
    siege = Siege(done, truth, tuple(targets), setup.judges, setup.place / "attacks")
    return siege.run(workers=setup.workers, progress=watch.stage(f"{method}: steps of attacks", siege.missing))


def adversaries_of(
    output: Output, looks: Mapping[str, Looks], answers: Mapping[Target, Answers], truth: Truth, setup: Setup
) -> list[Row]:
    """Return the rows of all adversaries on what an output hides."""
    rows: list[Row] = []
    for name in output.hidden:
        own = {t: said for t, said in answers.items() if (t.output, t.attribute) == (output.name, name)}
        if own:
            # Seen or not, an adversary has them all; only one that errs on the originals is no help.
            told = output.pick(TOLD[name])
            able = [row.evaluator for row in told if row.counts or row.note.startswith(SEEN)]
            before, after = looks[ORIGINAL], looks[output.name]
            rows += adversary_rows(name, truth, before, after, able, own, replicates=setup.replicates)
    return rows
