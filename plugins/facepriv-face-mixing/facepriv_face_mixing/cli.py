"""``facepriv train face-mixing``: averages the faces of a pack into the packaged gallery."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("face-mixing")
@click.argument("pack", type=click.Path(path_type=Path))
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE.safetensors",
    help="The gallery; an existing file is replaced.",
)
@click.option(
    "--people",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="A group of fewer people gives no average; fewer than 50 are refused.",
)
@click.option("--most", type=click.IntRange(50), default=400, show_default=True, help="People of a larger group.")
@click.option("--size", type=click.IntRange(32, 512), default=72, show_default=True, help="Side of an average.")
def command(pack: Path, out: Path, people: int, most: int, size: int) -> None:
    """Average the adults of the training part of PACK (see `facepriv pack`) by gender, race and age.

    Every average uses different people, one photo each. Only labels of the pack itself are used.
    """
    from facepriv.cli import console
    from facepriv.datasets.pack import open_pack
    from facepriv.schema import ATTRIBUTES
    from facepriv.training.records import command_line, made_today
    from facepriv_face_mixing import gallery, making

    opened = open_pack(pack)
    sets = ", ".join(sorted(set(opened.columns["set"][opened.where(part="train")].tolist())))
    done = 0
    with console.progress(100) as bar:

        def report(count: int, total: int) -> None:
            nonlocal done
            for _ in range(100 * count // total - done):
                bar.advance()
            done = 100 * count // total

        averages = making.average(opened, people=people, most=most, size=size, progress=report)
    provenance = made_today(
        f"training parts of {sets}: one photo a person, of {making.YOUNGEST} years or more or of unknown "
        f"age; at least {people} people an average",
        command_line("face-mixing", {"people": people, "most": most, "size": size}),
        seen=("family-a-gender", "mobilefacenet"),
    )
    sha256 = gallery.save(out, averages, provenance)
    for n in range(len(averages)):
        named = [s.classes[averages.labels[a][n]] for a, s in ATTRIBUTES.items() if averages.labels[a][n] >= 0]
        click.echo(f"{averages.people[n]:5d} people  {' '.join(named)}")
    click.echo(f"{out}: {len(averages)} averages, {out.stat().st_size / 1e3:.0f} kB, SHA-256 {sha256[:12]}")
