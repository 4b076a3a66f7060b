"""Outputs of earlier runs inside an input folder: protecting them again would flip some attributes back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from facepriv.protection.inputs import Discovery, Found
from facepriv.protection.manifest import MANIFEST, RUN_FOLDER, read_run


def leave_out_earlier(found: Discovery, arguments: Sequence[str]) -> tuple[Discovery, list[str]]:
    """Leave out the outputs of earlier runs.

    Parameters
    ----------
    found : Discovery
    arguments : sequence of str
        The arguments behind `found`. An output folder, or part of one, that is named explicitly is a normal input.

    Returns
    -------
    found : Discovery
        Without the files listed as outputs in the record of an earlier run.
    warnings : list of str
        One line for each output folder.

    Raises
    ------
    DataError
        If such a record is damaged.
    """
    named = [Path(os.path.abspath(argument)) for argument in arguments]
    outputs = {folder: _outputs(folder) for folder in _output_folders(found.files, named)}
    left: dict[Path, int] = dict.fromkeys(outputs, 0)
    kept = []
    for file in found.files:
        path = Path(os.path.abspath(file.source))
        folder = next((parent for parent in path.parents if path in outputs.get(parent, ())), None)
        if folder is None:
            kept.append(file)
        else:
            left[folder] += 1
    warnings = [
        f"{os.path.relpath(folder)}: is the output folder of an earlier run; what that run made is left out "
        f"({count} file{'s' * (count != 1)}): name the folder itself to protect it once more"
        for folder, count in left.items()
        if count
    ]
    return replace(found, files=kept), warnings


def _output_folders(files: Sequence[Found], named: Sequence[Path]) -> list[Path]:
    """Return the output folders above some files, except those that an argument names or lies in."""
    above = {parent for file in files for parent in Path(os.path.abspath(file.source)).parents}
    return sorted(
        folder
        for folder in above
        if (folder / RUN_FOLDER / MANIFEST).is_file() and not any(path.is_relative_to(folder) for path in named)
    )


def _outputs(folder: Path) -> set[Path]:
    return {folder / name for name, row in read_run(folder).rows.items() if row.has_output}
