"""The horizon of churn risk that the data suggest: how long a silence is still usual.

Of the gaps between purchase days, four in five are no longer than the 80th percentile: whoever
stays silent for longer is out of the ordinary. The round number of days closest to it, by their
ratio, is the horizon, so that a few more facts do not move it. It is never more than half of the
history, or the shortest of the round numbers: what is foretold must have been seen twice. Fewer
than `MIN_GAPS` gaps suggest nothing.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring.histories.purchase_days import purchase_days
from app.scoring.numerics import validation

HORIZONS: Final = (30, 60, 90, 180, 365)
SHARE: Final = 0.8
MIN_GAPS: Final = 30


def suggested_horizon(gaps: ArrayLike, *, history: float) -> int | None:
    """Return one of `HORIZONS`, in days, by the rule of the module; None without enough gaps.

    Parameters
    ----------
    gaps : array_like
        Days between purchase days, of all customers together, positive, shape (n,).
    history : float
        Days from the first fact to the last, at least 0.

    Raises
    ------
    ValueError
        If a gap is not positive, or the history negative or not finite.
    """
    length = np.asarray(validation.non_negative("gaps", gaps))
    if length.ndim != 1 or (length <= 0).any():
        message = "gaps must be one-dimensional and positive"
        raise ValueError(message)
    most = validation.non_negative_number("history", history) / 2
    if length.size < MIN_GAPS:
        return None
    usual = float(np.quantile(length, SHARE))
    allowed = [days for days in HORIZONS if days <= most] or [HORIZONS[0]]
    nearest = min(HORIZONS, key=lambda days: abs(math.log(days / usual)))
    return min(nearest, allowed[-1])


def gaps_of(
    customer: ArrayLike, day: ArrayLike, amount: ArrayLike, *, as_of: int
) -> NDArray[np.int64]:
    """Return the days between consecutive purchase days of each customer, all together.

    Arguments and errors as for `purchase_summary.summarise`.
    """
    seen = purchase_days(customer, day, amount, as_of=as_of)
    later = np.ones(seen.day.size, dtype=bool)
    later[seen.start] = False
    gaps: NDArray[np.int64] = np.diff(seen.day, prepend=seen.day[:1])[later]
    return gaps
