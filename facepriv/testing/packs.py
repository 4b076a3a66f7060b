"""A small training pack of real faces, for tests of trainers."""

from __future__ import annotations

import csv
import json
from itertools import product
from pathlib import Path

import numpy as np

from facepriv.datasets.pack import CROPS, FORMAT, INFO, ROWS, CropWriter, new_pack

#: Invented labels of the faces, so that every part has two of each.
_LABELS = {"gender": ("male", "female"), "race": ("white", "black"), "age": ("young", "old"), "years": ("25", "60")}


def little_pack(out: Path, *, size: int = 112, each: int = 2) -> Path:
    """Write a training pack of aligned views of the two public-domain portraits of the demonstration; returns `out`.

    Every part (train, validation, test) holds both portraits `each` times, each slightly shifted like alignment errors.
    Labels and names are invented: two views count as one person.

    Raises
    ------
    PluginError
        If a portrait's package is missing.
    """
    from facepriv.faces import crop_face, find_faces
    from facepriv.faces.align import Face
    from facepriv.image.decode import read_image
    from facepriv.samples import portraits

    photos = [read_image(portrait.path).rgb8() for portrait in portraits()]
    found = [(rgb, find_faces(rgb)[0]) for rgb in photos]
    rng, rows = np.random.default_rng(0), []
    with new_pack(out) as folder:
        with CropWriter(folder / CROPS, size) as crops:
            for part, view, person in product(("train", "validation", "test"), range(each), range(len(found))):
                rgb, face = found[person]
                points = face.points + rng.normal(0, 0.01 * face.scale, face.points.shape)
                crops.append(np.rint(crop_face(rgb, Face(face.box, points), size) * 255).astype(np.uint8))
                labels = {name: values[person] for name, values in _LABELS.items()}
                row = {"set": "portraits", "name": f"{person}-{part}-{view}.png", "part": part, "half": "a", **labels}
                rows.append({**row, "subject": f"{part} {person} {view // 2}"})
        with (folder / ROWS).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        (folder / INFO).write_text(json.dumps({"format": FORMAT, "size": size, "crops": len(rows)}), encoding="utf-8")
    return out
