"""What ``facepriv apply`` prints when it is done."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from facepriv.cli import console
from facepriv.files import real_path
from facepriv.protection.inputs import is_shard
from facepriv.protection.run import RunPlan, Summary

# Policy, or relative target -> the class that is shown, in words.
_CLASSES = {"flip": "another class", "random": "a class drawn at random"}
_TARGETS = {"same": "the own class", "opposite": "another class", "neutral": "no class"}


def tell(plan: RunPlan, summary: Summary, seconds: float, as_json: bool) -> None:
    """Print the counts, as text on stderr or as JSON on stdout."""
    if as_json:
        content = {
            "out": plan.options.out,
            "record": str(plan.where.record) if plan.where.record else None,
            "protected": summary.done,
            "faces": summary.faces,
            "unchanged": summary.unchanged,
            "unchanged_faces": summary.unchanged_faces,
            "small": summary.small,
            "uncertain": summary.uncertain,
            "no_face": summary.no_face,
            "copied": summary.copied,
            "already": summary.already,
            "ignored": summary.ignored,
            "failed": len(summary.errors),
            "errors": summary.errors,
            "warnings": summary.warnings,
            "seconds": round(seconds, 3),
        }
        click.echo(json.dumps(content, indent=1))
        return
    counts = [
        (summary.done, f"protected ({summary.faces} face{'s' * (summary.faces != 1)})"),
        (summary.unchanged, "UNCHANGED, nothing hidden in them"),
        (summary.small, f"small face{'s' * (summary.small != 1)}, hard to protect"),
        (summary.uncertain, f"uncertain face{'s' * (summary.uncertain != 1)}"),
        (summary.already, "done already"),
        (summary.no_face, "left out, no face found"),
        (summary.copied, "copied UNPROTECTED, no face found"),
        (summary.ignored, "ignored, no images"),
        (len(summary.errors), "failed"),
    ]
    said = "; ".join(f"{count} {text}" for count, text in counts if count)
    console.note(f"{said}, in {console.duration(seconds)} -> {plan.options.out}")
    if summary.done + summary.unchanged + summary.copied + summary.already:
        console.note(_closing(plan, summary))


def _closing(plan: RunPlan, summary: Summary) -> str:
    """Return the request in words, where it may have failed, and the next step. It is printed and not kept."""
    request = plan.options.request
    drawn = " and ".join(name for name in request.hidden if name not in request.targets)
    hidden = [f"{drawn} behind {_CLASSES[request.policy]} (policy {request.policy})"] if drawn else []
    hidden += [f"{name} behind {_TARGETS.get(label, f'the class {label}')}" for name, label in request.targets.items()]
    asked = f"{plan.options.chain} hides {', '.join(hidden) or 'nothing'}"
    counts = f"photos with unchanged faces: {summary.with_unchanged}, without a face found: {summary.faceless}"
    return f"{asked}; {counts}. Next: {_next_step(plan)}"


def _next_step(plan: RunPlan) -> str:
    """Return how to look at the results; the sheet lies outside the folder of the protected photos."""
    inputs, out = plan.options.inputs, Path(plan.options.out)
    if out.is_file():
        return f"look at {out} beside its original"
    sheet = Path("sheet.html")
    if Path.cwd().is_relative_to(real_path(out)):
        sheet = real_path(out).with_name("sheet.html")
    folder = len(inputs) == 1 and Path(inputs[0]).is_dir()
    words = ["facepriv", "sheet", inputs[0] if folder else "ORIGINALS", plan.options.out, "-o", str(sheet)]
    shards = any(is_shard(file.source) for file in plan.found.files)
    first = "unpack the shards of both sides, then " if shards else ""
    return f"{first}look at them with {shlex.join(words)}"
