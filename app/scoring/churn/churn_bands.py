"""Low, medium and high risk: two cut-offs, and what became of the customers in each band.

High is a risk with at least twice the odds of the average customer, low one with at most half of
them: the cut-offs are the share that churned, moved by ``log 2`` either way on the log-odds. A band
with too few customers, fewer than `MIN_SHARE` of them or `MIN_CUSTOMERS`, is widened to the tenth
at that end. Where bands still hold too few, or what happened does not rise from one to the next,
low and high alone are told apart, at the share that left; hardly anybody is then in between, as
with subscribers. If that fails too, the bands say nothing: then thirds of the probability scale
are used, and ``fitted`` is false.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.churn import contributions
from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray, IntArray
from app.scoring.regression.recalibration import sigmoid

MIN_CUSTOMERS: Final = 30
MIN_SHARE: Final = 0.05
FIXED: Final = (1 / 3, 2 / 3)

NORMAL_95: Final = 1.959963984540054  # of a two-sided interval of 95 %


@dataclass(frozen=True)
class Band:
    """One band, and what became of its customers.

    Attributes
    ----------
    name : str
        One of `contributions.LEVELS`.
    n : int
        Customers in the back-test.
    predicted : float or None
        Their mean risk.
    churned : float or None
        Share that churned: of 100 in this band, so many leave.
    lower, upper : float or None
        Wilson's interval of that share, 95 %.
    """

    name: str
    n: int
    predicted: float | None
    churned: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class Bands:
    """Cut-offs, and what each band means.

    Attributes
    ----------
    medium, high : float
        The least risk that is medium, and that is high; equal where nobody is medium.
    fitted : bool
        Whether they come from a back-test; else they are `FIXED`.
    bands : tuple of Band
        Low, medium, high.
    """

    medium: float
    high: float
    fitted: bool
    bands: tuple[Band, ...]

    def level(self, p: ArrayLike) -> IntArray:
        """Return the band of each risk, as an index into `contributions.LEVELS`."""
        risk = validation.as_float("p", p)
        return np.asarray(risk >= self.medium, dtype=np.int64) + (risk >= self.high)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        return {**asdict(self), "bands": [asdict(band) for band in self.bands]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Bands:
        """Return the bands that `as_dict` described."""
        return cls(**{**stored, "bands": tuple(Band(**band) for band in stored["bands"])})


def bands(p: ArrayLike, y: ArrayLike) -> Bands:
    """Return the bands of a back-test, by the rule of the module.

    Parameters
    ----------
    p : array_like
        The predicted risk, shape (n,).
    y : array_like
        1 for those who churned, else 0, shape (n,).

    Raises
    ------
    ValueError
        If shapes differ, a ``p`` is not in [0, 1], or a ``y`` not 0 or 1.
    """
    risk, churned = validation.as_float("p", p), validation.outcomes("y", y)
    if risk.size:
        risk, churned = validation.predictions(risk, churned)
        least = max(MIN_CUSTOMERS, MIN_SHARE * risk.size)
        share = (float(churned.sum()) + 0.5) / (churned.size + 1)
        middle = math.log(share / (1 - share))
        medium, high = sigmoid(middle + math.log(2) * np.array([-1.0, 1.0])).tolist()
        if (risk < medium).sum() < least:
            medium = float(np.quantile(risk, 0.1, method="higher"))
        if (risk >= high).sum() < least:
            high = float(np.quantile(risk, 0.9, method="higher"))
        for cuts in [(medium, high)] * (medium < high) + [(share, share)]:
            found = _bands(risk, churned, *cuts)
            if _tells(found, least):
                return found
    return replace(_bands(risk, churned, *FIXED), fitted=False)


def _tells(found: Bands, least: float) -> bool:
    """Return whether each band holds enough, and more leave from one to the next."""
    shown = [band for band in found.bands if band.n or found.medium < found.high]
    shares = [band.churned or 0.0 for band in shown]
    rises = shares == sorted(shares) and shares[0] < shares[-1]
    return rises and all(band.n >= least for band in shown)


def wilson(events: ArrayLike, n: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return Wilson's 95 % interval of a share.

    Parameters
    ----------
    events, n : array_like
        ``0 <= events <= n``, ``n >= 1``, of one shape.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference, Journal of
    the American Statistical Association 22, 209-212.
    """
    k, size = np.asarray(events, dtype=np.float64), np.asarray(n, dtype=np.float64)
    share, z2 = k / size, NORMAL_95 * NORMAL_95 / size
    centre = (share + z2 / 2) / (1 + z2)
    half = NORMAL_95 * np.sqrt(share * (1 - share) / size + z2 / (4 * size)) / (1 + z2)
    return np.clip(centre - half, 0.0, share), np.clip(centre + half, share, 1.0)


def _bands(risk: FloatArray, churned: FloatArray, medium: float, high: float) -> Bands:
    level = np.asarray(risk >= medium, dtype=np.int64) + (risk >= high)
    rows = []
    for code, name in enumerate(contributions.LEVELS):
        inside = level == code
        n = int(inside.sum())
        if not n:
            rows.append(Band(name, 0, None, None, None, None))
            continue
        lower, upper = wilson(churned[inside].sum(), n)
        predicted, share = float(risk[inside].mean()), float(churned[inside].mean())
        rows.append(Band(name, n, predicted, share, float(lower), float(upper)))
    return Bands(medium, high, True, tuple(rows))
