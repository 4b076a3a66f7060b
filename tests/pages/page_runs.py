"""Runs a page's commands in order, in a folder of their own, on small inputs; what takes long is cut short."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from page_calls import WrongLine, commands_of_make, split
from page_inputs import ALIASES, INPUTS, MADE
from page_lines import ROOT, Block, Line, blocks, commands

from facepriv.cli import main

#: What a section says is run as a whole by a test of its own: it works in a shell, and edits files in between.
WALKS = {("CONTRIBUTING.md", "A method in five steps"): "test_contributing.py"}
_GAN = "--steps 2 --batch 2 --precision no --set warm_up=0 --set judges_batch=2"
_SAN = "--steps 1 --batch 2 --precision no --set warm_up=0 --set warm_batch=2 --set rebuild=1"
_COMPARE = "--workers 1 --limit 4 --replicates 10"
#: How a command begins -> what is added to it, so that it takes a second. The last of two options holds.
QUICK = {
    "facepriv apply": "--overwrite",
    "facepriv attack": _COMPARE,
    "facepriv compare": _COMPARE,
    "facepriv demo": "--overwrite",
    "facepriv evaluate": "--workers 1 --replicates 10",
    "facepriv pack": "--workers 1 --overwrite",
    "facepriv sheet": "--overwrite",
    "facepriv train baseline-gan": _GAN,
    "facepriv train estimators": "--epochs 0.1",
    "facepriv train ensemble-san": f"{_SAN} --members 1",
    "facepriv train flow-san": f"{_SAN} --members 1",
    "facepriv train privacynet": _GAN,
    "facepriv train privacynet PACK --matcher mobilefacenet.onnx -o RUN_P": f"{_GAN} --steps 1",  # others go on from it
    "facepriv train san": _SAN,
    "facepriv train sim-zhang": "--size 32 --axes 8 --identity-axes 2",
}
#: What is not run, only parsed, and where it is run.
NOT_RUN = {
    "--engine ray": "needs a cluster: tests/test_ray_engine.py",
    "facepriv serve": "serves until it is ended: tests/serve",
    "--rounds": "takes minutes: plugins/facepriv-privacynet/tests/test_privacynet_rounds.py",
    "benchmarks/": "tests/benchmarks, plugins/*/tests",
    "--without-copies": "needs photos of many faces: tests/cli/test_cli_compare.py",
    "-m pytest": "this suite",
    "pip install": "the environment that this runs in",
    "/bin/activate": "the same",
    "ray start": "needs other machines",
    ".ci/run": "runs this suite",
}
#: Files of the repository that a page names by their path: weights outside the packages.
_OURS = re.compile(r"plugins/[\w./-]+\.safetensors")


class Store:
    """What takes long to make, made once for all pages and copied for each.

    Parameters
    ----------
    folder : Path
        Of its own.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder

    def copy(self, name: str, target: Path) -> None:
        """Put what stands under a name of the pages there."""
        known = ALIASES.get(name, name)
        source = self.folder / known
        if not source.exists():
            if known in INPUTS:
                INPUTS[known](source)
            else:
                words = split(MADE[known])
                _lay_out(words, self.folder, self)
                _run([*words, *_added(words)], self.folder)
        if target == source:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob(f"{known}*"):
            if path.name == known or path.name == f"{known}.sha256":
                (shutil.copytree if path.is_dir() else shutil.copyfile)(path, f"{target}{path.name[len(known) :]}")


def records(page: str) -> bool:
    """Return whether a page is a model card: how weights were made, in the commands of their plugin's page."""
    return any((ROOT / page).parent.glob("*.safetensors"))


def lay_out(page: str, text: str, folder: Path, store: Store) -> None:
    """Put into `folder` the files that a page writes out, and what a text names in quotes."""
    for block in blocks(page):
        if block.name:
            (folder / block.name).write_text(block.text, encoding="utf-8")
    _lay_out(re.findall(r"[\"']([^\"']+)[\"']", text), folder, store)


def run_page(page: str, folder: Path, store: Store) -> None:
    """Run the commands of a page in `folder`; raises `WrongLine` at the first that fails."""
    lay_out(page, "", folder, store)
    with _here(folder):
        for line in commands(page):
            if (page, line.heading) not in WALKS:
                run_line(line, folder, store)


def run_line(line: Line, folder: Path, store: Store) -> None:
    """Run one line in `folder`, the current one."""
    words = split(line.text)
    made = words[0] == "make"
    if made:
        _lay_out(words, folder, store)  # the files that its variables name
    for command in commands_of_make(words[1:]) if made else [words]:
        try:
            _call(command, folder, store, line.may_fail)
        except WrongLine as error:
            raise WrongLine(f"{line.place}: {line.text}\n{error}") from error


def run_python(block: Block, **given: Any) -> Any:
    """Run a snippet; the body of a class, which is indented, becomes one. Returns that, or what the snippet defines."""
    if not block.text.startswith(" "):
        exec(compile(block.text, block.place, "exec"), given)
        return given
    exec(compile(f"class Snippet:\n{block.text}", block.place, "exec"), given)
    return given["Snippet"]


def _call(words: Sequence[str], folder: Path, store: Store, may_fail: bool) -> None:
    """Run a command in `folder`, the current one; raises `WrongLine` with what it printed if it fails."""
    text = " ".join(words)
    if any(part in text for part in NOT_RUN):
        return
    if made := [name for name, command in MADE.items() if command == text]:
        if not (folder / made[0]).exists():
            store.copy(made[0], folder / made[0])  # this very command makes it there, once for all pages
        return
    _lay_out(words, folder, store)
    if words[0] == "find":
        subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        return
    if words[0] != "facepriv":
        raise WrongLine("nothing says how this is run: name it in page_runs.py")
    _run([*_expanded(words, folder), *_added(words)], folder, may_fail=may_fail)


def _added(words: Sequence[str]) -> list[str]:
    """Return what `QUICK` adds to a command."""
    text = f"{' '.join(words)} "
    return next((QUICK[start].split() for start in sorted(QUICK, reverse=True) if text.startswith(f"{start} ")), [])


def _run(words: Sequence[str], folder: Path, *, may_fail: bool = False) -> None:
    """Run a command of ours in `folder`; raises `WrongLine` with what it printed if it fails."""
    with _here(folder):
        result = CliRunner().invoke(main, list(words[1:]))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise WrongLine(" ".join(words)) from result.exception
    if result.exit_code and not may_fail:
        raise WrongLine(f"{' '.join(words)}\nexit code {result.exit_code}: {result.output[-1500:]}")


def _lay_out(words: Sequence[str], folder: Path, store: Store) -> None:
    """Put into `folder` what a command reads and no command before it made."""
    outputs = {words[n + 1].rstrip("/") for n, word in enumerate(words[:-1]) if word in ("-o", "--out")}
    for word in words:
        for name in {word.rstrip("/"), word.rpartition("=")[2].rstrip("/"), word.partition("/")[0]} - outputs:
            if name in (*INPUTS, *MADE, *ALIASES) and not (folder / name).exists():
                store.copy(name, folder / name)
        for name in _OURS.findall(word):
            _link(name, folder)


def _link(name: str, folder: Path) -> None:
    """Put a weights file of the repository into `folder`, with its checksum, under its path."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    for end in ("", ".sha256"):
        target = folder / f"{name}{end}"
        if not target.exists():
            target.symlink_to(ROOT / f"{name}{end}")


def _expanded(words: Sequence[str], folder: Path) -> Iterator[str]:
    """Expand patterns of files, as a shell does."""
    for word in words:
        found = sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if "*" in word else []
        yield from found or [word]


@contextmanager
def _here(folder: Path) -> Iterator[None]:
    """Work in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
