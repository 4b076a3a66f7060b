"""Figures that weigh privacy won against identity lost, as the literature on soft-biometric privacy states them.

Both compare rates before and after; they are ratios, so a small rate before makes them large and unsteady.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]


def suppression_rate(accuracy_before: ArrayLike, accuracy_after: ArrayLike) -> Float:
    """Return the attribute suppression rate (ACC - ACC') / ACC, (R,); 0: nothing is hidden, 1: nothing is told right.

    Terhoerst et al., Suppressing gender and age in face templates using incremental variable elimination, ICB 2019;
    Unsupervised enhancement of soft-biometric privacy with negative face recognition, 2020 (arXiv:2002.09181).

    Parameters
    ----------
    accuracy_before, accuracy_after : array
        (R,) share of faces whose class an attribute classifier tells right, on originals and on protected photos.
        Guessing between two classes leaves 0.5, so that hiding well is about 0.5 and not 1.
    """
    before, after = np.asarray(accuracy_before, dtype=np.float64), np.asarray(accuracy_after, dtype=np.float64)
    return _relative(before - after, before)


def privacy_identity_coefficient(
    attribute_before: ArrayLike, attribute_after: ArrayLike, recognition_before: ArrayLike, recognition_after: ArrayLike
) -> Float:
    """Return the privacy-gain identity-loss coefficient PIC = (AE' - AE) / AE - (RE' - RE) / RE, (R,).

    Positive: privacy grew by more, relatively, than recognition lost. Terhoerst et al., PE-MIU: a training-free
    privacy-enhancing face recognition approach based on minimum information units, IEEE Access 8, 2020.

    Parameters
    ----------
    attribute_before, attribute_after : array
        (R,) error of an attribute classifier (AE, AE').
    recognition_before, recognition_after : array
        (R,) error of a matcher (RE, RE'), such as its EER.

    Returns
    -------
    ndarray
        (R,); NaN where an error before is 0, for then no gain or loss is relative to it.
    """
    ae, ae_after = np.asarray(attribute_before, dtype=np.float64), np.asarray(attribute_after, dtype=np.float64)
    re, re_after = np.asarray(recognition_before, dtype=np.float64), np.asarray(recognition_after, dtype=np.float64)
    return _relative(ae_after - ae, ae) - _relative(re_after - re, re)


def _relative(part: Float, whole: Float) -> Float:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
