"""The plugin's entry point; imports no heavy package."""

from __future__ import annotations

from facepriv.hookspecs import Descriptor, descriptors, hookimpl

FACEPRIV_CONTRACT = 2


@hookimpl
def facepriv_components() -> list[Descriptor]:
    """Return the method and its trainer."""
    return descriptors(
        "facepriv_sim_zhang",
        "sim-zhang",
        "Sim, Zhang: Controllable face privacy, FG 2015",
        ("gender", "race", "age"),
        method=("method:SimZhang", "linear face model with orthogonal attributes"),
        trainer=("cli:command", "fit Sim and Zhang's decomposition to a pack of aligned faces"),
    )
