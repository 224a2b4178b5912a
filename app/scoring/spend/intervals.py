r"""Between what the purchases and the lifetime value of a customer, and of many, are likely to lie.

An interval holds what follows in eight of ten cases, and one of ten at most lies below it: where
none at all is as likely, it begins at 0. As purchases are whole, more may lie in it: it says so.

**A customer.** With the served chance ``c`` of any purchase within the horizon, and the ``m`` that
are expected of who makes any,

.. math:: P(N = 0) = 1 - c, \quad N - 1 \mid N > 0 \sim \mathrm{NB}(\kappa, m - 1).

:math:`1 / \kappa` is that of a negative binomial of the customer's own shape ``k`` (of the rate,
given what is known) without its zero: exact where hardly anybody buys twice, where all do, and for
k = 1; in between weighted by ``m``. What windows of the past were off by together, with a standard
deviation ``s`` of the logarithm, widens it to

.. math:: 1 / \kappa' = 1 / \kappa + s^2 (1 + 1 / \kappa).

**Value** of who buys any is lognormal, with the mean that is served and the coefficient of
variation of a sum of so many values: of their number, of each around the customer's mean, and of
that mean, given those seen (Gamma-Gamma), and ``s``.

**A total** adds the variances of customers, and ``s`` of the whole, which no number of them takes
away.

References
----------
Johnson, Kemp and Kotz (2005), Univariate Discrete Distributions, sections 5.11 and 5.12.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray
from app.scoring.spend import quantiles
from app.scoring.spend.quantiles import Ends

USUAL: Final = 0.08
"""Standard deviation between windows that is likeliest beforehand."""

_OPEN: Final = 0.8  # standard deviation of its logarithm beforehand
_FREEDOM: Final = 4
_T_REACH: Final = 1.533 / 1.2816  # of eight of ten, over that of a normal distribution
_GRID: Final = np.geomspace(0.02, 1.2, 48)
_LEAST_LEFT: Final = 0.5  # of the shape of a mean, less 2: at less its variance hardly exists
_LEAST_MEAN: Final = 1e-12


class Interval(NamedTuple):
    """Both ends, and the share of cases that is told to lie between them, all of one shape."""

    low: FloatArray
    high: FloatArray
    held: FloatArray


@dataclass(frozen=True, kw_only=True)
class Between:
    """By how much totals of whole windows are off, beyond the chance of single customers.

    Attributes
    ----------
    sd : float
        Standard deviation of the logarithm of actual over expected, of a normal distribution.
    windows : int
        Windows of the past that it was learnt from; 0: it is what is usual.
    """

    sd: float = USUAL
    windows: int = 0


@dataclass(frozen=True, eq=False)
class Purchases:
    """What is told of the purchases of n customers within a horizon; all of shape (n,).

    Attributes
    ----------
    chance : FloatArray
        Probability of any, as served.
    if_any : FloatArray
        Expected purchases of who makes any, at least 1.
    shape : FloatArray
        Of the gamma distribution of the customer's own rate, given what is known: ``r + x``.
    """

    chance: FloatArray
    if_any: FloatArray
    shape: FloatArray

    @classmethod
    def of(cls, chance: ArrayLike, if_any: ArrayLike, shape: ArrayLike) -> Purchases:
        """Return checked columns.

        Raises
        ------
        ValueError
            If shapes do not fit, a chance is no probability, or another number is negative.
        """
        c, m, k = validation.broadcast(
            chance=validation.non_negative("chance", chance),
            if_any=validation.non_negative("if_any", if_any),
            shape=validation.non_negative("shape", shape),
        )
        if (c > 1).any():
            message = "chance must be a probability"
            raise ValueError(message)
        return cls(c, np.maximum(m, 1.0), np.maximum(k, _LEAST_MEAN))

    @property
    def variance(self) -> FloatArray:
        """Return the variance of the number of purchases, ``s`` apart."""
        own = _variance_if_any(self.if_any, self.shape)
        return _mixed(self.chance, self.if_any, own)


@dataclass(frozen=True, eq=False)
class Values:
    """What is told of the lifetime values of n customers; all of shape (n,) but the last.

    Attributes
    ----------
    chance : FloatArray
        Probability of any purchase within their horizon, as served.
    if_any : FloatArray
        Expected value of who makes any; negative where purchases are sold at a loss.
    count, shape : FloatArray
        As ``if_any`` and ``shape`` of `Purchases`, undiscounted.
    paid : FloatArray
        Purchases that were evidence of what one is worth.
    spend : gamma_gamma.Model
    """

    chance: FloatArray
    if_any: FloatArray
    count: FloatArray
    shape: FloatArray
    paid: FloatArray
    spend: Any

    @property
    def variance(self) -> FloatArray:
        """Return the variance of the values, ``s`` apart."""
        spread = _spread(self.count, self.shape, self.paid, self.spend)
        return _mixed(self.chance, self.if_any, spread * self.if_any**2)


def shape_of(process: Any, x: ArrayLike) -> FloatArray:
    """Return the shape of the gamma distribution of a customer's rate, after ``x`` repeats."""
    params = process.params
    found: FloatArray = params["r"] + params.get("k", 1.0) * np.asarray(x, dtype=np.float64)
    return found


def values(
    purchases: Purchases, each: ArrayLike, paid: ArrayLike, *, discount: float, spend: Any
) -> Values:
    """Return what is told of lifetime values.

    Parameters
    ----------
    purchases : Purchases
        Within their horizon; of ``if_any`` the discounted purchases.
    each : array_like
        Expected value of a purchase, margin included; negative where sold at a loss.
    paid : array_like
        Purchases that were evidence of it, shape (n,).
    discount : float
        By how much a purchase in the middle of the horizon counts less, as a logarithm: at least 0.
    spend : gamma_gamma.Model
    """
    return Values(
        purchases.chance,
        purchases.if_any * np.asarray(each),
        np.maximum(purchases.if_any * math.exp(discount), 1.0),
        purchases.shape,
        np.asarray(paid, dtype=np.float64),
        spend,
    )


def of_purchases(told: Purchases, between: Between) -> Interval:
    """Return the interval of the purchases of each customer: whole numbers."""
    shared, ends = between.sd**2, []
    for chance, if_any, shape in _rows(told.chance, told.if_any, told.shape):
        own = _dispersion(if_any, shape)
        ends.append(quantiles.purchases(chance, if_any - 1, own + shared * (1 + own)))
    return _interval(ends)


def of_values(told: Values, between: Between) -> Interval:
    """Return the interval of the lifetime value of each customer, in the money of the values."""
    shared, ends = between.sd**2, []
    rows = _rows(told.chance, told.if_any, told.count, told.shape, told.paid)
    for chance, if_any, count, shape, paid in rows:
        own = math.log1p(_spread(count, shape, paid, told.spend))
        ends.append(quantiles.amount(chance, if_any, math.sqrt(own + shared)))
    return _interval(ends)


def of_total(total: float, variance: float, between: Between) -> tuple[float, float]:
    """Return the interval of a total of many.

    Parameters
    ----------
    total, variance : float
        Sums of what is expected of each, and of the variances.
    """
    if total == 0:
        return 0.0, 0.0
    alone = math.log1p(variance / total**2)
    middle = total * math.exp(-alone / 2)
    reach = math.exp(quantiles.REACH * math.sqrt(alone + between.sd**2))
    low, high = sorted((middle / reach, middle * reach))
    return low, high


def of_purchase_total(total: float, variance: float, between: Between) -> tuple[float, float]:
    """Return the interval of a total of purchases, whole numbers; arguments as for `of_total`."""
    if total > quantiles.MANY:
        low, high = of_total(total, variance, between)
        return math.floor(low), math.ceil(high)
    wide = max((variance - total) / max(total, _LEAST_MEAN) ** 2, 0.0) + between.sd**2
    return quantiles.count(total, wide)[:2]


def between_windows(actual: ArrayLike, expected: ArrayLike, variance: ArrayLike) -> Between:
    """Return by how much windows of the past were off together.

    Parameters
    ----------
    actual, expected : array_like
        Purchases made in each window, and told at its start from what was known then, shape (w,).
    variance : array_like
        Of the first by the chance of single customers, shape (w,).

    Returns
    -------
    Between
        The posterior mean, of the square; of no window what is usual.

    Raises
    ------
    ValueError
        If shapes do not fit, or a number is negative or not finite.
    """
    made, told, own = validation.broadcast(
        actual=validation.non_negative("actual", actual),
        expected=validation.non_negative("expected", expected),
        variance=validation.non_negative("variance", variance),
    )
    off = np.log((made + 0.5) / (told + 0.5))
    size = _GRID[:, None] ** 2 + own / (told + 0.5) ** 2
    log_weight = -0.5 * (np.log(_GRID / USUAL) / _OPEN) ** 2
    # Student's t: one window in which nothing could be bought says little of all others.
    far = (_FREEDOM + 1) * np.log1p(off**2 * _T_REACH**2 / (_FREEDOM * size))
    log_weight -= 0.5 * (np.log(size) + far).sum(axis=1)
    weight = np.exp(log_weight - log_weight.max())
    return Between(sd=math.sqrt(float(weight @ _GRID**2 / weight.sum())), windows=off.size)


def _dispersion(if_any: Any, shape: Any) -> Any:
    r"""Return :math:`1 / \kappa`, of numbers or of arrays."""
    few = if_any ** -(shape * (shape < 1) + (shape >= 1))
    return few * (shape + 5) / (3 * (shape + 1)) + (1 - few) / shape


def _variance_if_any(if_any: Any, shape: Any) -> Any:
    """Return the variance of the number of purchases of who makes any."""
    more = if_any - 1
    return more + more**2 * _dispersion(if_any, shape)


def _spread(count: Any, shape: Any, paid: Any, spend: Any) -> Any:
    """Return the squared coefficient of variation of what is spent by who buys any."""
    left = spend.q + spend.p * paid - 2
    of_mean = 1 / (left * (left > _LEAST_LEFT) + _LEAST_LEFT * (left <= _LEAST_LEFT))
    of_count = _variance_if_any(count, shape) / count**2
    return of_count + (1 + of_mean) / (count * spend.p) + of_mean


def _mixed(chance: FloatArray, mean: FloatArray, variance: FloatArray) -> FloatArray:
    """Return the variance of what is 0 but for a chance."""
    return chance * (variance + (1 - chance) * mean**2)


def _rows(*columns: FloatArray) -> Iterator[tuple[float, ...]]:
    # For the few of an answer, numbers cost less than arrays.
    return zip(*(column.tolist() for column in columns), strict=True)


def _interval(ends: list[Ends]) -> Interval:
    return Interval(*np.array(ends, dtype=np.float64).reshape(-1, 3).T)
