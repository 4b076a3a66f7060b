"""Evaluation, from photos to rows of figures.

In order: `photos` (input), `truth` (labels), `judges` (the evaluators, and which of them count), `outputs` and `crops`
(protected faces), `predictions` (of the judges), `attributes`, `matching` and `measure` (figures), `results` (rows and
comparisons). `pairing` and `folders` evaluate two folders; `setup`, `measured` and `compare` compare methods.
"""
