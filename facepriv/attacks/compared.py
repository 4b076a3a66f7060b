"""The attacks of a comparison: every attack on every attribute that an output hides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from facepriv.attacks.rows import adversary_rows
from facepriv.attacks.run import Answers, Target, learn_all, plan_attacks
from facepriv.evaluation.compare import ComparisonRun
from facepriv.evaluation.measure import SEEN
from facepriv.evaluation.outputs import ORIGINAL, OutputPlan
from facepriv.evaluation.predictions import Predictions
from facepriv.evaluation.results import MAIN_FIGURES, Comparison, Output
from facepriv.evaluation.rows import Row
from facepriv.evaluation.setup import ComparisonSetup, NoProgress, Progress
from facepriv.evaluation.truth import Truth


def attack(run: ComparisonRun, progress: Progress | None = None) -> Comparison:
    """Return a comparison with the rows of every adversary in its setup.

    Raises
    ------
    FaceprivError
        If an attack fails.
    """
    truth, setup = run.truth, run.setup
    answers = attack_outputs(run.plans, truth, setup, progress or NoProgress())
    outputs = []
    for output in run.comparison.outputs:
        said = run.predictions[output.method], answers[output.method]
        outputs.append(replace(output, adversaries=tuple(adversaries_of(output, *said, truth, setup))))
    return replace(run.comparison, outputs=tuple(outputs))


def attack_outputs(
    plans: Mapping[str, OutputPlan], truth: Truth, setup: ComparisonSetup, progress: Progress
) -> dict[str, dict[Target, Answers]]:
    """Run all attacks that are not cached; returns method -> target -> answers."""
    attack_runs = {}
    for method, done in plans.items():
        targets = _targets(done, setup)
        attack_runs[method] = plan_attacks(done, truth, targets, setup.judges, setup.place / "attacks")
        advance = progress.stage(f"{method}: notes of adversaries", len(attack_runs[method].unnoted))
        attack_runs[method].note(workers=setup.workers, progress=advance)
    advance = progress.stage(
        "training of adversaries", sum(len(attack_run.unlearnt) for attack_run in attack_runs.values())
    )
    learn_all(list(attack_runs.values()), workers=setup.workers, progress=advance)
    return {method: attack_run.said() for method, attack_run in attack_runs.items()}


def _targets(done: OutputPlan, setup: ComparisonSetup) -> list[Target]:
    """Return the attack targets in the outputs of a method."""
    targets: list[Target] = []
    for output, request in done.output_run.requests.items():
        asked = [name for name in request.hidden if setup.telling(name)]
        for attack in setup.attacks:
            # Detection of protection does not depend on the hidden attribute, so it runs once.
            once = setup.registry.create("attack", attack).asks == "protection"
            targets += [Target(output, name, attack) for name in (asked[:1] if once else asked)]
    return targets


def adversaries_of(
    output: Output,
    predictions: Mapping[str, Predictions],
    answers: Mapping[Target, Answers],
    truth: Truth,
    setup: ComparisonSetup,
) -> list[Row]:
    """Return the rows of all adversaries on the attributes that an output hides."""
    rows: list[Row] = []
    for name in output.hidden:
        own = {t: said for t, said in answers.items() if (t.output, t.attribute) == (output.name, name)}
        if own:
            # An adversary has all estimators, seen or not; only those too weak on the originals are excluded.
            figures = output.pick(MAIN_FIGURES[name])
            able = [row.evaluator for row in figures if row.counts or row.note.startswith(SEEN)]
            before, after = predictions[ORIGINAL], predictions[output.name]
            rows += adversary_rows(name, truth, before, after, able, own, replicates=setup.replicates)
    return rows
