"""Speed of facepriv and of its references, measured in one run.

Candidates run in turns, so that a busy machine slows all of them. Reported are minimum, median and maximum of the
ratios over the rounds; the median decides on a bar. Several parts may follow each other, each with its own options.
None needs a data set: faces and photos come from two public-domain portraits.

    python benchmarks/bench.py generator folder growth
    python benchmarks/bench.py generator --rounds 50 --json generator.json
"""

from __future__ import annotations

import click
from shared import Benchmark
from speed import folder, generator, page, processes, scores, training


class Parts(Benchmark, click.Group):
    """The parts as subcommands; errors and help as for a `Benchmark`."""


main = Parts(
    "bench",
    help=__doc__,
    chain=True,
    commands=[
        generator.generator,
        folder.folder,
        folder.growth,
        page.page,
        training.training,
        processes.processes,
        scores.scores,
    ],
)

if __name__ == "__main__":
    main()
