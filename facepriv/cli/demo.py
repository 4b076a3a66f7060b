"""``facepriv demo``: protect two portraits, and show the results of unseen models before and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from facepriv.cli.demo_run import Change, Report


@click.command("demo")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("demo-out"), show_default=True, help="Folder."
)
@click.option("--method", default="privacynet", show_default=True, help="The method; 'facepriv methods' lists them.")
@click.option("--device", default="cpu", show_default=True, help="Where the method computes: cpu, cuda, ...")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier demo left there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
def command(out: Path, method: str, device: str, overwrite: bool, as_json: bool) -> None:
    """Hide the gender in two public-domain portraits and show the results of unseen models.

    Writes the protected portraits and a sheet (photo, protected, difference). The models detect the faces again in the
    written files: two gender estimators, and a face matcher whose score is higher for the same person.
    """
    from facepriv.cli.demo_run import demonstrate
    from facepriv.registry import registry

    report = demonstrate(registry(), out, method=method, device=device, overwrite=overwrite)
    if as_json:
        import json

        click.echo(json.dumps(report.to_dict(), indent=2))
        return
    from rich.console import Console

    Console().print(_table(report))
    for line in (*report.notes(), f"Sheet: {report.sheet}"):
        click.echo(line)


def _table(report: Report) -> Table:
    from rich.table import Table

    from facepriv.cli.demo_run import shown

    table = Table(title=f"gender hidden by {report.method}, judged by models that it never saw", title_justify="left")
    table.add_column("photo")
    table.add_column("measure")
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")

    def row(photo: str, measure: str, change: Change, *, last: bool = False) -> None:
        table.add_row(photo, measure, shown(change.before), shown(change.after), end_section=last)

    for verdict in report.photos:
        photo = verdict.name
        for judge, change in verdict.p_female.items():
            row(photo, f"P(female), {judge}", change)
            photo = ""
        row("", "match with the mirrored original", verdict.mirrored)
        row("", "match with the original itself", verdict.direct, last=True)
    row("both", "match with each other (two people)", report.impostor)
    return table
