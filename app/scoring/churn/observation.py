"""What can be seen at a past day, and what followed it: the windows that everything is learnt from.

A *landmark* is a past day with the customers known by then, described by facts up to that day, a
model of purchases fitted to those facts included, and labelled by whether they bought in the
window after it. Nothing later is looked at.

At most `CUSTOMERS` customers, drawn at random, are learnt from: more would change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.scoring.churn import contributions
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.churn.design import Scales, design
from app.scoring.histories.features import Facts, Features, features_at
from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray
from app.scoring.purchases.registry import MODELS

CUSTOMERS: Final = 100_000


@dataclass(frozen=True, eq=False)
class Landmark:
    """Customers as they were at one day, and what they did after it.

    Attributes
    ----------
    day, window : int
    customer : NDArray
        Codes, ascending, shape (n,).
    features : Features
    process : PurchaseModel
        Fitted to ``features``; None where none was.
    churned : FloatArray
        1 where no purchase followed in the window, else 0, shape (n,).
    """

    day: int
    window: int
    customer: NDArray[Any]
    features: Features
    process: Any
    churned: FloatArray

    @property
    def end(self) -> int:
        """The last day of the window."""
        return self.day + self.window

    def design(self, scales: Scales) -> FloatArray:
        """Return the features."""
        return design(self.features, self.process, scales, window=self.window)


def observe(facts: Facts, day: int, window: int) -> Landmark:
    """Return a landmark without a process: facts up to ``day``, outcomes up to its end."""
    customer, features = features_at(facts, as_of=day)
    return Landmark(day, window, customer, features, None, churned(facts, customer, day, window))


def churned(facts: Facts, customer: NDArray[Any], day: int, window: int) -> FloatArray:
    """Return 1 for those of some customers without a purchase in a window, else 0."""
    bought = buyers(facts, after=day, until=day + window)
    return (~np.isin(customer, bought)).astype(np.float64)


def events(marks: Sequence[Landmark]) -> int:
    """Return how many customers had the rarer outcome at least once in some windows.

    Whoever has left leaves in every window since: customers tell how much was seen, rows do not.
    """
    counts = []
    for outcome in (0, 1):
        codes = [mark.customer[mark.churned == outcome] for mark in marks]
        counts.append(np.unique(np.concatenate(codes)).size if codes else 0)
    return min(counts)


def fit_process(features: Features, kind: str) -> Any:
    """Return a model of purchases of a kind in `registry.MODELS`, its unit the day.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind not in MODELS:
        message = f"there is no model of purchases {kind}"
        raise ValueError(message)
    return MODELS[kind].fit(
        features.x, features.t_x, features.T, sum_log_gaps=features.sum_log_gaps
    )


def buyers(facts: Facts, *, after: int, until: int) -> NDArray[Any]:
    """Return the codes of those with a purchase after a day, up to another.

    What was refunded in full by the other day is none. What is refunded later is one: then no
    label tells more than another, however long ago its window ended.
    """
    customer, day, amount = (np.asarray(column) for column in facts.log(until))
    rows = (day > after) & (day <= until) & (amount >= 0)
    return np.unique(customer[rows])


def plain(
    features: Features, kind: str, window: int, *, status: str = "ok", process: Any = None
) -> ChurnRisk:
    """Return a model of purchases by itself, fitted to some histories unless it comes fitted.

    ``window`` are the days of outcomes that it is to be recalibrated to, 0 if none. A prior in
    place of a fit is ``insufficient_history``.
    """
    centre = (0.0, 0.0, 0.0)
    if len(features):
        centre = contributions.reference(features.x, features.t_x, features.T)
    process = fit_process(features, kind) if process is None else process
    return ChurnRisk(
        kind=kind,
        process_kind=kind,
        process=process,
        scales=Scales.fit(features),
        label_window=window,
        anchor=centre,
        reference=centre,
        status="insufficient_history" if process.status == "fallback" else status,
    )


def sampled(
    facts: Facts, as_of: int, seed: int | tuple[int, ...], *, most: int | None = None
) -> Facts:
    """Return the facts of at most `CUSTOMERS`, or so many, of the customers known at a day."""
    limit = CUSTOMERS if most is None else most
    codes = np.unique(np.asarray(facts.customer)[np.asarray(facts.day) <= as_of])
    if codes.size <= limit:
        return facts
    drawn = np.random.default_rng(seed).choice(codes.size, limit, replace=False)
    return facts.of(codes[np.sort(drawn)])


def whole_days(name: str, days: int) -> int:
    """Return a positive whole number of days, or raise."""
    if validation.positive_number(name, days) != int(days):
        message = f"{name} must be whole days"
        raise ValueError(message)
    return int(days)
