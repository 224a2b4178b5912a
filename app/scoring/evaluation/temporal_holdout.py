"""A temporal hold-out: what was known at its start, what followed, and how well it was foreseen.

A model of purchases sees the histories up to ``start`` and is asked about the ``length`` days
after it. Only customers with a purchase up to ``start`` count. The baselines see the same and
learn from an earlier window that ends at ``start``, as long as the hold-out if the history
allows, else half of it; what they learn is carried to ``length`` at a constant rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.scoring.evaluation import metrics
from app.scoring.histories.purchase_summary import Purchases, PurchaseSummary, count, summarise
from app.scoring.numerics.array_types import FloatArray, IntArray
from app.scoring.purchases import hiatus


class PurchaseModel(Protocol):
    """What a fitted model of purchases has to offer here."""

    @property
    def params(self) -> dict[str, float]:
        """The parameters by name."""
        ...

    @property
    def log_likelihood(self) -> float:
        """Of the histories fitted."""
        ...

    @property
    def status(self) -> str:
        """How far to trust it."""
        ...

    def p_no_purchase(
        self, x: IntArray, t_x: IntArray, T: IntArray, *, horizon: float
    ) -> FloatArray:
        """Return the probability of no purchase in the horizon."""
        ...

    def expected_purchases(
        self, x: IntArray, t_x: IntArray, T: IntArray, *, horizon: float
    ) -> FloatArray:
        """Return the expected purchases in the horizon."""
        ...


Fit: TypeAlias = Callable[[PurchaseSummary], PurchaseModel | None]


@dataclass(frozen=True)
class Log:
    """A log of purchases, as `purchase_summary.summarise` takes it."""

    customer: NDArray[np.generic]
    day: NDArray[np.generic]
    amount: NDArray[np.generic]

    def until(self, as_of: int) -> PurchaseSummary:
        """Return the histories up to a day."""
        return summarise(self.customer, self.day, self.amount, as_of=as_of)

    def count(self, as_of: int) -> Purchases:
        """Return who came back up to a day, and how long they have been silent."""
        return count(self.customer, self.day, self.amount, as_of=as_of)


@dataclass(frozen=True)
class Split:
    """The customers known at ``start``, and the purchase days of each in what follows."""

    known: PurchaseSummary
    later: IntArray
    start: int
    length: int


@dataclass(frozen=True)
class Score:
    """How well one model, or one baseline, foresaw the hold-out; NaN where that is not defined.

    Attributes
    ----------
    kind : str
    role : str
        ``candidate`` may be chosen, ``baseline`` is shown beside.
    status : str
        Of the fit; ``not_applicable`` where the fit declined.
    log_likelihood, bic : float
        Of the histories fitted; BIC is ``-2 log L + parameters * log(customers)``.
    sum_error, mae : float
        Of the expected purchases; see `metrics.count_errors`.
    auc, brier, ece, log_loss : float
        Of the probability of at least one purchase.
    """

    kind: str
    role: Literal["candidate", "baseline"]
    status: str
    log_likelihood: float = math.nan
    bic: float = math.nan
    sum_error: float = math.nan
    mae: float = math.nan
    auc: float = math.nan
    brier: float = math.nan
    ece: float = math.nan
    log_loss: float = math.nan


@dataclass(frozen=True, eq=False)
class Entry:
    """A score; of a candidate the losses of each customer that it sums up; what ranks them."""

    score: Score
    absolute_error: FloatArray | None = None
    log_loss: FloatArray | None = None
    rank: FloatArray | None = None


def split(log: Log, *, start: int, length: int) -> Split:
    """Return the histories at ``start`` and the purchase days in the ``length`` days after."""
    known = log.until(start)
    return Split(known, _later(log, known, start + length), start, length)


def _later(log: Log, known: PurchaseSummary | Purchases, until: int) -> IntArray:
    """Return the purchase days of customers from then on up to a day."""
    then = log.count(until)
    # Customers only ever join, and both sides are sorted.
    later: IntArray = then.x[np.searchsorted(then.customer, known.customer)] - known.x
    return later


def candidate(
    kind: str, fit: Fit, split: Split, *, role: Literal["candidate", "baseline"]
) -> Entry:
    """Fit a model to what was known and score it on what followed."""
    known = split.known
    model = fit(known)
    if model is None:
        return Entry(Score(kind, role, "not_applicable"))
    history = known.x, known.t_x, known.T
    return _entry(
        kind,
        role,
        model.status,
        split,
        p_purchase=1 - model.p_no_purchase(*history, horizon=split.length),
        expected=model.expected_purchases(*history, horizon=split.length),
        log_likelihood=model.log_likelihood,
        bic=bic(model, known.x.size),
    )


def fitted(
    kind: str, fit: Fit, known: PurchaseSummary, role: Literal["candidate", "baseline"]
) -> Score:
    """Fit a model to all that is known, with nothing left to foresee."""
    model = fit(known)
    if model is None:
        return Score(kind, role, "not_applicable")
    return Score(kind, role, model.status, model.log_likelihood, bic(model, known.x.size))


def bic(model: PurchaseModel, customers: int) -> float:
    """Return the Bayesian information criterion of a fit to so many customers: less is better."""
    return -2 * model.log_likelihood + len(model.params) * math.log(max(customers, 1))


def baselines(log: Log, split: Split) -> list[Entry]:
    """Return the hiatus rule, the base rate and the customer's own rate, scored alike.

    The hiatus is ranked by the silence itself, and its probabilities are those of its cut. The
    own rate is ``x / T``, purchases being Poisson; without a repeat purchase it is 0.
    """
    known = split.known
    first = int(known.first_day.min())
    window = max(min(split.length, (split.start - first) // 2), 1)
    silence = known.T - known.t_x
    before, after = _before(log, split, window)
    result = []
    for kind, rule in (
        ("hiatus", hiatus.fit(before, after, window=window)),
        ("base_rate", hiatus.base_rate(after, window=window)),
    ):
        result.append(
            _entry(
                kind,
                "baseline",
                "ok",
                split,
                p_purchase=1 - rule.p_no_purchase(silence, horizon=split.length),
                expected=rule.expected_purchases(silence, horizon=split.length),
                rank=-silence.astype(float) if kind == "hiatus" else None,
            )
        )
    rate = known.x / np.maximum(known.T, 1) * split.length
    result.append(
        _entry("own_rate", "baseline", "ok", split, p_purchase=-np.expm1(-rate), expected=rate)
    )
    return result


def _before(log: Log, split: Split, window: int) -> tuple[IntArray, IntArray]:
    """Return silences before the window that ends at the start, and purchases in it.

    Of the customers as they are, when nobody was known by then.
    """
    earlier = log.count(split.start - window)
    if earlier.x.size:
        return earlier.silence, _later(log, earlier, split.start)
    return split.known.T - split.known.t_x, split.known.x


def _entry(
    kind: str,
    role: Literal["candidate", "baseline"],
    status: str,
    split: Split,
    *,
    p_purchase: FloatArray,
    expected: FloatArray,
    rank: FloatArray | None = None,
    log_likelihood: float = math.nan,
    bic: float = math.nan,
) -> Entry:
    """Return the figures of one row."""
    bought = split.later > 0
    p = np.clip(p_purchase, 0.0, 1.0)
    if not (np.isfinite(p).all() and np.isfinite(expected).all()):
        return Entry(Score(kind, role, "not_finite", log_likelihood, bic))
    errors = metrics.count_errors(expected, split.later)
    losses = metrics.log_loss_each(p, bought)
    score = Score(
        kind=kind,
        role=role,
        status=status,
        log_likelihood=log_likelihood,
        bic=bic,
        sum_error=errors.sum_error,
        mae=errors.mae,
        auc=metrics.auc(p if rank is None else rank, bought),
        brier=metrics.brier(p, bought),
        ece=metrics.ece(p, bought),
        log_loss=float(losses.mean()),
    )
    if role == "baseline":  # shown, and chosen by nobody
        return Entry(score, rank=rank)
    return Entry(score, np.abs(expected - split.later), losses, p if rank is None else rank)
