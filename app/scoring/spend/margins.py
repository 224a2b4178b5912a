r"""Margin rates of customers, shrunk to that of the population.

Of a customer whose purchases that carry a margin were worth :math:`w` and left a margin :math:`m`,
the rate is

.. math:: \hat\rho = \frac{m + k \mu}{w + k}, \quad k = \sigma^2 / \tau^2,

with :math:`\mu` the rate of all together, :math:`\sigma^2` the variance of the rate of one unit of
revenue within customers and :math:`\tau^2` that of rates between them: the credibility of Buehlmann
and Straub, revenue being the weight. Margins may be negative, and so may rates.

Where rates do not differ more than chance allows, or nobody has two such purchases to tell by,
``k`` is infinite: everybody has the rate of all.

References
----------
Buehlmann and Straub (1970), Glaubwuerdigkeit fuer Schadensaetze, Bulletin of the Swiss Association
of Actuaries 70, 111-133. Buehlmann and Gisler (2005), A Course in Credibility Theory, section 4.8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray


@dataclass(frozen=True)
class MarginRates:
    """What is learnt of margins.

    Attributes
    ----------
    rate : float
        Of all revenue that carries a margin, a share; may be negative, or above 1.
    prior_revenue : float
        ``k``: the revenue at which a customer's own rate counts half; may be infinite.
    customers : int
        Those with a purchase that carries a margin.
    """

    rate: float
    prior_revenue: float
    customers: int

    def of(self, revenue: ArrayLike, margin: ArrayLike) -> FloatArray:
        """Return the rate of each customer, of the broadcast shape.

        Parameters
        ----------
        revenue, margin : array_like
            Of the purchases that carry a margin, 0 and 0 without any, in one currency.

        Raises
        ------
        ValueError
            If shapes do not fit, a revenue is negative or a number not finite.
        """
        w, m = validation.broadcast(
            revenue=validation.non_negative("revenue", revenue),
            margin=validation.finite("margin", margin),
        )
        if math.isinf(self.prior_revenue):
            return np.full_like(w, self.rate)
        weight = w + self.prior_revenue
        own = np.divide(m - self.rate * w, weight, out=np.zeros_like(w), where=weight > 0)
        return self.rate + own


def fit(
    purchases: ArrayLike, revenue: ArrayLike, margin: ArrayLike, squares: ArrayLike
) -> MarginRates | None:
    """Learn from the purchases with a positive value that carry a margin.

    Parameters
    ----------
    purchases : array_like
        How many each customer has, whole, at least 1, shape (n,).
    revenue, margin : array_like
        Their value and margin together, shape (n,).
    squares : array_like
        The sum of ``margin^2 / value`` of each, shape (n,).

    Returns
    -------
    MarginRates or None
        None where nobody has any.

    Raises
    ------
    ValueError
        If shapes do not fit, or a number is out of its range.
    """
    n, w, m, square = validation.broadcast(
        purchases=validation.counts("purchases", purchases),
        revenue=validation.non_negative("revenue", revenue),
        margin=validation.finite("margin", margin),
        squares=validation.non_negative("squares", squares),
    )
    some = (n > 0) & (w > 0)
    n, w, m, square = n[some], w[some], m[some], square[some]
    if not n.size:
        return None
    total = float(w.sum())
    rate = float(m.sum()) / total
    return MarginRates(rate, _prior_revenue(n, w, m, square, rate), int(n.size))


def _prior_revenue(
    n: FloatArray, w: FloatArray, m: FloatArray, square: FloatArray, rate: float
) -> float:
    total, repeats = float(w.sum()), float((n - 1).sum())
    # Weights of one part that is next to everything leave nothing to compare.
    spread = total - float((w * w).sum()) / total
    if repeats <= 0 or n.size < 2 or spread <= 0:
        return math.inf
    own = m / w
    within = float(np.maximum(square - m * own, 0.0).sum()) / repeats
    between = float((w * (own - rate) ** 2).sum()) - (n.size - 1) * within
    return within * spread / between if between > 0 else math.inf
