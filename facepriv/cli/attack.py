"""``facepriv attack``: measure what adversaries recover from protected photos."""

from __future__ import annotations

import click

from facepriv.cli.compare import ComparisonOptions, comparing, run
from facepriv.cli.values import Names


@click.command("attack", short_help="Measure what adversaries recover from protected photos.")
@comparing
@click.option("--attack", "attacks", type=Names(), multiple=True, help="[default: all that are installed]")
def command(options: ComparisonOptions, attacks: tuple[tuple[str, ...], ...]) -> None:
    """Protect the photos of DATA with every method, and run attacks by adversaries with access to the method.

    Each adversary is trained on protected faces of one half of the people and tested on the other half, and vice versa.
    The report is that of 'facepriv compare', with the best adversary for every method. The training faces are kept in
    the work folder: they show real people.
    """
    from facepriv.registry import registry

    run(options, Names.joined(attacks) or tuple(registry().descriptors("attack")))
