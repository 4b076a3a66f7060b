"""The plugin's entry point; imports no heavy package."""

from __future__ import annotations

from facepriv.hookspecs import Descriptor, hookimpl

FACEPRIV_CONTRACT = 2


@hookimpl
def facepriv_components() -> list[Descriptor]:
    """Return the engine."""
    return [
        Descriptor(
            kind="engine",
            name="ray",
            target="facepriv_ray.engine:make_engine",
            summary="The machines of a Ray cluster, one model an actor",
            reference="Moritz et al., Ray: a distributed framework for emerging AI applications, OSDI 2018",
        )
    ]
