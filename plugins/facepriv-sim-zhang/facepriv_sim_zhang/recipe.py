"""The settings of a fit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The settings of a fit.

    Parameters
    ----------
    size : int
        Side of the appearance in the mean shape, in pixels.
    axes : int
        Number of principal axes in the whitening.
    identity_axes : int
        Number of axes of the identity residual, for its alteration.
    balance, limit : float
        See `decompose.class_weights`.
    calibration : int
        Number of faces used to measure the effect of a gender change on the other attributes; see `calibrate`. 0: no
        compensation.
    min_age : float
        Faces below this age in years are left out: babies would dominate the mean of the young.
    """

    size: int = 112
    axes: int = 200
    identity_axes: int = 24
    balance: float = 0.5
    limit: float = 10.0
    calibration: int = 600
    min_age: float = 15.0
