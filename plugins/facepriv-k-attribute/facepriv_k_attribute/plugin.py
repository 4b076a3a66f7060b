"""The plugin's entry point; imports no heavy package."""

from __future__ import annotations

from facepriv.hookspecs import Descriptor, hookimpl

FACEPRIV_CONTRACT = 2


@hookimpl
def facepriv_components() -> list[Descriptor]:
    """Return the method."""
    return [
        Descriptor(
            kind="method",
            name="k-attribute",
            target="facepriv_k_attribute.method:KAttribute",
            summary="adversarial noise against chosen classifiers",
            reference="Chhabra, Singh, Vatsa, Gupta: Anonymizing k-facial attributes via adversarial perturbations, "
            "IJCAI 2018; Mirjalili, Ross: Soft biometric privacy, IJCB 2017",
            attributes=("gender", "race", "age"),
        )
    ]
