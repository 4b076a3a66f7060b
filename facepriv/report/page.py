"""Lays a comparison out as one page that needs nothing but itself, with CSV, JSON and LaTeX beside it."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import PluginError, UsageError
from facepriv.evaluation.results import Comparison, to_csv
from facepriv.files import atomic_write
from facepriv.report import plots as figures
from facepriv.report import tables
from facepriv.report.plots import Key, label, series

PAGE, ROWS, RESULT, LATEX = "report.html", "rows.csv", "result.json", "tables.tex"
_QUALITY = 88


def check_installed() -> None:
    """Raise `PluginError` unless what draws and lays out is installed: said before an hour of measuring, not after."""
    from importlib.util import find_spec

    missing = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        raise PluginError(f"a report needs {' and '.join(missing)}: pip install 'facepriv[report]'")


def check_place(folder: Path) -> None:
    """Raise `UsageError` unless a report can be written into `folder`."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; a report is a folder, name another with -o")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / RESULT).is_file():
        raise UsageError(f"{folder}: holds other files than a report; name another folder with -o")
    if not folder.parent.exists() and not any(p.is_dir() for p in folder.parents):
        raise UsageError(f"{folder}: cannot be made; name another folder with -o")


def write_report(of: Comparison, folder: Path) -> Path:
    """Write the page and what goes with it into `folder`; returns the page's path."""
    shown = tables.glance(of), tables.adversaries(of), tables.groups(of)
    files = {
        ROWS: csv_text(of),
        RESULT: json.dumps(of.plain(), indent=1) + "\n",
        LATEX: tables.to_latex(table for table in shown if table.rows),
        PAGE: page(of),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        atomic_write(folder / name, text.encode())
    return folder / PAGE


def csv_text(of: Comparison) -> str:
    """Return every row of every output as CSV."""
    head, lines = "", []
    for output in of.outputs:
        columns = {"method": output.method, "output": output.name, "hidden": " ".join(output.hidden)}
        head, _, rest = to_csv((*output.rows, *output.adversaries), **columns).partition("\n")
        lines.append(rest)
    return f"{head}\n{''.join(lines)}"


def page(of: Comparison) -> str:
    """Return the page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("facepriv", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    )  # fmt: skip
    environment.filters["attributes"] = lambda cell: Markup(_attributes(cell))
    environment.globals["numeric"] = lambda table, n: (
        bool(table.rows) and any(r[n].value is not None for r in table.rows)
    )
    source = Path(__file__).parent
    shown = {
        "glance": tables.glance(of), "attacks": tables.adversaries(of), "groups": tables.groups(of),
        "evaluators": tables.evaluators(of), "judges": tables.judges(of), "methods": tables.methods(of),
        "skipped": tables.skipped(of),
    }  # fmt: skip
    drawn = figures.figures(of)
    examples = _examples(of)
    names = [("glance", "At a glance")]
    names += [("examples", "Examples")] * bool(examples) + [("figures", "Figures")] * bool(drawn)
    rest = ("attacks", "groups", "evaluators", "judges", "methods", "skipped")
    names += [(name, shown[name].title) for name in rest if shown[name].rows]
    return environment.get_template("page.html.j2").render(
        title=_title(of),
        lead=_lead(of),
        facts=_facts(of),
        sections=[*names, ("reading", "How to read it")],
        css=Markup((source / "page.css").read_text(encoding="utf-8")),
        js=Markup((source / "page.js").read_text(encoding="utf-8")),
        tables=shown,
        figures=drawn,
        examples=examples,
        colours=[Key("originals", "●", 0), *(Key(m["name"], "●", series(of, m["name"])) for m in of.methods)],
    )


def _title(of: Comparison) -> str:
    hidden = list(dict.fromkeys(name for output in of.outputs for name in output.hidden))
    return f"Hiding {', '.join(hidden) or 'nothing'}: {len(of.methods)} method{'s' * (len(of.methods) != 1)} compared"


def _lead(of: Comparison) -> str:
    people = f" of {of.data['people']} people" if of.data["people"] else ""
    return (
        f"{of.data['photos']} photos{people} ({of.data['name']}), protected by each method; then faces are found and "
        "aligned anew, and judged by models that were trained elsewhere."
    )


def _facts(of: Comparison) -> str:
    said = of.settings
    return (
        f"Policy {said['policy']}, strength {said['strength']:g}, seed {said['seed']}; intervals: {said['replicates']} "
        f"resamples of people; facepriv {of.facepriv}."
    )


def _examples(of: Comparison) -> list[dict[str, Any]]:
    found = []
    for example in of.examples:
        pictures = [("original", _data_uri(example.original))]
        for output in of.outputs:
            picture = example.outputs.get((output.method, output.name))
            pictures.append((label(of, output), "" if picture is None else _data_uri(picture)))
        found.append({"caption": example.caption, "pictures": pictures})
    return found


def _data_uri(picture: NDArray[np.uint8]) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _attributes(cell: tables.Cell) -> str:
    classes = [
        name for name, on in (("number", cell.value is not None), ("strong", cell.strong), ("weak", cell.weak)) if on
    ]
    classes += ["note"] * (len(cell.text) > 40)
    value = "" if cell.value is None else f' data-v="{cell.value:.6g}"' if np.isfinite(cell.value) else ' data-v=""'
    return (f' class="{" ".join(classes)}"' if classes else "") + value


__all__ = ["check_installed", "check_place", "csv_text", "page", "write_report"]
