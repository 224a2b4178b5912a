"""The eight classes of the Chinese literature: each of R, F and M against the population's mean.

M high makes a customer 重要 (important), else 一般 (general); within that, R and F high is 价值
(value), R alone 发展 (to develop), F alone 保持 (to keep), neither 挽留 (to retain). R is high for
a customer who bought recently: days since the last purchase of at most the mean. F and M are high
from the mean on. The scheme has no author; handbooks of customer management share it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray, IntArray

CLASSES8: Final = (
    "important_value",
    "important_develop",
    "important_keep",
    "important_retain",
    "general_value",
    "general_develop",
    "general_keep",
    "general_retain",
)
CLASSES8_ZH: Final = (
    "重要价值", "重要发展", "重要保持", "重要挽留",
    "一般价值", "一般发展", "一般保持", "一般挽留",
)  # fmt: skip


@dataclass(frozen=True)
class Means:
    """The means of a population.

    Attributes
    ----------
    r, f, m : float
        Of days since the last purchase, of purchase days, and of revenue.
    """

    r: float
    f: float
    m: float

    def as_dict(self) -> dict[str, float]:
        """Return plain numbers by name, fit for JSON."""
        return {"r": self.r, "f": self.f, "m": self.m}

    @classmethod
    def from_dict(cls, means: Mapping[str, float]) -> Means:
        """Return the means that `as_dict` described.

        Raises
        ------
        ValueError
            If a name is missing, or a mean not a finite number.
        """
        if set(means) != {"r", "f", "m"}:
            message = "means have the names r, f and m"
            raise ValueError(message)
        values = {name: validation.as_float(name, means[name]) for name in ("r", "f", "m")}
        if not all(np.ndim(value) == 0 and np.isfinite(value) for value in values.values()):
            message = "means must be finite numbers"
            raise ValueError(message)
        return cls(**{name: float(value) for name, value in values.items()})


def fit_means(days_since_last: ArrayLike, purchase_days: ArrayLike, revenue: ArrayLike) -> Means:
    """Return the means of a population, the same for every order of its customers.

    Parameters
    ----------
    days_since_last, purchase_days, revenue : array_like
        One value for each customer with a purchase, shape (n,), ``n >= 1``.

    Raises
    ------
    ValueError
        If there is nobody, shapes differ, or a value is not finite.
    """
    table = columns(days_since_last, purchase_days, revenue)
    if table[0].ndim != 1 or not table[0].size:
        message = "means need one-dimensional columns with at least one customer"
        raise ValueError(message)
    # The mean of equal numbers may miss them by a rounding, and all would be on one side.
    r, f, m = (
        min(max(math.fsum(column) / column.size, float(column.min())), float(column.max()))
        for column in table
    )
    return Means(r=r, f=f, m=m)


def class8(
    days_since_last: ArrayLike, purchase_days: ArrayLike, revenue: ArrayLike, means: Means
) -> IntArray:
    """Return the class of each customer, as an index into `CLASSES8` and `CLASSES8_ZH`.

    Parameters
    ----------
    days_since_last, purchase_days, revenue : array_like
        Of one broadcast shape.
    means : Means
        Of the population to compare with.

    Raises
    ------
    ValueError
        If shapes do not fit, or a value is not finite.
    """
    days, times, money = columns(days_since_last, purchase_days, revenue)
    recent, often, much = days <= means.r, times >= means.f, money >= means.m
    codes = 4 * (1 - np.asarray(much, dtype=np.int64)) + 2 * ~recent + ~often
    return np.asarray(codes, dtype=np.int64)


def columns(
    days_since_last: ArrayLike, purchase_days: ArrayLike, revenue: ArrayLike
) -> tuple[FloatArray, ...]:
    """Return the three columns, checked and of one shape."""
    table = validation.broadcast(
        days_since_last=validation.as_float("days_since_last", days_since_last),
        purchase_days=validation.as_float("purchase_days", purchase_days),
        revenue=validation.as_float("revenue", revenue),
    )
    if not all(np.isfinite(column).all() for column in table):
        message = "days_since_last, purchase_days and revenue must be finite"
        raise ValueError(message)
    return table
