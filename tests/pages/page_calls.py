"""Whether a command line can be right at all: its program, its options and its arguments, read by the real parsers.

Nothing runs here. A line that no function here knows is an error: a new kind of command in a page needs its check here.
"""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import click
from packaging.requirements import Requirement
from page_lines import ROOT

from facepriv.cli import main

Words = Sequence[str]
#: Scripts with a command, as globs from the root.
SCRIPTS = ("benchmarks/*.py", "plugins/*/benchmarks/*.py")
#: A word that stands for any name -> one that there is.
_NAMES = {"NAME": "pixelate", "METHOD": "pixelate"}


class WrongLine(Exception):
    """A command line that cannot be right; the text says why."""


def split(text: str) -> list[str]:
    """Return the words of a line as a shell reads them, without its comment, and with names of ours for the reader's.

    Raises `WrongLine` where a quote is not closed.
    """
    try:
        words = shlex.split(text.replace("/path/to/", ""), comments=True)
    except ValueError as error:
        raise WrongLine(str(error)) from error
    return [_NAMES.get(word, word) for word in words]


def check(words: Words, *, whole: bool = True) -> None:
    """Parse a command; raises `WrongLine`. `whole`: whether nothing that it requires may be missing."""
    program = _PROGRAMS.get(words[0])
    if program is None:
        raise WrongLine(
            f"'{words[0]}' is no program that tests/pages knows: add it to page_calls.py, or mark the "
            "block as ```text if it holds no commands"
        )
    program(words[1:], whole)


def parse(command: click.Command, name: str, arguments: Words, whole: bool = True) -> None:
    """Parse arguments as a click command does, subcommands included, without running it; raises `WrongLine`.

    Whether a path is there is for the run to find out.
    """
    missing = click.Parameter.value_is_missing if whole else lambda self, value: False
    with (
        redirect_stdout(StringIO()),
        patch.object(click.Command, "invoke", lambda self, context: None),
        patch.object(click.Parameter, "value_is_missing", missing),
        patch.object(click.Path, "convert", lambda self, value, parameter, context: self.coerce_path_result(value)),
    ):
        try:
            command.main(list(arguments), prog_name=name, standalone_mode=False)
        except click.exceptions.NoArgsIsHelpError:
            if whole:
                raise WrongLine(f"{name}: a subcommand is missing") from None
        except click.ClickException as error:
            raise WrongLine(f"{name}: {error.format_message()}") from error


def commands_of_make(arguments: Words, whole: bool = True) -> list[list[str]]:
    """Return the commands of ours that ``make ARGUMENTS`` would run, in order; raises `WrongLine`.

    Make prints its recipes. What calls us is run by a shell, so that loops are unrolled and quotes read, with programs
    that only note their arguments in our programs' place; and so are the tests of what a target needs.
    """
    known = set(re.findall(r"\$\((\w+)\)", (ROOT / "Makefile").read_text()))
    unknown = [word for word in arguments if "=" in word and word.partition("=")[0] not in known]
    if unknown:
        raise WrongLine(f"make: the Makefile reads no variable as in {unknown[0]}")
    with TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        for name in ("facepriv", "python"):
            script = Path(folder) / name
            script.write_text(f'#!/bin/sh\nprintf \'%s\\0\' {name} "$@" >> "{notes}"; printf \'\\n\' >> "{notes}"\n')
            script.chmod(0o755)
        dry = ["make", "-n", "--no-print-directory", "-o", ".venv/.installed", f"BIN={folder}", *arguments]
        # A make around the tests (`make test ARGS=...`) hands its variables down.
        own = {name: value for name, value in os.environ.items() if name not in (*known, "MAKEFLAGS", "MFLAGS")}
        printed = subprocess.run(dry, cwd=ROOT, env=own, capture_output=True, text=True)
        if printed.returncode:
            raise WrongLine(f"make: {printed.stderr.strip()}")
        recipe = re.sub("^test -[df] ", "test -n ", printed.stdout.replace("\\\n", " "), flags=re.MULTILINE)
        ours = re.compile(rf"{re.escape(folder)}/(facepriv|python (-m pytest|\S*benchmarks/))" + "|^test -n " * whole)
        for line in recipe.splitlines():
            done = ours.search(line) and subprocess.run(["sh", "-c", line], capture_output=True, text=True)
            if done and done.returncode:
                raise WrongLine(f"make: {done.stderr.strip()}")
        rows = notes.read_text().split("\0\n") if notes.exists() else []
    return [row.split("\0") for row in rows if row]


def known_options() -> set[str]:
    """Return every option that a command or a benchmark of ours takes."""
    found: set[str] = set()
    paths = [path for pattern in SCRIPTS for path in sorted(ROOT.glob(pattern))]
    scripts = [command for path in paths if (command := script_command(path))]
    for command in [found for top in (main, *scripts) for found in _commands(top)]:
        found.update(text for parameter in command.params for text in [*parameter.opts, *parameter.secondary_opts])
    return found | {"--help", "--version"}


@cache
def script_command(path: Path) -> click.Command | None:
    """Return the click command ``main`` of a script; None where it has none."""
    if not re.search(r"^import click|^from speed.harness import .*\bpart\b", path.read_text(encoding="utf-8"), re.M):
        return None
    name = f"page_script_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    # A benchmark imports those beside it, as it does where it is run.
    sys.modules[name] = module  # dataclasses look their module up
    with patch.object(sys, "path", [str(path.parent), *sys.path]):
        spec.loader.exec_module(module)
    command = getattr(module, "main", None)
    return command if isinstance(command, click.Command) else None


def _commands(group: click.Command) -> Iterator[click.Command]:
    if not isinstance(group, click.Group):
        yield group
        return
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from _commands(command)


def _facepriv(arguments: Words, whole: bool) -> None:
    parse(main, "facepriv", arguments, whole)


def _make(arguments: Words, whole: bool) -> None:
    for command in commands_of_make(arguments, whole):
        check(command)


def _python(arguments: Words, whole: bool) -> None:
    if arguments[0] == "-m":
        if arguments[1] not in ("pytest", "facepriv"):
            raise WrongLine(f"python -m {arguments[1]}: no module that tests/pages knows")
        check(arguments[1:], whole=whole)
        return
    script = ROOT / arguments[0]
    if not script.is_file():
        raise WrongLine(f"python {arguments[0]}: no such file")
    command = script_command(script)
    if command:
        parse(command, arguments[0], arguments[1:], whole)


def _pytest(arguments: Words, whole: bool) -> None:
    pairs = pairwise(["", *arguments])
    places = [word for before, word in pairs if not word.startswith("-") and before not in ("-n", "-k", "--dist")]
    gone = [place for place in places if not (ROOT / place.partition("::")[0]).exists()]
    if gone:
        raise WrongLine(f"pytest: {gone[0]}: no such file")


def _pip(arguments: Words, whole: bool) -> None:
    """Check what is installed: a folder of ours and its extras, or a requirement; a constraints file."""
    if arguments[0] != "install":
        raise WrongLine(f"pip {arguments[0]}: tests/pages knows pip install only")
    if "-c" in arguments and not (ROOT / arguments[arguments.index("-c") + 1]).is_file():
        raise WrongLine("pip install -c: no such file")
    for word in [word for word in arguments[1:] if not word.startswith("-") and not word.endswith((".txt", "..."))]:
        name, _, extras = word.partition("[")
        if "/" in name or name == ".":
            _extras(ROOT / name, extras)
        elif (name := Requirement(word).name).startswith("facepriv"):
            _extras(ROOT if name == "facepriv" else ROOT / "plugins" / name, extras)


def _extras(folder: Path, extras: str) -> None:
    import tomllib

    if not (folder / "pyproject.toml").is_file():
        raise WrongLine(f"pip install {folder.name}: no distribution of ours")
    there = tomllib.loads((folder / "pyproject.toml").read_text())["project"].get("optional-dependencies", {})
    unknown = [name for name in extras.rstrip("]").split(",") if name and name not in there]
    if unknown:
        raise WrongLine(f"{folder.name} has no extra '{unknown[0]}': {', '.join(there)}")


def _accelerate(arguments: Words, whole: bool) -> None:
    if arguments[:3] != ["launch", "-m", "facepriv"]:
        raise WrongLine("accelerate: tests/pages knows accelerate launch -m facepriv only")
    _facepriv([word for word in arguments[3:] if word != "..."], whole)


_PARSE_RAY = (
    "import sys, page_calls, ray.scripts.scripts as r; page_calls.parse(r.cli, 'ray', sys.argv[2:], sys.argv[1] == '1')"
)


def _ray(arguments: Words, whole: bool) -> None:
    # In a process of its own: Ray reads some of its settings once, when it is imported, and tests of clusters set them.
    command = [sys.executable, "-c", _PARSE_RAY, str(int(whole)), *arguments]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    if done.returncode:
        raise WrongLine(done.stderr.strip().splitlines()[-1].partition("WrongLine: ")[2] or done.stderr)


def _ci(arguments: Words, whole: bool) -> None:
    if not os.access(ROOT / ".ci" / "run", os.X_OK):
        raise WrongLine(".ci/run: no program")


_PROGRAMS: dict[str, Callable[[Words, bool], None]] = {
    "facepriv": _facepriv,
    "make": _make,
    "python": _python,
    "pytest": _pytest,
    "pip": _pip,
    "ray": _ray,
    "accelerate": _accelerate,
    ".ci/run": _ci,
    "find": lambda arguments, whole: None,
    ".": lambda arguments, whole: None,
}
