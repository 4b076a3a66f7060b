"""``facepriv apply``: protect photos."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from facepriv.cli import console
from facepriv.cli.options import PATH, passes
from facepriv.cli.values import Names, pairs
from facepriv.errors import UsageError

if TYPE_CHECKING:
    from facepriv.protection.options import OnNoFace, Options
    from facepriv.protection.request import Policy
    from facepriv.protection.run import RunPlan


@dataclass(frozen=True)
class ApplyOptions:
    """The command-line options of ``apply``; see the help text of each option."""

    paths: tuple[str, ...]
    out: str
    methods: tuple[str, ...]
    settings: tuple[str, ...]
    obfuscate: tuple[tuple[str, ...], ...]
    keep: tuple[tuple[str, ...], ...]
    target: tuple[str, ...]
    policy: Policy
    strength: float
    seed: int
    key_file: Path | None
    estimators: tuple[str, ...]
    on_no_face: OnNoFace
    thorough: bool
    detector: str
    min_face: float
    strict: bool
    resume: bool
    trust_existing: bool
    overwrite: bool
    dry_run: bool
    as_json: bool
    audit: bool
    keep_metadata: bool
    device: str
    batch_size: int
    engine: str
    address: str
    workers: int | None
    timeout: float


@click.command("apply", short_help="Protect photos: files, folders, patterns.")
@passes(ApplyOptions)
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option("-o", "--out", required=True, metavar="OUT", help="Output folder; for a single photo also a file name.")
@click.option(
    "--method",
    "methods",
    multiple=True,
    required=True,
    metavar="NAME",
    help="Method, see 'facepriv methods'. Several are applied in order.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="METHOD.NAME=VALUE",
    help="A setting of a method or of an --estimator, see its page; a wrong name lists the known ones.",
)
@click.option("--obfuscate", type=Names(), multiple=True, help="Attributes to hide: gender, race, age.")
@click.option(
    "--keep",
    type=Names(),
    multiple=True,
    help="Attributes that must stay. Attributes that are neither hidden nor kept stay too; naming one here prevents "
    "hiding it by mistake.",
)
@click.option(
    "--target",
    multiple=True,
    metavar="ATTR=CLASS",
    help="Hide an attribute with this class as target: age=old. Also: same (the own class), opposite (another class), "
    "neutral (no class, for methods that support it).",
)
@click.option(
    "--policy",
    type=click.Choice(["flip", "random"]),
    default="flip",
    show_default=True,
    help="How the target class of a hidden attribute is chosen. 'flip', the policy of the PrivacyNet paper: always "
    "another class. It fools classifiers most, but an adversary who knows that faces were flipped can invert "
    "the answer. 'random': any class, the own one included, so that inverting gains nothing. Neither hides the class "
    "from an adversary who trains on the method's results.",
)
@click.option("--strength", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Strength of the effect.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of a method's own randomness.")
@click.option(
    "--key-file",
    type=PATH,
    metavar="FILE",
    help="Secret that decides drawn classes (policy 'random', or 'flip' among more than two classes); at "
    "least 16 bytes. Needed to repeat such a run; with it, the draws can be undone. Default: a fresh "
    "secret that is not stored; --resume accepts classes drawn with it.",
)
@click.option(
    "--estimator",
    "estimators",
    multiple=True,
    metavar="ATTR=NAME",
    help="Estimator of the faces' own classes, instead of family-a-ATTR.",
)
@click.option(
    "--on-no-face",
    type=click.Choice(["fail", "skip", "copy"]),
    default="fail",
    show_default=True,
    help="A photo without a detectable face: 'fail' counts it as an error, 'skip' leaves it out, 'copy' "
    "writes it UNPROTECTED, without metadata.",
)
@click.option(
    "--detector",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="Face detector: 'auto' (dlib, and MTCNN for every face that dlib does not find), dlib, mtcnn, centerface.",
)
@click.option(
    "--min-face",
    type=click.FloatRange(8),
    default=16,
    show_default=True,
    metavar="PIXELS",
    help="Width of the smallest faces to search for. Smaller faces are changed too if they are found, and counted "
    "as small. A larger number takes less time.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="A photo with small faces, or with uncertain ones (a low score, or landmarks that do not fit a face), is an "
    "error and is not written. By default these faces are only counted.",
)
@click.option(
    "--thorough",
    is_flag=True,
    help="dlib searches the whole of every photo. By default it searches photos above 800 pixels only where a "
    "quick network proposes a face, which takes a fifth of the time. Faces that dlib does not find are still "
    "left to MTCNN, which always searches the whole photo.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Do only the rest of an interrupted run into the same folder. An output of another request or another photo "
    "is made again.",
)
@click.option(
    "--trust-existing",
    is_flag=True,
    help="With --resume, where this user's state directory holds no receipts of the folder (it was moved, or "
    "made on another machine): accept its recorded outputs as results of this request.",
)
@click.option("--overwrite", is_flag=True, help="Replace existing outputs.")
@click.option("--dry-run", is_flag=True, help="Only print what would be written.")
@click.option("--json", "as_json", is_flag=True, help="Print a machine-readable summary on stdout.")
@click.option(
    "--audit",
    is_flag=True,
    help="Record in the manifest what was hidden, how, and where the faces are. With this record, the "
    "protection can be undone.",
)
@click.option(
    "--keep-metadata",
    is_flag=True,
    help="Keep words and numbers of EXIF, XMP, comments and PNG texts; pictures in them are removed.",
)
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda, cuda:1, mps.")
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Faces passed to a method at once. Results do not depend on it.",
)
@click.option(
    "--engine",
    type=str,
    default="local",
    show_default=True,
    help="Where the work is done: by processes of this machine, or by a Ray cluster whose nodes all have the "
    "same packages and see the same folders.",
)
@click.option(
    "--address",
    default="",
    metavar="ADDRESS",
    help="Address of the Ray cluster that this machine belongs to: auto, or HOST:PORT. Default: RAY_ADDRESS, or a "
    "cluster of this machine alone.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=None,
    help="Processes. Results do not depend on it. Default: one per CPU, at most 16 (4 on a GPU); on a cluster, all.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(1),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="A process that finishes no file in this time is killed; its files are tried again one by one, and a file "
    "that hangs alone has failed.",
)
def command(given: ApplyOptions) -> None:
    """Protect photos: files, folders (recursively) and patterns such as 'photos/**/*.jpg'.

    Folder structure is mirrored below OUT. OUT/facepriv-run/ records which method made which files, and nothing that
    reveals what was hidden. In lossless files, pixels away from the faces stay identical. JPEG and lossy WebP are
    encoded again, which changes pixels slightly. Exit code: 0 all done, 1 some files failed, 2 wrong call, 130
    interrupted. Unchanged photos (--strength 0, --keep alone) give a warning with their number, and are no failure.
    """
    from facepriv.cli.apply_summary import tell
    from facepriv.protection.run import check_plan, make_plan, run_plan
    from facepriv.registry import registry
    from facepriv.settings import configured

    ctx = click.get_current_context()
    options = _options(given)
    _check_used(ctx, options)
    models = tuple(options.estimators.values())
    known = configured(registry(), given.settings, options.methods, estimators=models)
    plan = make_plan(options, known)
    if given.dry_run:
        check_plan(plan)
        ctx.exit(_show(plan, given.as_json))
    started = time.monotonic()
    _tell_troubles(plan)
    try:
        with console.progress(len(plan.work.todo)) as shown:

            def report(job: Any, outcome: Any) -> None:
                for text in outcome.errors:
                    shown.error(text)
                shown.advance()

            summary = run_plan(plan, report)
    except KeyboardInterrupt:
        raise console.Failure(_how_to_go_on(options), 130) from None
    for text in summary.warnings[len(plan.warnings) :]:
        console.warning(text)
    tell(plan, summary, time.monotonic() - started, given.as_json)
    ctx.exit(summary.exit_code)


def _options(given: ApplyOptions) -> Options:
    """Convert the command line to `Options`; raises `UsageError` if options contradict one another."""
    from facepriv.protection.options import Options, read_key
    from facepriv.protection.request import PrivacyRequest
    from facepriv.schema import attribute

    obfuscate, keep = Names.joined(given.obfuscate), Names.joined(given.keep)
    targets = pairs("--target", given.target)
    for name in keep:
        attribute(name)
        if name in obfuscate or name in targets:
            raise UsageError(f"'{name}' is both to be hidden and to be kept")
    if not (obfuscate or keep or targets):
        raise UsageError("nothing to hide: name attributes with --obfuscate or --target")
    if given.resume and given.overwrite:
        raise UsageError("--resume and --overwrite exclude each other: one keeps what is there, the other replaces it")
    if given.trust_existing and not given.resume:
        raise UsageError("--trust-existing belongs to --resume: give --resume too")
    request = PrivacyRequest(obfuscate, targets, given.policy, given.strength, given.seed)
    return Options(
        inputs=given.paths,
        out=given.out,
        methods=given.methods,
        request=request,
        key=read_key(given.key_file, given.out) if given.key_file else None,
        estimators=pairs("--estimator", given.estimators),
        device=given.device,
        batch_size=given.batch_size,
        workers=given.workers,
        on_no_face=given.on_no_face,
        existing="resume" if given.resume else "overwrite" if given.overwrite else "fail",
        trust_existing=given.trust_existing,
        thorough=given.thorough,
        detector=given.detector,
        min_face=given.min_face,
        strict=given.strict,
        keep_metadata=given.keep_metadata,
        audit=given.audit,
        engine=given.engine,
        address=given.address,
        timeout=given.timeout,
    )


def _check_used(ctx: click.Context, options: Options) -> None:
    """Raise `UsageError` if a part of the call would be ignored or misread."""
    from facepriv.schema import ATTRIBUTES

    for path in options.inputs:
        name = path.strip(" ,")
        if name in ATTRIBUTES and not Path(path).exists():
            raise UsageError(
                f"'{path}' is taken for an input: names in a list have no spaces between them; write "
                f"{','.join([*options.request.obfuscate, name])}"
            )
    given = ctx.get_parameter_source("policy") == ParameterSource.COMMANDLINE
    if given and not any(name not in options.request.targets for name in options.request.hidden):
        raise UsageError(
            f"--policy {options.request.policy} decides nothing here: it chooses the class of an attribute that "
            "--obfuscate names and --target does not"
        )


def _tell_troubles(plan: RunPlan) -> None:
    """Print the problems known before the run starts."""
    for text in [*plan.found.problems, *plan.work.errors_by_reason]:
        console.error(text)
    for text in plan.warnings:
        console.warning(text)


def _show(plan: RunPlan, as_json: bool) -> int:
    """Print the plan of a run; returns the exit code, which depends on refused files."""
    errors = [*plan.found.problems, *plan.work.errors]
    if as_json:
        todo = [{"input": str(job.source), "output": str(job.output)} for job in plan.work.todo]
        content = {
            "dry_run": True,
            "todo": todo,
            "already": len(plan.work.done),
            "ignored": plan.found.ignored,
            "errors": errors,
            "warnings": list(plan.warnings),
        }
        click.echo(json.dumps(content, indent=1))
    else:
        for job in plan.work.todo:
            click.echo(f"{job.source} -> {job.output}")
    _tell_troubles(plan)
    console.note(f"dry run, nothing written: {len(plan.work.todo)} to do, {len(plan.work.done)} done already")
    return 1 if errors else 0


def _how_to_go_on(options: Options) -> str:
    if options.existing == "overwrite":
        return "interrupted; what is done is whole; run the same command again"
    return "interrupted; what is done is whole; run the same command with --resume for the rest"
