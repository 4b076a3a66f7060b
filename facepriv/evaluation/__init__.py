"""Evaluation, from photos to rows of figures.

`photos` (input), `truth` (labels) and `judges` are what a figure is made from. `compare`, with its `setup`, and
`folders`, with `pairing`, lead through the steps: `outputs` (protected faces), `predictions` (of the judges), `measure`
with `attributes` and `matching` (figures), `rows` and `results`. `conditions` reads ``--fail-if``.
"""
