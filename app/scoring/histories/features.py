"""What is known of a customer at one day that tells whether another purchase will come.

`Features` are columns that can be kept for each customer as facts arrive, so that one customer's
score and a batch read the same numbers. `features_at` builds them from a log as at any day: no fact
after that day is looked at, which is what makes a past day a fair place to learn from.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring.histories.purchase_days import in_parts, purchase_columns
from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray, IntArray
from app.scoring.numerics.growing import Columns, growing

CONTACT: Final = 0
COMPLAINT: Final = 1
COMPLAINT_DAYS: Final = 90
RECENT: Final = 3  # gaps and values kept one by one

_NO_ROWS: Final[tuple[int, ...]] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Facts:
    """A log of what happened, in any order of rows, days being whole numbers.

    A refund that is known to name its purchase is no row, but ends that of the purchase: with
    ``since`` and ``until``, a purchase refunded in part has a row for each of the values that it
    had, and one refunded in full a last row that ends.

    Attributes
    ----------
    customer, day, amount : array_like
        Purchases, and refunds as negative amounts, as `purchase_summary.summarise` takes them,
        shape (n,).
    since, until : array_like, optional
        The days from which on, and before which, each row counts, shape (n,), both or neither.
        By default it counts from its own day on.
    refund_customer, refund_day : array_like, optional
        Refunds to be counted, shape (m,). By default the rows with a negative amount are.
    contact_customer, contact_day, contact_kind, contact_score : array_like
        Interactions: of whom, when, `CONTACT` or `COMPLAINT`, and the score of a survey in
        [0, 1], NaN where there is none, shape (k,).
    """

    customer: ArrayLike
    day: ArrayLike
    amount: ArrayLike
    since: ArrayLike | None = None
    until: ArrayLike | None = None
    refund_customer: ArrayLike | None = None
    refund_day: ArrayLike | None = None
    contact_customer: ArrayLike = _NO_ROWS
    contact_day: ArrayLike = _NO_ROWS
    contact_kind: ArrayLike = _NO_ROWS
    contact_score: ArrayLike = _NO_ROWS

    def of(self, customers: NDArray[Any]) -> Facts:
        """Return the facts of some customers, given by their codes, ascending."""
        parts: dict[str, Any] = {}
        for group in (_TRADES, ("refund_customer", "refund_day"), _CONTACTS):
            columns = [getattr(self, name) for name in group]
            if columns[0] is None:
                continue
            _, kept = _rows_of(customers, np.asarray(columns[0]))
            for name, column in zip(group, columns, strict=True):
                parts[name] = None if column is None else np.asarray(column)[kept]
        return dataclasses.replace(self, **parts)

    def log(self, as_of: int) -> tuple[ArrayLike, ArrayLike, ArrayLike]:
        """Return customer, day and amount of the rows that count at a day; later ones may follow.

        Parameters
        ----------
        as_of : int
            The last day whose facts are known.
        """
        columns = self.customer, self.day, self.amount
        if self.since is None or self.until is None:
            return columns
        features = (np.asarray(self.since) <= as_of) & (np.asarray(self.until) > as_of)
        customer, day, amount = (np.asarray(column)[features] for column in columns)
        return customer, day, amount


_TRADES: Final = ("customer", "day", "amount", "since", "until")
_CONTACTS: Final = ("contact_customer", "contact_day", "contact_kind", "contact_score")


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """Columns of customers with a purchase; float64, in days, NaN unknown, all shape (n,).

    Attributes
    ----------
    x, t_x, T : FloatArray
        Repeat purchase days, days from the first to the last, days from the first to now.
    sum_log_gaps : FloatArray
        Sum of the logarithms of the gaps between purchase days.
    gap_1, gap_2, gap_3 : FloatArray
        The last gap between purchase days, the one before it, and the one before that.
    value_1, value_2, value_3 : FloatArray
        What the last purchase day was worth net of refunds, the one before it, and so on.
    mean_value : FloatArray
        Mean net value of all purchase days.
    refunds : FloatArray
        Refunds so far, of every kind.
    complaints : FloatArray
        Complaints in the last `COMPLAINT_DAYS` days.
    satisfaction : FloatArray
        Last score of a survey, in [0, 1].
    contact_silence : FloatArray
        Days since the last interaction.
    """

    x: FloatArray
    t_x: FloatArray
    T: FloatArray
    sum_log_gaps: FloatArray
    gap_1: FloatArray
    gap_2: FloatArray
    gap_3: FloatArray
    value_1: FloatArray
    value_2: FloatArray
    value_3: FloatArray
    mean_value: FloatArray
    refunds: FloatArray
    complaints: FloatArray
    satisfaction: FloatArray
    contact_silence: FloatArray

    @classmethod
    def of(cls, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, **features: ArrayLike) -> Features:
        """Return checked columns; those not given are unknown, counts 0.

        Raises
        ------
        ValueError
            If a history is not possible, a column is unknown to the class, infinite, negative or
            of another length.
        """
        x_, t_, T_ = (np.atleast_1d(column) for column in validation.history(x, t_x, T))
        columns = {"x": x_, "t_x": t_, "T": T_}
        for field in dataclasses.fields(cls)[len(columns) :]:
            default = 0.0 if field.name in COUNTS else np.nan
            column = validation.as_float(field.name, features.pop(field.name, default))
            low = -np.inf if field.name == "sum_log_gaps" else 0.0
            if np.isinf(column).any() or (np.asarray(column) < low).any():
                message = f"{field.name} must be finite and not negative, or NaN"
                raise ValueError(message)
            columns[field.name] = np.broadcast_to(column, x_.shape)
        if features:
            message = f"there is no column {', '.join(features)}"
            raise ValueError(message)
        return cls(**columns)

    def __len__(self) -> int:
        return self.x.size

    def take(self, rows: Any) -> Features:
        """Return some of the customers, by index or mask."""
        return Features(**{name: column[rows] for name, column in vars(self).items()})

    def recent(self, name: str) -> FloatArray:
        """Return the mean of the last gaps or values, the latest counting most; NaN without any.

        Parameters
        ----------
        name : str
            ``gap`` or ``value``.
        """
        total, weight = np.zeros(len(self)), np.zeros(len(self))
        for back in range(RECENT):
            column = getattr(self, f"{name}_{back + 1}")
            seen = ~np.isnan(column)
            share = 2 * (RECENT - back) / (RECENT * (RECENT + 1))  # they add up to 1: no overflow
            total += np.where(seen, share * column, 0.0)
            weight += np.where(seen, share, 0.0)
        unknown = np.full(len(self), np.nan)
        mean: FloatArray = np.divide(total, weight, out=unknown, where=weight > 0)
        return mean


COUNTS: Final = ("refunds", "complaints")


def features_at(facts: Facts, *, as_of: int) -> tuple[NDArray[Any], Features]:
    """Return the customers with a purchase up to a day, and what was known of them then.

    Parameters
    ----------
    facts : Facts
    as_of : int
        The last day that counts.

    Returns
    -------
    customer : NDArray
        Their codes, ascending, shape (n,).
    features : Histories
        The same for every order of the rows.

    Raises
    ------
    ValueError
        As for `purchase_summary.summarise`.
    """
    found: Columns | None = None
    for seen in in_parts(*facts.log(as_of), as_of=as_of):
        some = purchase_columns(seen, as_of, recent=RECENT)
        found = growing(found, {"who": seen.customer, **some})
    assert found is not None
    who = found.arrays.pop("who")
    if facts.refund_customer is None or facts.refund_day is None:
        back = np.asarray(facts.amount) < 0
        refunds = np.asarray(facts.customer)[back], np.asarray(facts.day)[back]
    else:
        refunds = np.asarray(facts.refund_customer), np.asarray(facts.refund_day)
    rows, _ = _rows_of(who, refunds[0][refunds[1] <= as_of])
    return who, Features(
        **found.arrays,
        refunds=np.bincount(rows, minlength=who.size).astype(np.float64),
        **_contacts(facts, who, as_of),
    )


def _contacts(facts: Facts, who: NDArray[Any], as_of: int) -> dict[str, FloatArray]:
    """Return the columns that interactions make."""
    customer, day, kind, score = (np.asarray(getattr(facts, name)) for name in _CONTACTS)
    seen = day <= as_of
    rows, kept = _rows_of(who, customer[seen])
    day, kind = day[seen][kept], kind[seen][kept]
    score = score[seen][kept].astype(np.float64)
    complained = (kind == COMPLAINT) & (day > as_of - COMPLAINT_DAYS)
    last, _ = _last_day(rows, day, who.size)
    scored = ~np.isnan(score)
    _, latest = _last_day(rows[scored], day[scored], who.size)
    at = rows[scored][latest]
    total = np.bincount(at, weights=score[scored][latest], minlength=who.size)
    n = np.bincount(at, minlength=who.size)
    return {
        "complaints": np.bincount(rows[complained], minlength=who.size).astype(np.float64),
        # Several answers of one day have no order: their mean counts.
        "satisfaction": np.divide(total, n, out=np.full(who.size, np.nan), where=n > 0),
        "contact_silence": as_of - last,
    }


def _last_day(rows: IntArray, day: IntArray, size: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the last day of each customer, NaN without any, and the rows of it."""
    last = np.full(size, -np.inf)
    np.maximum.at(last, rows, day)
    return np.where(np.isfinite(last), last, np.nan), day == last[rows]


def _rows_of(who: NDArray[Any], codes: NDArray[Any]) -> tuple[IntArray, NDArray[np.bool_]]:
    """Return where the known ones among some codes stand in ``who``, and which are known."""
    if not who.size or not codes.size:
        return np.zeros(0, dtype=np.int64), np.zeros(codes.size, dtype=bool)
    at = np.minimum(np.searchsorted(who, codes), who.size - 1)
    features = who[at] == codes
    return at[features], features
