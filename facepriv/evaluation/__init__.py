"""Two folders of photos, originals and protected, made by anything: what independent models see in both, in rows.

`photos` lists what is evaluated, `pairing` finds each photo's protected copy, `predictions` asks the models, `measure` turns
their answers into rows (`rows`), `conditions` decides on a row, and `folders` does it all, as ``facepriv evaluate``.
"""
