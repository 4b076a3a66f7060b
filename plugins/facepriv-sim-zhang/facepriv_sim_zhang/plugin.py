"""The plugin's entry point; imports no heavy package."""

from __future__ import annotations

from facepriv.hookspecs import Descriptor, hookimpl

FACEPRIV_CONTRACT = 2

_REFERENCE = "Sim, Zhang: Controllable face privacy, FG 2015"


@hookimpl
def facepriv_components() -> list[Descriptor]:
    """Return the method and its trainer."""
    return [
        Descriptor(
            kind="method",
            name="sim-zhang",
            target="facepriv_sim_zhang.method:SimZhang",
            summary="linear face model that moves a face along orthogonal axes of gender, race and age",
            reference=_REFERENCE,
            attributes=("gender", "race", "age"),
        ),
        Descriptor(
            kind="trainer",
            name="sim-zhang",
            target="facepriv_sim_zhang.cli:command",
            summary="fit Sim and Zhang's decomposition to a pack of aligned faces",
            reference=_REFERENCE,
        ),
    ]
