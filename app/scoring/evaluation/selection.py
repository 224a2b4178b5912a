"""Which model of purchases to use, decided by how well each foresaw a part of the history.

1. Thin is a matter of information: fewer than `MIN_REPEATS` gaps between purchases, of however
   many customers, or a history shorter than `MIN_GAPS` median gaps, allow no comparison of
   forecasts. Then the BIC decides, as in 5; a prior serves only where nothing could be fitted.
2. The last ``horizon`` days are held out, a third of the history at most. Every candidate is
   fitted to what came before, and says who buys in the days held out, and how often.
3. Each output is chosen by itself: expected purchases (and so lifetime value) by the mean absolute
   error, the risk of no purchase by the log loss. A model within one standard error of the best,
   paired by customer, ties with it, and of tied ones that with the least BIC is taken: where few
   outcomes were seen most tie, and the gaps tell more. The BG/NBD comes last among equals, kept
   for parity with the literature. What describes the gaps worse than another by `UNLIKELY` in
   log-likelihood for each of them, as a process without memory does those of regular buyers, is
   left out.
4. The hiatus rule, the base rate and the customer's own rate are scored beside. Where the
   hiatus rule ranks better than the chosen model by more than one standard error of the
   difference of their AUCs, a second stage is advised.
5. Where what remains before the hold-out is thin, models are compared by BIC on everything, and
   the answer says so. A process without dropout is scored beside, and never chosen.

The caller refits the chosen kinds on all data.

References
----------
Wuebben and von Wangenheim (2008), Instant Customer Base Analysis, Journal of Marketing 72(3).
Breiman, Friedman, Olshen and Stone (1984), Classification and Regression Trees, section 3.4 (the
rule of one standard error). Schwarz (1978), Estimating the dimension of a model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.evaluation import metrics, temporal_holdout
from app.scoring.evaluation.one_standard_error import Basis, Pick, Selection, by_bic, by_loss
from app.scoring.evaluation.temporal_holdout import Entry, Fit, Log, PurchaseModel, Score, Split
from app.scoring.histories.purchase_summary import PurchaseSummary
from app.scoring.numerics import validation

__all__ = [
    "SIMPLICITY",
    "Fit",
    "Pick",
    "PurchaseModel",
    "Score",
    "Selection",
    "choose",
    "of_times",
    "too_thin",
]

MIN_REPEATS: Final = 50
MIN_GAPS: Final = 2
UNLIKELY: Final = 0.25
SIMPLICITY: Final = (
    "mbg_nbd", "pareto_nbd", "mbg_cnbd_k", "cnbd_k", "bg_cnbd_k", "bg_nbd",
)  # fmt: skip
REFERENCE_KINDS: Final = ("nbd",)  # scored if given, never chosen


def of_times(fit: Callable[..., PurchaseModel], *, gaps: bool = False, **options: Any) -> Fit:
    """Turn ``fit(x, t_x, T)`` into a fit of a summary.

    Parameters
    ----------
    fit : callable
        Such as ``mbg_nbd.fit``.
    gaps : bool
        Whether it also takes ``sum_log_gaps``, as ``cnbd_k.fit`` does.
    **options
        Given on to ``fit``.
    """

    def fitted(known: PurchaseSummary) -> PurchaseModel:
        more = {"sum_log_gaps": known.sum_log_gaps} if gaps else {}
        return fit(known.x, known.t_x, known.T, **more, **options)

    return fitted


def choose(
    customer: ArrayLike,
    day: ArrayLike,
    amount: ArrayLike,
    *,
    as_of: int,
    horizon: int,
    fits: Mapping[str, Fit],
    holdout: int | None = None,
) -> Selection:
    """Choose a model for each output by the rule of the module.

    Parameters
    ----------
    customer, day, amount : array_like
        The log, as `purchase_summary.summarise` takes it, shape (n,).
    as_of : int
        The last day that counts.
    horizon : int
        Days ahead that matter to the business, at least 1.
    fits : mapping
        Candidates by kind. Each takes a `PurchaseSummary` and returns a fitted model whose unit is
        the day, or None where it does not apply. See `of_times`.
    holdout : int, optional
        Days to hold out, whatever the length of the history.

    Raises
    ------
    ValueError
        If the log is not valid, there is no candidate, or a length is not at least 1 whole day.
    """
    _check(fits, horizon, holdout)
    log = Log(np.asarray(customer), np.asarray(day), np.asarray(amount))
    order = sorted(fits, key=(*SIMPLICITY, *fits).index)
    basis, note, parts = _basis(log, as_of, horizon, holdout)
    common = {"basis": basis, "note": note, "as_of": as_of, "horizon": horizon}
    if parts is None:
        return _without_holdout(log.until(as_of), {kind: fits[kind] for kind in order}, common)
    entries = [
        temporal_holdout.candidate(kind, fits[kind], parts, role=_role(kind)) for kind in order
    ]
    return _with_holdout(parts, entries, temporal_holdout.baselines(log, parts), common)


def _basis(
    log: Log, as_of: int, horizon: int, holdout: int | None
) -> tuple[Basis, str, Split | None]:
    """Return what the choice can rest on, a note about it, and the hold-out if there is one."""
    everything = log.until(as_of)
    thin = too_thin(everything.x, everything.t_x, everything.T)
    if thin:
        return "thin_data", thin, None
    third = max((as_of - int(everything.first_day.min())) // 3, 1)
    del everything  # there is room for one of these
    length = min(horizon, third) if holdout is None else holdout
    parts = temporal_holdout.split(log, start=as_of - length, length=length)
    thin = too_thin(parts.known.x, parts.known.t_x, parts.known.T)
    if thin:
        return "bic", f"no hold-out of {length} days: before it, {thin}", None
    note = "" if length == horizon else f"held out are {length} days, not {horizon}"
    return "holdout", note, parts


def _with_holdout(
    parts: Split, entries: list[Entry], baselines: list[Entry], common: dict[str, Any]
) -> Selection:
    candidates = _likely(parts, [entry for entry in entries if entry.score.role == "candidate"])
    churn = by_loss(candidates, "log_loss", "log loss")
    bought = parts.later > 0
    chosen = next(entry for entry in candidates if entry.score.kind == churn.kind)
    lead = metrics.Difference(math.nan, math.nan)
    if chosen.rank is not None and baselines[0].rank is not None:
        lead = metrics.auc_difference(baselines[0].rank, chosen.rank, bought)
    return Selection(
        **common,
        calibration_end=parts.start,
        holdout=parts.length,
        customers=parts.known.x.size,
        repeaters=int(np.count_nonzero(parts.known.x)),
        base_rate=float(bought.mean()),
        table=tuple(entry.score for entry in (*entries, *baselines)),
        purchases=by_loss(candidates, "absolute_error", "mean absolute error"),
        churn=churn,
        hiatus_lead=lead,
        second_stage_advised=lead.value > lead.standard_error,
    )


def _likely(parts: Split, candidates: list[Entry]) -> list[Entry]:
    """Return the candidates that describe the gaps not much worse than the best does.

    Who buys at regular gaps buys once in such a gap: a mean of about 1 errs little in it, and
    knows nothing of when. A prior, and what declined, is told of no gaps and passes.
    """
    told = [entry.score.bic for entry in candidates if math.isfinite(entry.score.bic)]
    most = min(told, default=math.inf) + 2 * UNLIKELY * float(parts.known.x.sum())
    return [entry for entry in candidates if not entry.score.bic > most]


def _without_holdout(
    everything: PurchaseSummary, fits: dict[str, Fit], common: dict[str, Any]
) -> Selection:
    scores = [
        temporal_holdout.fitted(kind, fit, everything, _role(kind)) for kind, fit in fits.items()
    ]
    candidates = [score for score in scores if score.role == "candidate"]
    pick = by_bic(candidates)
    return Selection(
        **common,
        calibration_end=None,
        holdout=None,
        customers=everything.x.size,
        repeaters=int(np.count_nonzero(everything.x)),
        base_rate=math.nan,
        table=tuple(scores),
        purchases=pick,
        churn=pick,
        hiatus_lead=metrics.Difference(math.nan, math.nan),
        second_stage_advised=False,
    )


def _check(fits: Mapping[str, Fit], horizon: int, holdout: int | None) -> None:
    for name, days in (("horizon", horizon), ("holdout", 1 if holdout is None else holdout)):
        if validation.positive_number(name, days) != int(days):
            message = f"{name} must be whole days"
            raise ValueError(message)
    if all(_role(kind) == "baseline" for kind in fits):
        message = "there must be at least one candidate"
        raise ValueError(message)


def _role(kind: str) -> Literal["candidate", "baseline"]:
    return "baseline" if kind in REFERENCE_KINDS else "candidate"


def too_thin(x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> str:
    """Return what there is too little of to compare models, or nothing; see the module."""
    x_, t_, T_ = validation.history(x, t_x, T)
    again = x_ > 0
    repeats = int(x_.sum())
    if repeats < MIN_REPEATS:
        return f"{repeats} gaps between purchases were seen, {MIN_REPEATS} are needed"
    gap = float(np.median(t_[again] / x_[again]))
    if T_.max() < MIN_GAPS * gap:
        return f"the history is shorter than {MIN_GAPS} gaps between purchases ({gap:.0f} days)"
    return ""
