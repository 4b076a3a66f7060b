"""Figures from the literature on soft-biometric privacy that relate privacy gain to identity loss.

Both compare rates before and after. They are ratios, so a small rate before makes them large and unstable.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from facepriv.metrics.arrays import Float


def suppression_rate(accuracy_before: ArrayLike, accuracy_after: ArrayLike) -> Float:
    """Return the attribute suppression rate (ACC - ACC') / ACC, (R,); 0: nothing is hidden, 1: no class is correct.

    Terhoerst et al., Suppressing gender and age in face templates using incremental variable elimination, ICB 2019;
    Unsupervised enhancement of soft-biometric privacy with negative face recognition, 2020 (arXiv:2002.09181).

    Parameters
    ----------
    accuracy_before, accuracy_after : array
        (R,) accuracy of an attribute classifier on originals and on protected photos. Guessing between two classes
        gives 0.5, so a well hidden attribute has a rate of about 0.5 and not 1.

    Examples
    --------
    >>> suppression_rate([0.96], [0.48])
    array([0.5])
    """
    before, after = np.asarray(accuracy_before, dtype=np.float64), np.asarray(accuracy_after, dtype=np.float64)
    return _relative(before - after, before)


def privacy_identity_coefficient(
    attribute_before: ArrayLike, attribute_after: ArrayLike, recognition_before: ArrayLike, recognition_after: ArrayLike
) -> Float:
    """Return the privacy-gain identity-loss coefficient PIC = (AE' - AE) / AE - (RE' - RE) / RE, (R,).

    Positive: the relative privacy gain exceeds the relative recognition loss. Terhoerst et al., PE-MIU: a training-free
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
        (R,); NaN where an error before is 0, as the ratio is undefined.

    Examples
    --------
    >>> privacy_identity_coefficient([0.02], [0.5], [0.04], [0.05])  # 24 times the gain, a quarter of a loss
    array([23.75])
    """
    ae, ae_after = np.asarray(attribute_before, dtype=np.float64), np.asarray(attribute_after, dtype=np.float64)
    re, re_after = np.asarray(recognition_before, dtype=np.float64), np.asarray(recognition_after, dtype=np.float64)
    return _relative(ae_after - ae, ae) - _relative(re_after - re, re)


def _relative(part: Float, whole: Float) -> Float:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
