"""``facepriv attack``: measure what adversaries recover from protected photos."""

from __future__ import annotations

import click

from facepriv.cli.compare import ComparisonOptions, comparing, run
from facepriv.cli.values import Names


@click.command("attack", short_help="Ask what adversaries recover from protected photos.")
@comparing
@click.option("--attack", "attacks", type=Names(), multiple=True, help="[default: all that are installed]")
def command(options: ComparisonOptions, attacks: tuple[tuple[str, ...], ...]) -> None:
    """Protect the photos of DATA with every method, and let adversaries who know the method read them.

    Each adversary studies protected faces of one half of the people, and answers for the other half, in turn. The
    report is that of 'facepriv compare', with the best adversary beside every method. The faces that adversaries study
    are kept in the work folder: they show real people.
    """
    from facepriv.registry import registry

    run(options, Names.joined(attacks) or tuple(registry().descriptors("attack")))
