"""Renders a comparison as one self-contained page, with CSV, JSON and LaTeX files."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import PluginError, UsageError
from facepriv.evaluation.results import Comparison
from facepriv.evaluation.rows import to_csv
from facepriv.files import atomic_write
from facepriv.report import plots, tables
from facepriv.report.figure import Key, label, series

if TYPE_CHECKING:
    from markupsafe import Markup

PAGE, ROWS, RESULT, LATEX = "report.html", "rows.csv", "result.json", "tables.tex"
# Format of embedded pictures -> its quality.
_QUALITY = {"JPEG": 88, "WEBP": 75}


def check_installed(*names: str) -> None:
    """Raise `PluginError` unless the named dependencies of a page are installed, by default all of a report."""
    from importlib.util import find_spec

    missing = [name for name in names or ("jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        raise PluginError(f"a report needs {' and '.join(missing)}: pip install 'facepriv[report]'")


def check_place(folder: Path) -> None:
    """Raise `UsageError` if a report cannot be written to `folder`."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; a report is a folder, name another with -o")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / RESULT).is_file():
        raise UsageError(f"{folder}: holds other files than a report; name another folder with -o")
    if not folder.parent.exists() and not any(p.is_dir() for p in folder.parents):
        raise UsageError(f"{folder}: cannot be made; name another folder with -o")


def write_report(of: Comparison, folder: Path) -> Path:
    """Write the page and its data files to `folder`; returns the page's path."""
    shown = tables.overview(of), tables.adversaries(of), tables.groups(of)
    files = {
        ROWS: csv_text(of),
        RESULT: json.dumps(of.plain(), indent=1) + "\n",
        LATEX: tables.to_latex(table for table in shown if table.rows),
        PAGE: page(of),
    }
    return _write(files, folder)


def write_reports(comparisons: Sequence[Comparison], folder: Path) -> Path:
    """Write the report of each comparison; returns the path of the page to open.

    With several sets, each report is in a subfolder. The parent folder has one ``rows.csv`` with a column ``data``, one
    ``result.json`` with all ``sets``, and an index page.
    """
    if len(comparisons) == 1:
        return write_report(comparisons[0], folder)
    places = {re.sub(r"[^a-z0-9]+", "-", of.data["name"]): of for of in comparisons}
    for name, of in places.items():
        write_report(of, folder / name)
    result = {"facepriv": comparisons[0].facepriv, "sets": [of.plain() for of in comparisons]}
    files = {
        ROWS: joined_csv({of.data["name"]: csv_text(of) for of in comparisons}),
        RESULT: json.dumps(result, indent=1) + "\n",
        PAGE: index(places),
    }
    return _write(files, folder)


def _write(files: Mapping[str, str], folder: Path) -> Path:
    """Write texts by file name; returns the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        atomic_write(folder / name, text.encode())
    return folder / PAGE


def joined_csv(tables: Mapping[str, str]) -> str:
    """Join the rows of several sets into one table with the set's name in the first column."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    for name, text in tables.items():
        head, *rows = csv.reader(io.StringIO(text, newline=""))
        if not file.tell():
            writer.writerow(["data", *head])
        writer.writerows([name, *row] for row in rows)
    return file.getvalue()


def index(places: Mapping[str, Comparison]) -> str:
    """Return a page with the first table of every set, and a link to its report."""
    return render(
        "index.html.j2",
        title=_title(next(iter(places.values()))),
        sets=[(name, of.data["name"], tables.overview(of)) for name, of in places.items()],
    )


def csv_text(of: Comparison) -> str:
    """Return every row of every output as CSV."""
    head, lines = "", []
    for output in (*of.outputs, *of.differences):
        columns = {"method": output.method, "output": output.name, "hidden": " ".join(output.hidden)}
        head, _, rest = to_csv((*output.rows, *output.adversaries), **columns).partition("\n")
        lines.append(rest)
    return f"{head}\n{''.join(lines)}"


def page(of: Comparison) -> str:
    """Return the page."""
    shown = {table.name: table for table in tables.all_tables(of)}
    drawn = plots.all_plots(of)
    examples = _examples(of)
    names = [("overview", "Overview")]
    names += [("differences", shown["differences"].title)] * bool(of.differences)
    names += [("examples", "Examples")] * bool(examples) + [("figures", "Figures")] * bool(drawn)
    rest = ("attacks", "groups", "evaluators", "judges", "methods", "skipped")
    names += [(name, shown[name].title) for name in rest if shown[name].rows]
    return render(
        "page.html.j2",
        title=_title(of),
        lead=_lead(of),
        facts=_facts(of),
        sections=[*names, ("reading", "How to read it")],
        js=_asset("page.js"),
        tables=shown,
        figures=drawn,
        examples=examples,
        colours=[Key("originals", "●", 0), *(Key(m["name"], "●", series(of, m["name"])) for m in of.methods)],
    )


def render(template: str, **values: Any) -> str:
    """Return a template of this package with values and the style sheet."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=PackageLoader("facepriv", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made.filters["attributes"] = lambda cell: Markup(_attributes(cell))
    made.filters["words"] = unbroken
    made.globals["numeric"] = lambda table, n: bool(table.rows) and any(r[n].value is not None for r in table.rows)
    return made.get_template(template).render(css=_asset("page.css"), **values)


def unbroken(text: str) -> Markup:
    """Return text as markup in which no line breaks within a word, such as after a hyphen."""
    from markupsafe import Markup

    parts = [
        Markup('<span class="word">{}</span>').format(w) if re.search(r"[-/+=]", w) else w for w in text.split(" ")
    ]
    return Markup(" ").join(parts)


def _asset(name: str) -> Markup:
    """Return a file of this package as trusted markup."""
    from markupsafe import Markup

    return Markup((Path(__file__).parent / name).read_text(encoding="utf-8"))


def _title(of: Comparison) -> str:
    hidden = list(dict.fromkeys(name for output in of.outputs for name in output.hidden))
    return f"Hiding {', '.join(hidden) or 'nothing'}: {len(of.methods)} method{'s' * (len(of.methods) != 1)} compared"


def _lead(of: Comparison) -> str:
    people = f" of {of.data['people']} people" if of.data["people"] else ""
    return (
        f"{of.data['photos']} photos{people} ({of.data['name']}), protected by each method; then faces are found and "
        "aligned again, and judged by models that were trained elsewhere."
    )


def _facts(of: Comparison) -> str:
    own = of.settings
    return (
        f"Policy {own['policy']}, strength {own['strength']:g}, seed {own['seed']}; intervals: {own['replicates']} "
        f"resamples of people; facepriv {of.facepriv}."
    )


def _examples(of: Comparison) -> list[dict[str, Any]]:
    found = []
    for example in of.examples:
        pictures = [("original", data_uri(example.original))]
        for output in of.outputs:
            picture = example.outputs.get((output.method, output.name))
            pictures.append((label(of, output), "" if picture is None else data_uri(picture)))
        found.append({"caption": example.caption, "pictures": pictures})
    return found


def data_uri(picture: NDArray[np.uint8], kind: str = "JPEG") -> str:
    """Return a picture (H, W, 3) as a page embeds it; `kind` is the format, as Pillow names it."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, quality=_QUALITY[kind])
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def _attributes(cell: tables.Cell) -> str:
    classes = [
        name for name, on in (("number", cell.value is not None), ("strong", cell.strong), ("weak", cell.weak)) if on
    ]
    classes += ["note"] * (len(cell.text) > 40)
    classes += ["refused"] * (bool(cell.small) and cell.value is not None and not np.isfinite(cell.value))
    value = "" if cell.value is None else f' data-v="{cell.value:.6g}"' if np.isfinite(cell.value) else ' data-v=""'
    return (f' class="{" ".join(classes)}"' if classes else "") + value
