"""The path of a figure, from photos to rows.

In order: `photos` (what is evaluated), `truth` (its labels), `judges` (who judges, which judges count), `outputs` and
`crops` (protected faces), `predictions` (what judges say), `attributes`, `matching` and `measure` (figures), `results`
(rows and comparisons). `pairing` and `folders` evaluate two folders; `setup`, `measured` and `compare` compare methods.
"""
