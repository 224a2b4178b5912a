"""Which churn risk to serve, decided by how well each foresaw a part of the history.

1. Candidates are models of purchases by themselves and the landmark model. The last ``horizon``
   days are held out, a third of the history at most; every candidate sees what came before only.
2. Each is recalibrated by Platt's line before it is judged, as it would be in use, on a part of
   the customers held out, and judged by the log loss on the others (five parts in turn). Raw log
   loss would prefer a model for its level, which recalibration sets right anyway.
3. The least loss wins; a simpler candidate within one standard error, paired by customer, ties
   with it and is taken. The order is `SIMPLICITY`.
4. The chosen kind is fitted again to everything. A model of purchases keeps the line of the
   hold-out; the landmark model brings its own.

With too little history (see `select.too_thin`) nothing can be judged: the answer is the simplest
model as it is, and says `insufficient_history`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from app.scoring import evaluation, landmark, select
from app.scoring._holdout import Entry, Score
from app.scoring._recalibration import Platt, platt
from app.scoring._selection import by_loss, plain_values
from app.scoring._typing import FloatArray
from app.scoring.churn_features import Facts, Histories, histories
from app.scoring.churn_risk import ChurnRisk
from app.scoring.registry import MODELS

PLAIN_KINDS: Final = ("mbg_nbd", "pareto_nbd", "bg_nbd")
SIMPLICITY: Final = (*select.SIMPLICITY, "nbd", landmark.KIND)
PARTS: Final = 5
INSUFFICIENT: Final = "insufficient_history"


@dataclass(frozen=True)
class Judged:
    """How well one candidate foresaw the hold-out.

    Attributes
    ----------
    kind, status : str
    log_loss, brier, auc, ece : float
        After recalibration on other customers; AUC as it came.
    behind, behind_error : float
        Its log loss minus the least, and the standard error of that, paired by customer.
    auc_error : float
        Standard error of the AUC.
    """

    kind: str
    status: str
    log_loss: float
    behind: float
    behind_error: float
    auc: float
    auc_error: float
    brier: float
    ece: float


@dataclass(frozen=True, eq=False)
class Choice:
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
        What there is too little of; empty otherwise.
    horizon, holdout : int
        Days asked for, and days held out (0: none).
    label_window : int
        Days in which outcomes were watched to learn from; 0 if none were.
    carried : bool
        Whether the answer is carried from ``label_window`` to ``horizon``.
    table : tuple of Judged
        Simplest first; empty without a hold-out.
    """

    risk: ChurnRisk
    status: str
    reason: str
    note: str
    horizon: int
    holdout: int
    table: tuple[Judged, ...]

    @property
    def label_window(self) -> int:
        """Days in which outcomes were watched to learn from."""
        return self.risk.label_window

    @property
    def carried(self) -> bool:
        """Whether the answer is carried from ``label_window`` to ``horizon``."""
        return self.risk.carried(self.horizon)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON, the stored risk among them."""
        names = ("status", "reason", "note", "horizon", "holdout", "label_window", "carried")
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
) -> Choice:
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
        The one that the landmark model starts from.
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
    _, now = histories(some, as_of=as_of)
    length = _holdout_length(now, ahead)
    mark = landmark.at_day(some, as_of - length, length, (order or [process])[0])
    events = min(mark.left.sum(), mark.left.size - mark.left.sum())
    note = select.too_thin(mark.known.x, mark.known.t_x, mark.known.T)
    if not note and events < landmark.MIN_EVENTS:
        note = f"{events:.0f} customers of one outcome, {landmark.MIN_EVENTS} are needed"
    if note:
        risk = landmark.plain(now, (order or [process])[0], 0, status=INSUFFICIENT)
        return Choice(risk, INSUFFICIENT, INSUFFICIENT, note, ahead, 0, ())
    candidates = _candidates(some, mark, order, process)
    odds = [risk.log_odds(mark.known, horizon=length) for risk in candidates]
    table, at, reason = _judge(candidates, odds, mark.left)
    if candidates[at].kind == landmark.KIND:
        risk = landmark.fit(some, as_of=as_of, horizon=ahead, process=process)
    else:
        line = platt(odds[at], mark.left)
        risk = landmark.plain(now, candidates[at].kind, length).recalibrated(line)
    return Choice(risk, "ok", reason, "", ahead, length, table)


def cross_fitted(log_odds: FloatArray, left: FloatArray) -> FloatArray:
    """Return probabilities by Platt lines that were each fitted to other customers."""
    part = np.arange(left.size) % PARTS
    p = np.empty(left.size)
    for one in range(PARTS):
        line: Platt = platt(log_odds[part != one], left[part != one])
        p[part == one] = line.apply(log_odds[part == one])
    return p


def auc_error(score: FloatArray, y: FloatArray) -> float:
    """Return the standard error of an AUC, as of its difference to that of no order at all."""
    return evaluation.auc_difference(score, np.zeros(score.size), y).standard_error


def _holdout_length(now: Histories, ahead: int) -> int:
    span = int(now.T.max(initial=0))
    return max(min(ahead, span // 3), 1)


def _candidates(
    facts: Facts, mark: landmark.Landmark, kinds: list[str], process: str
) -> list[ChurnRisk]:
    """Return the candidates, simplest first, from facts up to the landmark."""
    plain = [landmark.plain(mark.known, kind, mark.window) for kind in kinds]
    second = landmark.fit(facts, as_of=mark.day, horizon=mark.window, process=process)
    return plain if second.kind != landmark.KIND and plain else [*plain, second]


def _judge(
    candidates: list[ChurnRisk], odds: list[FloatArray], left: FloatArray
) -> tuple[tuple[Judged, ...], int, str]:
    """Return the figures of all, which was chosen, and why."""
    told = [cross_fitted(each, left) for each in odds]
    losses = [evaluation.log_loss_each(p, left) for p in told]
    least = min(losses, key=lambda loss: float(loss.mean()))
    rows = []
    for risk, each, p, loss in zip(candidates, odds, told, losses, strict=True):
        gap = evaluation.difference(loss, least)
        rows.append(
            Judged(
                kind=risk.kind,
                status=risk.process.status,
                log_loss=float(loss.mean()),
                behind=gap.value,
                behind_error=gap.standard_error,
                auc=evaluation.auc(each, left),
                auc_error=auc_error(each, left),
                brier=evaluation.brier(p, left),
                ece=evaluation.ece(p, left),
            )
        )
    entries = [
        Entry(Score(row.kind, "candidate", row.status), log_loss=loss)
        for row, loss in zip(rows, losses, strict=True)
    ]
    kind = by_loss(entries, "log_loss", "log loss").kind
    at = [row.kind for row in rows].index(kind)
    reason = "least_log_loss" if losses[at] is least else "simpler_within_one_standard_error"
    return tuple(rows), at, "only_candidate" if len(rows) == 1 else reason
