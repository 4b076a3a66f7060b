"""The components of the core, found like those of a plugin: the local engine and the attacks. No heavy imports."""

from __future__ import annotations

from facepriv.hookspecs import Descriptor, hookimpl

FACEPRIV_CONTRACT = 2


@hookimpl
def facepriv_components() -> list[Descriptor]:
    """Return the engine and the attacks."""
    return [
        Descriptor(
            kind="engine",
            name="local",
            target="facepriv.protection.local:make_engine",
            summary="Worker processes on this machine",
        ),
        Descriptor(
            kind="attack",
            name="retrained",
            target="facepriv.attacks.retrained:Retrained",
            summary="A classifier retrained on protected faces of other people, which undoes a recolouring first",
            reference="Wolpert, Stacked generalization, Neural Networks 1992",
        ),
        Descriptor(
            kind="attack",
            name="restoration",
            target="facepriv.attacks.restoration:Restoration",
            summary="Blur, JPEG, a smaller size or denoising before the classifiers look",
            reference="Xu, Evans, Qi, Feature squeezing, NDSS 2018; Chambolle, total variation, JMIV 2004",
        ),
        Descriptor(
            kind="attack",
            name="inversion",
            target="facepriv.attacks.inversion:Inversion",
            summary="The method's own public generator, run on the protected face with every label",
            reference="Zhu et al., CycleGAN, ICCV 2017: a cycle trains the generator to undo itself",
        ),
        Descriptor(
            kind="attack",
            name="detector",
            target="facepriv.attacks.detector:Detector",
            summary="Distinguishes protected from original faces by their frequencies, block by block",
            reference="Frank et al., Leveraging frequency analysis for deep fake image recognition, ICML 2020",
        ),
    ]
