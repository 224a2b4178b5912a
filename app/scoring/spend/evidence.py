r"""Which purchases tell what a customer's next ones are worth: all, or the repeat ones alone.

The first purchase may be an offer to newcomers that says nothing of later ones, or the only thing
that is known of most customers. What foretold later values better decides: the deviance of the mean
value of each customer's later purchase days from the one that the Gamma-Gamma model expects by
either evidence of the days before, paired by customer. All purchases count unless the repeat ones
alone were better by more than `CLEARLY` standard errors, a `NEGLIGIBLE` share and `IMMATERIAL`: a
fact is not thrown away for want of proof, nor where all cost the same and rounding decides.

The gamma deviance :math:`2 (y/\mu - 1 - \log(y/\mu))` is least at the mean and knows no unit. The
absolute error is least at the median, and would reward an offer to newcomers for telling too
little; the density of the values judges the shape of the model, where only its mean is used.

The last days of the history are held out. Where too few purchased in them, the repeat days of each
customer are foretold from the first; where too few purchased again at all, nothing is compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import BoolArray, FloatArray, IntArray
from app.scoring.numerics.growing import Columns, growing
from app.scoring.spend import gamma_gamma

Kind: TypeAlias = Literal["all_purchases", "repeat_purchases"]
Basis: TypeAlias = Literal["holdout", "first_to_repeat", "thin_data"]

ALL: Final[Kind] = "all_purchases"
REPEAT: Final[Kind] = "repeat_purchases"
MIN_HELD_OUT: Final = 30
MIN_REPEATERS: Final = 10
CLEARLY: Final = 2.0  # standard errors
NEGLIGIBLE: Final = 1e-3  # of the deviance by all purchases
IMMATERIAL: Final = 1e-6  # a deviance, which knows no unit: of values foretold to a thousandth

Days: TypeAlias = tuple[IntArray, FloatArray]
"""Of each customer, how many days with a positive value, and their mean."""


Part: TypeAlias = tuple[IntArray, IntArray, FloatArray]
"""Where the days of each customer begin, purchase days, and what each was worth."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What counts as evidence of spend, and why.

    Attributes
    ----------
    evidence : str
        ``all_purchases`` or ``repeat_purchases``.
    basis : str
        ``holdout``, ``first_to_repeat`` or ``thin_data``: nothing was compared.
    holdout_days : int
        Days held out, 0 if none were.
    customers : int
        Whose later purchases were foretold.
    deviance_all, deviance_repeat : float
        Mean gamma deviance of what followed from what either evidence expected; NaN without any.
    behind, behind_error : float
        The second minus the first, and its standard error, paired by customer.
    """

    evidence: Kind = ALL
    basis: Basis = "thin_data"
    holdout_days: int = 0
    customers: int = 0
    deviance_all: float = math.nan
    deviance_repeat: float = math.nan
    behind: float = math.nan
    behind_error: float = math.nan


def choose(
    start: IntArray, day: IntArray, value: ArrayLike, *, as_of: int, holdout: int
) -> Evidence:
    """Return which purchases are to count.

    Parameters
    ----------
    start : IntArray
        Where the days of each customer begin, shape (n,), as `purchase_days` has them.
    day, value : array_like
        Purchase days, ascending by customer, and what each was worth, shape (days,).
    as_of : int
        The last day that counts; none lies after it.
    holdout : int
        Days to hold out; a third of the history at most.

    Raises
    ------
    ValueError
        If a value is negative or not finite.
    """
    if not day.size:
        return Evidence()
    parts = [(start, day, validation.non_negative("value", value))]
    first_day = int(day.min())
    return choose_in_parts(lambda: parts, first_day=first_day, as_of=as_of, holdout=holdout)


def choose_in_parts(
    parts: Callable[[], Iterable[Part]], *, first_day: int, as_of: int, holdout: int
) -> Evidence:
    """Return the same for purchase days that come in parts, of some customers after the other.

    Parameters
    ----------
    parts : callable
        Returns the parts, from the beginning each time: they are too much to be kept.
    first_day : int
        The first purchase day of all.
    as_of, holdout : int
        As for `choose`.
    """
    held = min(holdout, (as_of - first_day) // 3)
    if held > 0:
        later, past, repeats, known = _gathered(parts, partial(_held_out, as_of - held))
        used = (known[0] > 0) & (later[0] > 0)
        if used.sum() >= MIN_HELD_OUT:
            return _compare((past, repeats), (past, repeats), later, used, "holdout", held)
    everything, repeats, first, nothing = _gathered(parts, _first_and_repeat)
    used = repeats[0] > 0
    if used.sum() < MIN_REPEATERS:
        return Evidence()
    fitted_to, past_of = (everything, repeats), (first, nothing)
    return _compare(fitted_to, past_of, repeats, used, "first_to_repeat", 0)


def _held_out(last: int, seen: _Seen, day: IntArray) -> list[Days]:
    """Return what came after a day, before it, again before it, and whether anything did."""
    before = day <= last
    known = np.add.reduceat(before.astype(np.int64), seen.start) if day.size else seen.start
    of = [_days(seen, rows) for rows in (~before, before, before & ~seen.first)]
    return [*of, (known, np.zeros(known.size))]


def _first_and_repeat(seen: _Seen, day: IntArray) -> list[Days]:
    """Return all that came, what came again, what came first, and nothing."""
    del day
    first = seen.first
    return [_days(seen, rows) for rows in (first | True, ~first, first, first & False)]


def _gathered(
    parts: Callable[[], Iterable[Part]], days_of: Callable[[_Seen, IntArray], list[Days]]
) -> list[Days]:
    """Return what is told of the days of each part, of all customers."""
    found: Columns | None = None
    for start, day, value in parts():
        of = days_of(_Seen(start, value), day)
        found = growing(found, {f"{i}.{j}": column for i, days in enumerate(of)
                                for j, column in enumerate(days)})  # fmt: skip
    assert found is not None
    columns = iter(found.arrays.values())
    return list(zip(columns, columns, strict=True))


def _compare(
    fitted_to: tuple[Days, Days],
    past: tuple[Days, Days],
    later: Days,
    used: BoolArray,
    basis: Basis,
    held: int,
) -> Evidence:
    """Foretell what followed from what was known before, by all purchases and by repeat ones."""
    value, losses = later[1][used], []
    for to, known in zip(fitted_to, past, strict=True):
        expected = gamma_gamma.fit(*to).expected_value(known[0][used], known[1][used])
        losses.append(2 * (value / expected - 1 - np.log(value / expected)))
    gap = losses[1] - losses[0]
    behind, error = float(gap.mean()), float(gap.std(ddof=1)) / math.sqrt(gap.size)
    deviance = float(losses[0].mean())
    worse = behind < -max(CLEARLY * error, NEGLIGIBLE * deviance, IMMATERIAL)
    return Evidence(
        evidence=REPEAT if worse else ALL,
        basis=basis,
        holdout_days=held,
        customers=int(used.sum()),
        deviance_all=deviance,
        deviance_repeat=float(losses[1].mean()),
        behind=behind,
        behind_error=error,
    )


def of_days(kind: Kind, start: IntArray, value: ArrayLike) -> Days:
    """Return what counts of each customer's purchase days; arguments and errors as for `choose`."""
    seen = _Seen(start, validation.non_negative("value", value))
    return _days(seen, ~seen.first if kind == REPEAT else seen.first | True)


def of_totals(
    kind: Kind, revenue: FloatArray, first_day_value: FloatArray, paid_days: IntArray
) -> Days:
    """Return what counts of customers: days with a positive value, and their mean, shape (n,) each.

    Parameters
    ----------
    kind : str
        ``all_purchases`` or ``repeat_purchases``.
    revenue, first_day_value : FloatArray
        Value of all purchase days together, and of the first one.
    paid_days : IntArray
        Purchase days with a positive value.
    """
    paid, value = np.asarray(paid_days), np.asarray(revenue, dtype=np.float64)
    if kind == REPEAT:
        paid = paid - (np.asarray(first_day_value) > 0)
        value = value - first_day_value
    return paid, np.where(paid > 0, np.maximum(value, 0.0) / np.maximum(paid, 1), 0.0)


@dataclass(frozen=True)
class _Seen:
    """Purchase days by customer."""

    start: IntArray
    value: FloatArray

    @property
    def first(self) -> BoolArray:
        first = np.zeros(self.value.size, dtype=bool)
        first[self.start] = True
        return first


def _days(seen: _Seen, rows: BoolArray) -> Days:
    """Return the days of each customer among some rows that were worth anything."""
    if not seen.start.size:
        return seen.start, np.zeros(0)
    some = rows & (seen.value > 0)
    count = np.add.reduceat(some.astype(np.int64), seen.start)
    total = np.add.reduceat(np.where(some, seen.value, 0.0), seen.start)
    return count, np.divide(total, count, out=np.zeros(count.size), where=count > 0)
