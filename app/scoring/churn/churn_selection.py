"""Which churn risk to serve, decided by how well each foresaw a part of the history.

1. Candidates are models of purchases by themselves and the landmark model, which starts from the
   MBG/NBD, or from its Erlang-k where that foresees better by itself and in the landmark model.
   The last ``horizon`` days are held out, a third of the history at most; every candidate sees
   what came before only.
   An Erlang-k whose ``k`` is 1 is the model without it, and is not judged twice.
2. Each is recalibrated by Platt's line before it is judged, as it would be in use, on a part of
   the customers held out, and judged by the log loss on the others (five parts in turn). Raw log
   loss would prefer a model for its level, which recalibration sets right anyway.
3. The least loss wins; a simpler candidate within one standard error, paired by customer, ties
   with it and is taken, unless that would cost calibration: an ECE above `ECE_AIM` that the best
   does not have. The order is `SIMPLICITY`.
4. The chosen kind is fitted again to everything. A model of purchases keeps the line of the
   hold-out; the landmark model brings its own. Both learn further horizons from the outcomes over
   each (`app.scoring.churn.horizon_calibration`).
5. Where a rule of silence foresaw the hold-out better than what was chosen, the note says so.

With too little history (see `selection.too_thin`) nothing can be judged: the answer is the simplest
model as it is, and says `insufficient_history`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from app.scoring.churn import horizon_calibration, landmark
from app.scoring.churn.candidates import (
    Candidate,
    CandidateResult,
    auc_error,
    candidate,
    clear,
    cross_fitted,
    select,
)
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.churn.rules import rules
from app.scoring.evaluation import metrics, selection
from app.scoring.evaluation.one_standard_error import plain_values
from app.scoring.histories.features import Facts, Features, features_at
from app.scoring.numerics.array_types import FloatArray
from app.scoring.purchases.registry import MODELS
from app.scoring.regression.recalibration import platt

__all__ = ["CandidateResult", "ChurnSelection", "auc_error", "choose", "cross_fitted"]

PLAIN_KINDS: Final = ("mbg_nbd", "pareto_nbd", "mbg_cnbd_k", "bg_cnbd_k", "bg_nbd")
SIMPLICITY: Final = (*selection.SIMPLICITY, "nbd", landmark.KIND)
REGULAR: Final = "mbg_cnbd_k"
MEMORYLESS: Final = {REGULAR: "mbg_nbd", "bg_cnbd_k": "bg_nbd"}
INSUFFICIENT: Final = "insufficient_history"


@dataclass(frozen=True, eq=False)
class ChurnSelection:
    """What was chosen, and on what evidence.

    Attributes
    ----------
    risk : ChurnRisk
        Fitted to everything, ready to score with.
    status : str
        ``ok`` or ``insufficient_history``.
    reason : str
        ``least_log_loss``; ``simpler_within_one_standard_error``; ``only_candidate``;
        ``insufficient_history``.
    note : str
        What there is too little of, or which rule of silence foresaw better; empty otherwise.
    horizon, holdout : int
        Days asked for, and days held out (0: none).
    label_window : int
        Days in which outcomes were watched to learn from; 0 if none were.
    extrapolated : bool
        Whether the answer is extrapolated from ``label_window`` to ``horizon``.
    table : tuple of Judged
        Simplest first; empty without a hold-out.
    """

    risk: ChurnRisk
    status: str
    reason: str
    note: str
    horizon: int
    holdout: int
    table: tuple[CandidateResult, ...]

    @property
    def label_window(self) -> int:
        """Days in which outcomes were watched to learn from."""
        return self.risk.label_window

    @property
    def extrapolated(self) -> bool:
        """Whether the answer is extrapolated from ``label_window`` to ``horizon``."""
        return self.risk.is_extrapolated(self.horizon)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON, the stored risk among them."""
        names = ("status", "reason", "note", "horizon", "holdout", "label_window", "extrapolated")
        plain: dict[str, Any] = plain_values(
            {
                "chosen": self.risk.kind,
                **{name: getattr(self, name) for name in names},
                "table": [dataclasses.asdict(row) for row in self.table],
                "risk": self.risk.as_dict(),
            }
        )
        return plain


def choose(
    facts: Facts,
    *,
    as_of: int,
    horizon: int,
    kinds: Sequence[str] = PLAIN_KINDS,
    process: str = "mbg_nbd",
    seed: int = 0,
) -> ChurnSelection:
    """Choose and fit the churn risk to serve, by the rule of the module.

    Parameters
    ----------
    facts : Facts
    as_of : int
        The last day that counts.
    horizon : int
        Days ahead that matter, at least 1.
    kinds : sequence of str
        Models of purchases, in `registry.MODELS`, that may be chosen by themselves.
    process : str
        The one that the landmark model starts from, unless `REGULAR` among ``kinds`` is better.
    seed : int
        Of the draw among more customers than `landmark.CUSTOMERS`.

    Raises
    ------
    ValueError
        If the log is not valid, the horizon not a positive whole number, or a kind not known.
    """
    ahead = landmark.whole_days("horizon", horizon)
    unknown = set(kinds) - set(MODELS)
    if unknown:
        message = f"there is no model of purchases {', '.join(sorted(unknown))}"
        raise ValueError(message)
    order = sorted(set(kinds), key=SIMPLICITY.index)
    some = landmark.sampled(facts, as_of, seed)
    _, now = features_at(some, as_of=as_of)
    length = _holdout_length(now, ahead)
    mark = landmark.at_day(some, as_of - length, length, (order or [process])[0])
    events = min(mark.churned.sum(), mark.churned.size - mark.churned.sum())
    note = selection.too_thin(mark.features.x, mark.features.t_x, mark.features.T)
    if not note and events < landmark.MIN_EVENTS:
        note = f"{events:.0f} customers of one outcome, {landmark.MIN_EVENTS} are needed"
    if note:
        risk = landmark.plain(now, (order or [process])[0], 0, status=INSUFFICIENT)
        return ChurnSelection(risk, INSUFFICIENT, INSUFFICIENT, note, ahead, 0, ())
    candidates = _candidates(some, mark, order, process)
    table, at, reason = select(candidates, mark.churned)
    chosen = candidates[at]
    if chosen.risk.kind == landmark.KIND:
        start = chosen.risk.process_kind
        risk = landmark.fit(some, as_of=as_of, horizon=ahead, process=start)
    else:
        calibration = platt(chosen.odds, mark.churned)
        risk = landmark.plain(now, chosen.risk.kind, length).recalibrated(calibration)
    risk = horizon_calibration.calibrate(risk, some, as_of=as_of)
    return ChurnSelection(
        risk, "ok", reason, _beaten(some, mark, chosen.loss), ahead, length, table
    )


def _holdout_length(now: Features, ahead: int) -> int:
    span = int(now.T.max(initial=0))
    return max(min(ahead, span // 3), 1)


def _candidates(
    facts: Facts, mark: landmark.Landmark, kinds: list[str], process: str
) -> list[Candidate]:
    """Return the candidates, simplest first, from facts up to the landmark."""
    fitted = [landmark.plain(mark.features, kind, mark.window) for kind in kinds]
    plain = [
        candidate(risk, mark)
        for risk in fitted
        if risk.process.params.get("k") != 1 or MEMORYLESS[risk.kind] not in kinds
    ]

    def second(start: str) -> Candidate:
        risk = landmark.fit(facts, as_of=mark.day, horizon=mark.window, process=start)
        return candidate(risk, mark)

    best = second(process)
    loss = {each.risk.kind: each.loss for each in plain}
    if process in loss and REGULAR in loss and clear(loss[process], loss[REGULAR]):
        other = second(REGULAR)
        best = other if clear(best.loss, other.loss) else best
    return plain if best.risk.kind != landmark.KIND and plain else [*plain, best]


def _beaten(facts: Facts, mark: landmark.Landmark, loss: FloatArray) -> str:
    """Return which rule of silence foresaw the hold-out better, in words; empty if none did."""
    best, name = loss, ""
    for rule, (p, _) in rules(facts, mark.day, mark.window, mark.features).items():
        predicted = cross_fitted(np.log(p) - np.log1p(-p), mark.churned)
        own = metrics.log_loss_each(predicted, mark.churned)
        if own.mean() < best.mean():
            best, name = own, rule
    if not name or not clear(loss, best):
        return ""
    return (
        f"the rule {name} foresaw the held-out days better: log loss {best.mean():.4f}, "
        f"what was chosen {loss.mean():.4f}"
    )
