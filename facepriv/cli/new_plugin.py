"""``facepriv new-plugin``: write an installable package for a new method."""

from __future__ import annotations

import os
import re
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from keyword import iskeyword
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

import click

from facepriv.cli import console
from facepriv.cli.options import PATH
from facepriv.contracts import CONTRACT_VERSION
from facepriv.errors import UsageError
from facepriv.files import make_folder
from facepriv.registry import registry

#: File of the template -> its place in the package.
_FILES = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "LICENSE.txt": "LICENSE",
    "module.py.txt": "$module.py",
    "test_conforms.py.txt": "tests/test_${snake}_conforms.py",
}
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
#: Names that the module of the template imports.
_TAKEN = {"Perturber", "Descriptor"}


@click.command("new-plugin", short_help="Write an installable package for a new method.")
@click.argument("name")
@click.option("-o", "--out", type=PATH, help="Folder of the package, which must not exist. [default: facepriv-NAME]")
def command(name: str, out: Path | None) -> None:
    """Write an installable package for a new method NAME, with tests, that conforms as it is.

    Its method is a mosaic, to be replaced by your own.
    """
    _check(name)
    folder = out or Path(f"facepriv-{name}")
    write_package(name, folder)
    for place in package_files(name):
        click.echo(str(folder / place))
    console.note(f"next: pip install -e {folder}, then facepriv check {name}")


def package_files(name: str) -> dict[str, str]:
    """Return the files of a package for the method `name`: path in its folder -> text."""
    snake = name.replace("-", "_")
    words = {
        "name": name,
        "snake": snake,
        "distribution": f"facepriv-{name}",
        "module": f"facepriv_{snake}",
        "class_name": _class_name(name),
        "contract": CONTRACT_VERSION,
    }
    template = files("facepriv.cli") / "template"
    return {
        Template(place).substitute(words): Template((template / file).read_text("utf-8")).substitute(words)
        for file, place in _FILES.items()
    }


def write_package(name: str, folder: Path) -> None:
    """Write the package for the method `name`, all of it or nothing.

    Raises
    ------
    UsageError
        If `folder` exists.
    DataError
        If the folder above it cannot be created.
    """
    if os.path.lexists(folder):
        raise UsageError(f"{folder}: exists already; name another folder with -o")
    make_folder(folder.parent)
    with TemporaryDirectory(prefix=".facepriv-", dir=folder.parent) as staging:
        for place, text in package_files(name).items():
            file = Path(staging, folder.name, place)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        os.rename(Path(staging, folder.name), folder)


def _check(name: str) -> None:
    """Raise `UsageError` if `name` is not a free name for a method."""
    if not _NAME.fullmatch(name) or name.startswith("facepriv-"):
        near = re.sub(r"^(facepriv-|[^a-z])+", "", re.sub(r"[^a-z0-9]+", "-", name.lower())).strip("-")
        hint = f", for example {near}" if near else ""
        raise UsageError(f"'{name}' cannot name a method: use lower-case letters, digits and hyphens{hint}")
    if iskeyword(_class_name(name)) or _class_name(name) in _TAKEN:
        raise UsageError(f"'{name}' cannot name a method: its class would be {_class_name(name)}; choose another name")
    if name in registry().descriptors("method"):
        raise UsageError(f"a method '{name}' is installed already: choose another name")
    try:
        distribution(f"facepriv-{name}")
    except PackageNotFoundError:
        return
    raise UsageError(f"a package facepriv-{name} is installed already: choose another name, or uninstall it")


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))
