"""The features of churn risk, as columns, and the causes that they belong to.

Two groups. The *course* features depend on the number of purchases ``x``, the age ``T`` and the
silence together; all but those of ``x`` alone rise with the age and with the share of it that was
silent, so that a weight of at least 0 keeps the risk from falling with either. The *single*
features are each a cause of its own and 0 where nothing is known, as for an average customer.
That something is known at all is another cause than what is known: a contact fresher than usual
is to lower a risk that rises with the silence, whatever having been in contact says.

Everything passes a logarithm, a shrinkage to the population's scale or a clip: no column exceeds a
few dozen, whatever the facts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.churn import contributions
from app.scoring.histories.features import Features
from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.special import by_count, digamma
from app.scoring.purchases import hiatus

BASELINE: Final = (
    "process", "overdue", "silent", "tenure", "frequency", "past_cadence", "past_silence",
)  # fmt: skip
RISING: Final = tuple(name for name in BASELINE if name != "frequency")  # weights of at least 0
BASELINE_CAUSES: Final = ("purchases", "age", "inactivity")
TOGETHER: Final = "purchase_history"  # the three, where none moves the risk that way by itself

_MOST = 30.0  # log-odds: beyond it nothing is told apart
_WIDEST = 3.0  # a ratio on the log scale
_PRIOR_SHARE = 0.25  # of the population's scale, added to both sides of a ratio
_REGULAR_PRIOR = 5.0  # gaps
_SLOPE = 0.01
_FEW_ROWS = 256


@dataclass(frozen=True)
class Scales:
    """What is usual in the population.

    Attributes
    ----------
    gap : float
        Mean gap between purchase days, in days.
    value : float
        Mean value of the purchase days of a customer, the median of customers.
    satisfaction : float
        Mean of the last survey scores.
    contact : float
        Mean of ``log(1 + days)`` since the last interaction.
    cadence_cut, silence_cut : float or None
        Usual gaps, and days, of silence past which most have left; None where nobody watched.
    """

    gap: float
    value: float
    satisfaction: float
    contact: float
    cadence_cut: float | None = None
    silence_cut: float | None = None

    @classmethod
    def fit(cls, features: Features) -> Self:
        """Return the scales of customers, the neutral ones where nothing is known."""
        repeats = float(features.x.sum())
        typical = float(features.T.max(initial=1.0))
        return cls(
            gap=max(float(features.t_x.sum()) / repeats if repeats else typical, 1.0),
            value=_mean(features.mean_value, np.median, 1.0) or 1.0,
            satisfaction=_mean(features.satisfaction, np.mean, 0.5),
            contact=_mean(np.log1p(features.contact_silence), np.mean, 0.0),
        )

    def with_cuts(self, features: Features, churned: FloatArray) -> Self:
        """Return the scales with the cuts of the recency rules that tell best who left."""
        silence, back = features.T - features.t_x, churned == 0
        usual = contributions.usual_gap(features.t_x, features.x + 1, self.gap)
        cuts = (hiatus.best_cut(measure, back) for measure in (silence / usual, silence))
        return replace(self, **dict(zip(("cadence_cut", "silence_cut"), cuts, strict=True)))

    def as_dict(self) -> dict[str, float]:
        """Return plain numbers by name."""
        return asdict(self)


def _mean(column: FloatArray, of: Callable[..., Any], default: float) -> float:
    seen = column[~np.isnan(column)]
    return float(of(seen)) if seen.size else default


def process_log_odds(
    process: Any, x: FloatArray, t_x: FloatArray, T: FloatArray, horizon: ArrayLike
) -> FloatArray:
    """Return the log-odds of no purchase by a model of purchases, within bounds."""
    odds = process.no_purchase_log_odds(x, t_x, T, horizon=horizon)
    bounded: FloatArray = np.clip(odds, -_MOST, _MOST)
    return bounded


def process_log_odds_at(
    process: Any, x: FloatArray, t_x: FloatArray, T: FloatArray, horizons: Sequence[float]
) -> list[FloatArray]:
    """Return the same at each of some horizons.

    A call costs as much as many rows do, so that few rows are one call for all horizons. Many are
    one for each: those of one horizon share most of the work of a process.
    """
    if len(horizons) == 1 or T.size * len(horizons) > _FEW_ROWS:
        return [process_log_odds(process, x, t_x, T, horizon) for horizon in horizons]
    shape = (len(horizons), *T.shape)
    ahead = np.reshape(np.array(horizons, dtype=np.float64), (-1, *(1 for _ in T.shape)))
    every = (np.broadcast_to(column, shape) for column in (x, t_x, T, ahead))
    return list(process_log_odds(process, *every))


def baseline(
    process_odds: FloatArray,
    x: FloatArray,
    t_x: FloatArray,
    T: FloatArray,
    scales: Scales,
    names: Collection[str] = BASELINE,
) -> list[FloatArray]:
    """Return features of `BASELINE`, each of the shape of the histories; no others are computed."""
    silence = T - t_x
    found = {"process": process_odds}
    if "overdue" in names or "past_cadence" in names:
        measure = silence / contributions.usual_gap(t_x, x + 1, scales.gap)
        found["overdue"] = log = np.log1p(measure)
        found["past_cadence"] = _beyond(measure, log, scales.cadence_cut)
    if "silent" in names or "past_silence" in names:
        found["silent"] = log = np.log1p(silence)
        found["past_silence"] = _beyond(silence, log, scales.silence_cut)
    if "tenure" in names:
        found["tenure"] = np.log1p(T)
    if "frequency" in names:
        found["frequency"] = np.log1p(x)
    return [found[name] for name in BASELINE if name in names]


def _beyond(measure: FloatArray, log: FloatArray, cut: float | None) -> FloatArray:
    """Return a step at a cut, that rises a little on either side: reasons need that."""
    step = np.zeros_like(measure) if cut is None else np.where(measure > cut, 1.0, 0.0)
    return step + _SLOPE * log


def _frequency_trend(features: Features, scales: Scales) -> FloatArray:
    recent = features.recent("gap")
    mean = features.t_x / np.maximum(features.x, 1)
    return _log_ratio(recent, mean, scales.gap)


def _amount_trend(features: Features, scales: Scales) -> FloatArray:
    return _log_ratio(features.recent("value"), features.mean_value, scales.value)


def _value(features: Features, scales: Scales) -> FloatArray:
    return _log_ratio(features.mean_value, np.full(len(features), scales.value), scales.value)


def _regularity(features: Features, scales: Scales) -> FloatArray:
    """Return how much more the gaps differ than those of purchases without memory would."""
    del scales
    n = np.maximum(features.x, 1.0)
    excess = _or_zero(np.log(memoryless_gap(features)) - features.sum_log_gaps / n)
    shrunk = np.clip(excess, -_WIDEST, _WIDEST) * n / (n + _REGULAR_PRIOR)
    return np.where(features.x > 1, shrunk, 0.0)


def memoryless_gap(features: Features) -> FloatArray:
    """Return the geometric mean of gaps that purchases without memory would have, in days.

    At the number of gaps and their mean that each customer has, shape (n,); regularity compares
    the customer's own geometric mean with it: it is larger where the gaps are more alike.
    """
    n = np.maximum(features.x, 1.0)
    mean = np.maximum(features.t_x, 1.0) / n
    gap: FloatArray = mean * np.exp(-by_count(_memoryless_spread, n))
    return gap


@lru_cache(maxsize=4096)
def memoryless_share(n: float) -> float:
    """Return the geometric mean of gaps that purchases without memory have, by their mean.

    Parameters
    ----------
    n : float
        The number of gaps, at least 1.

    Returns
    -------
    float
        In (0, 1): as `memoryless_gap` for many.
    """
    return float(np.exp(-by_count(_memoryless_spread, np.array([n])))[0])


def _memoryless_spread(n: FloatArray) -> FloatArray:
    """Return the expected ``log(mean) - mean(log)`` of ``n`` exponential gaps."""
    gaps = np.maximum(n, 1.0)
    spread: FloatArray = np.euler_gamma + digamma(gaps) - np.log(gaps)
    return spread


def _refunds(features: Features, scales: Scales) -> FloatArray:
    del scales
    return np.log1p(features.refunds)


def _complaints(features: Features, scales: Scales) -> FloatArray:
    del scales
    return np.log1p(features.complaints)


def _satisfaction(features: Features, scales: Scales) -> FloatArray:
    return _or_zero(features.satisfaction - scales.satisfaction)


def _surveyed(features: Features, scales: Scales) -> FloatArray:
    del scales
    return (~np.isnan(features.satisfaction)).astype(np.float64)


def _contact_silence(features: Features, scales: Scales) -> FloatArray:
    return _or_zero(np.log1p(features.contact_silence) - scales.contact)


def _contacted(features: Features, scales: Scales) -> FloatArray:
    del scales
    return (~np.isnan(features.contact_silence)).astype(np.float64)


# One without a weight costs nothing.
ADDITIVE: Final[dict[str, Callable[[Features, Scales], FloatArray]]] = {
    "frequency_trend": _frequency_trend,
    "amount_trend": _amount_trend,
    "value": _value,
    "regularity": _regularity,
    "refunds": _refunds,
    "complaints": _complaints,
    "satisfaction": _satisfaction,
    "surveyed": _surveyed,
    "contact_silence": _contact_silence,
    "contacted": _contacted,
}
FEATURES: Final = (*BASELINE, *ADDITIVE)
CAUSES: Final = (*BASELINE_CAUSES, *ADDITIVE, TOGETHER)


def design(features: Features, process: Any, scales: Scales, *, window: float) -> FloatArray:
    """Return the columns of `FEATURES`, shape (n, k)."""
    history = features.x, features.t_x, features.T
    odds = process_log_odds(process, *history, window)
    additive = [feature(features, scales) for feature in ADDITIVE.values()]
    return np.column_stack([*baseline(odds, *history, scales), *additive])


def _log_ratio(first: FloatArray, second: FloatArray, scale: float) -> FloatArray:
    prior = _PRIOR_SHARE * scale
    return _or_zero(np.clip(np.log((first + prior) / (second + prior)), -_WIDEST, _WIDEST))


def _or_zero(column: FloatArray) -> FloatArray:
    features: FloatArray = np.where(np.isnan(column), 0.0, column)
    return features
