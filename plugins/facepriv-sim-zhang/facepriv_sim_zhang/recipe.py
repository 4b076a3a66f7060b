"""What a fit is made with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """What a fit is made with.

    Parameters
    ----------
    size : int
        Side of the appearance in the mean shape, in pixels.
    axes : int
        Principal axes that the whitening keeps.
    identity_axes : int
        Axes of the identity residual that are kept for its alteration.
    balance, limit : float
        See `decompose.class_weights`.
    calibration : int
        Faces on which is measured what a change of gender does to the other attributes; see `calibrate`. 0: none, and
        nothing is taken back.
    min_age : float
        Faces below this age in years are left out: babies would make up the mean of the young.
    """

    size: int = 112
    axes: int = 200
    identity_axes: int = 24
    balance: float = 0.5
    limit: float = 10.0
    calibration: int = 600
    min_age: float = 15.0
