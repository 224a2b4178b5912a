r"""What level the next window will have, from the levels of earlier ones.

Windows differ: by season, by growth, by what happened. The levels are one draw of a Gaussian
process around 0 whose covariance adds up

.. math:: \tau^2 + s^2 e^{-|d| / \ell} + q^2 e^{-2 \sin^2(\pi d / 365.25) / \lambda^2},

what all windows share, what passes, and what comes again each year, and each window has an error
of its own. How much of each there is, the levels tell: every combination of a small grid counts by
its marginal likelihood. Where windows hardly differ the forecast is nearly their mean; where each
is like the one before, nearly the last; with few of them it stays near 0.

References
----------
Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, sections 2.2 and 5.4.
"""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np

from app.scoring.numerics.array_types import FloatArray

SHARED: Final = 0.4  # log-odds that all windows may be off by
YEAR: Final = 365.25

_PASSING = (0.05, 0.25, 1.0)
_LENGTHS = (60.0, 360.0)  # days
_YEARLY = (0.0, 0.3, 1.0)
_OWN = (0.1, 0.4)
_SEASON = 0.35  # about 20 days, as a share of the circle that is the year
_GRID = np.array(list(itertools.product(_PASSING, _LENGTHS, _YEARLY, _OWN)))
# No season is as likely beforehand as one of any size.
_PRIOR = np.where(_GRID[:, 2] == 0, 0.5, 0.5 / (len(_YEARLY) - 1))


def forecast(
    levels: FloatArray,
    variances: FloatArray,
    days: FloatArray,
    to: float,
    *,
    shared: float = SHARED,
) -> float:
    """Return the level to be expected of another window.

    Parameters
    ----------
    levels, variances : FloatArray
        In log-odds, and how sure each is by itself, shape (n,).
    days : FloatArray
        When each window began, shape (n,).
    to : float
        When the other one begins.
    shared : float
        Standard deviation beforehand of what all windows share.

    Returns
    -------
    float
        0 without any window.
    """
    if not levels.size:
        return 0.0
    at = np.append(days, to)
    apart = np.abs(at[:, None] - at)
    passing, length, yearly, own = (column[:, None, None] for column in _GRID.T)
    turn = np.sin(np.pi * apart / YEAR)
    covariance = (
        shared**2
        + passing**2 * np.exp(-apart / length)
        + yearly**2 * np.exp(-2 * (turn / _SEASON) ** 2)
    )
    noise = own**2 * np.eye(levels.size) + np.diag(variances)
    root = np.linalg.cholesky(covariance[:, :-1, :-1] + noise)
    half = np.linalg.solve(root, np.broadcast_to(levels[:, None], (len(root), levels.size, 1)))
    fit = np.log(_PRIOR) - 0.5 * (half[..., 0] ** 2).sum(axis=1)
    fit -= np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    share = np.exp(fit - fit.max())
    known = np.linalg.solve(root, covariance[:, :-1, -1:])
    means = (known * half).sum(axis=(1, 2))
    return float(share @ means / share.sum())
