"""Recency, frequency and monetary scores against stored cuts, and the groups they make.

A score is 1 + the number of stored cuts strictly below the value, recency counting on minus the
days since the last purchase. So equal values score alike, the scale is 1..5 whatever the data,
a score may be empty, and a customer's score depends on the cuts alone, not on who else is scored.

Groups look at R and at FM, the mean of F and M, of which a half does not count: two small orders
that the cuts of F score highly make no champion. Their names are the field's, save those that are
words of stages or flags here (loyal, new, potential, at risk).

Beside them stand the eight classes of `app.scoring.rfm.eight_classes`, which compare with means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray, IntArray
from app.scoring.rfm.eight_classes import CLASSES8, CLASSES8_ZH, Means, class8, columns, fit_means

__all__ = [
    "CLASSES8",
    "CLASSES8_ZH",
    "FEW_CLASSES",
    "GROUPS",
    "Cuts",
    "Means",
    "class8",
    "classes",
    "fit_cuts",
    "fit_means",
    "fm",
    "groups",
    "score",
]

GROUPS: Final = (
    "champions",
    "regulars",
    "rising",
    "recent",
    "promising",
    "need_attention",
    "about_to_sleep",
    "cant_lose_them",
    "slipping",
    "hibernating",
)
FEW_CLASSES: Final = 3
"""Fewer classes than this tell customers apart too little to speak of scores."""

# The group of each cell: a row for each R from 1 to 5, in it each FM from 1 to 5.
_GROUP_OF: Final = np.array(
    [
        [9, 9, 8, 8, 7],
        [9, 9, 8, 8, 7],
        [6, 6, 5, 1, 1],
        [4, 2, 2, 1, 1],
        [3, 2, 2, 0, 0],
    ]
)
_QUINTILES: Final = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True, eq=False)
class Cuts:
    """The cuts of a population: four ascending values each.

    Attributes
    ----------
    r, f, m : FloatArray
        Shape (4,): on minus days since the last purchase, on purchase days, on revenue.
    """

    r: FloatArray
    f: FloatArray
    m: FloatArray

    def as_dict(self) -> dict[str, list[float]]:
        """Return plain lists by name, fit for JSON."""
        return {"r": self.r.tolist(), "f": self.f.tolist(), "m": self.m.tolist()}

    @classmethod
    def from_dict(cls, cuts: Mapping[str, Sequence[float]]) -> Cuts:
        """Return the cuts that `as_dict` described.

        Raises
        ------
        ValueError
            If a name is missing, or there are not four ascending finite values each.
        """
        if set(cuts) != {"r", "f", "m"}:
            message = "cuts have the names r, f and m"
            raise ValueError(message)
        arrays = {name: validation.as_float(name, cuts[name]) for name in ("r", "f", "m")}
        for name, array in arrays.items():
            if array.shape != (4,) or not (
                np.isfinite(array).all() and (np.diff(array) >= 0).all()
            ):
                message = f"cuts of {name} must be four ascending finite numbers"
                raise ValueError(message)
        return cls(**arrays)

    def most_classes(self) -> dict[str, int]:
        """Return into how many classes the cuts can part anybody, by the names r, f and m."""
        return {name: 1 + len(np.unique(getattr(self, name))) for name in ("r", "f", "m")}

    def replaced(self, given: Mapping[str, Sequence[float]]) -> Cuts:
        """Return the cuts with those of some dimensions in the place of their own.

        Raises
        ------
        ValueError
            If a name is none of r, f and m, or there are not four ascending finite values each.
        """
        return Cuts.from_dict({**self.as_dict(), **given})


def fit_cuts(days_since_last: ArrayLike, purchase_days: ArrayLike, revenue: ArrayLike) -> Cuts:
    """Return the quintile cuts of a population.

    A cut is the least observed value that at least 20, 40, 60 or 80 % do not exceed; where ties
    are many, cuts coincide and scores stay empty.

    Parameters
    ----------
    days_since_last, purchase_days, revenue : array_like
        One value for each customer with a purchase, shape (n,), ``n >= 1``.

    Raises
    ------
    ValueError
        If there is nobody, shapes differ, or a value is not finite.
    """
    columns = _columns(days_since_last, purchase_days, revenue)
    if columns[0].ndim != 1 or not columns[0].size:
        message = "cuts need one-dimensional columns with at least one customer"
        raise ValueError(message)
    r, f, m = (np.quantile(column, _QUINTILES, method="inverted_cdf") for column in columns)
    return Cuts(r=r, f=f, m=m)


def score(
    cuts: Cuts, days_since_last: ArrayLike, purchase_days: ArrayLike, revenue: ArrayLike
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the scores R, F and M, each 1 (worst) to 5.

    Parameters
    ----------
    cuts : Cuts
        Of the population to compare with.
    days_since_last, purchase_days, revenue : array_like
        Of one broadcast shape.

    Returns
    -------
    r, f, m : IntArray
        Of the broadcast shape.

    Raises
    ------
    ValueError
        If shapes do not fit, or a value is not finite.
    """
    columns = _columns(days_since_last, purchase_days, revenue)
    r, f, m = (
        1 + np.searchsorted(at, column)
        for at, column in zip((cuts.r, cuts.f, cuts.m), columns, strict=True)
    )
    return r, f, m


def fm(f: ArrayLike, m: ArrayLike) -> IntArray:
    """Return the mean of F and M of each customer, rounded down: 1 (worst) to 5.

    Raises
    ------
    ValueError
        If a score is not one of 1..5, or shapes do not fit.
    """
    scored = _scores(f=f, m=m)
    return np.asarray((scored["f"] + scored["m"]) // 2)


def groups(r: ArrayLike, f: ArrayLike, m: ArrayLike) -> IntArray:
    """Return the group of each triple of scores, as an index into `GROUPS`.

    Raises
    ------
    ValueError
        If a score is not one of 1..5, or shapes do not fit.
    """
    scored = _scores(r=r, f=f, m=m)
    return _GROUP_OF[scored["r"] - 1, fm(scored["f"], scored["m"]) - 1]


def classes(
    cuts: Cuts, days_since_last: ArrayLike, purchase_days: ArrayLike, revenue: ArrayLike
) -> dict[str, int]:
    """Return into how many classes cuts part a population, by the names r, f and m.

    Many ties leave fewer than five: of customers who all purchased once, F makes one class.

    Raises
    ------
    ValueError
        If shapes do not fit, or a value is not finite.
    """
    scored = score(cuts, days_since_last, purchase_days, revenue)
    return {name: len(np.unique(each)) for name, each in zip(("r", "f", "m"), scored, strict=True)}


def _columns(
    days: ArrayLike, purchase_days: ArrayLike, revenue: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the three columns with more meaning better, checked."""
    silence, times, money = columns(days, purchase_days, revenue)
    return -silence, times, money


def _scores(**scores: ArrayLike) -> dict[str, IntArray]:
    named = {name: validation.counts(name, each) for name, each in scores.items()}
    shaped = validation.broadcast(**named)
    if any(np.any((each < 1) | (each > 5)) for each in shaped):
        message = "scores are 1 to 5"
        raise ValueError(message)
    return {name: each.astype(np.int64) for name, each in zip(named, shaped, strict=True)}
