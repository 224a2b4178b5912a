"""Ends of intervals of single numbers: counts that may be none, and amounts that may be nothing.

All are plain numbers of Python: a score card asks for two of them, and a call of numpy costs more.
An interval holds `LEVEL` of cases; at most `BELOW` lie below it, and none where none are as likely.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final, TypeAlias

LEVEL: Final = 0.8
BELOW: Final = 0.1
MANY: Final = 150.0
"""From so many on, counts need not be gone through one by one."""
_NORMAL: Final = NormalDist()
REACH: Final = _NORMAL.inv_cdf((1 + LEVEL) / 2)
"""Standard deviations of a normal distribution on each side."""

Ends: TypeAlias = tuple[float, float, float]
"""Low, high, and the share of cases between them, which whole numbers may make more."""


def purchases(chance: float, more: float, wide: float) -> Ends:
    """Return the interval of a count that is none but for a chance, and then ``1 + more``.

    Parameters
    ----------
    chance : float
        Of any.
    more : float
        Expected beyond the first, of who makes any: negative binomial.
    wide : float
        Its dispersion: the variance is ``more + wide * more ** 2``.
    """
    none = 1 - chance
    if more > MANY:
        low, high, held = amount(chance, 1 + more, math.sqrt(math.log1p(1 / more + wide)))
        return math.floor(low), math.ceil(high), held
    return _from_first(none, chance * math.exp(-_log_growth(more, wide)), 0, more, wide)


def count(mean: float, wide: float) -> Ends:
    """Return the interval of a count that is negative binomial; arguments as for `purchases`."""
    none = math.exp(-_log_growth(mean, wide))
    return _from_first(none, _next(0, none, mean, wide), 1, mean, wide)


def amount(chance: float, mean: float, width: float) -> Ends:
    """Return the interval of an amount that is nothing but for a chance, and then lognormal.

    Parameters
    ----------
    chance : float
        Of any.
    mean : float
        Where there is any; if negative, all of it is.
    width : float
        Standard deviation of the logarithm.
    """
    none = 1 - chance
    if none >= LEVEL or mean == 0:
        return 0.0, 0.0, none if mean else 1.0
    at = math.log(abs(mean)) - width**2 / 2
    low = 0.0 if none >= BELOW else math.exp(at + width * _z((BELOW - none) / chance))
    reach = LEVEL if none >= BELOW else LEVEL + BELOW
    high = math.exp(at + width * _z((reach - none) / chance))
    return (low, high, LEVEL) if mean > 0 else (-high, -low, LEVEL)


def _from_first(none: float, first: float, at: int, mean: float, wide: float) -> Ends:
    """Return the interval of none, and of a negative binomial of a mean from its ``at`` on."""
    low, below = 0 if none >= BELOW else -1, 0.0
    total, mass, n = none, first, 0
    while low < 0 or total < LEVEL + below:
        n += 1
        before, total = total, total + mass
        if low < 0 and total >= BELOW:
            low, below = n, before
        if mass == 0 and n > mean:  # what is left is rounding
            break
        mass = _next(n + at - 1, mass, mean, wide)
    return max(low, 0), n, total - below


def _next(n: int, mass: float, mean: float, wide: float) -> float:
    """Return the probability of one more than ``n`` by a negative binomial."""
    return mass * mean * (1 + n * wide) / ((n + 1) * (1 + mean * wide))


def _log_growth(mean: float, wide: float) -> float:
    """Return minus the log-probability of none by a negative binomial."""
    return math.log1p(mean * wide) / wide if wide > 0 else mean


def _z(share: float) -> float:
    return _NORMAL.inv_cdf(min(max(share, 1e-300), 1 - 1e-16))
