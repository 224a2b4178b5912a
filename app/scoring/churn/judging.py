"""How well candidates for churn risk foresaw a part of the history held out, and which to take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from app.scoring.churn import landmark
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.evaluation import metrics
from app.scoring.evaluation.one_standard_error import NEGLIGIBLE, by_loss
from app.scoring.evaluation.temporal_holdout import Entry, Score
from app.scoring.numerics.array_types import FloatArray
from app.scoring.regression.recalibration import Platt, platt

PARTS: Final = 5
ECE_AIM: Final = 0.05


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
class Candidate:
    """A risk learnt up to a landmark, what it tells of the days after it, and its loss."""

    risk: ChurnRisk
    odds: FloatArray
    told: FloatArray
    loss: FloatArray


def candidate(risk: ChurnRisk, mark: landmark.Landmark) -> Candidate:
    """Return a candidate, recalibrated before it is judged, as it would be in use."""
    odds = risk.log_odds(mark.known, horizon=mark.window)
    told = cross_fitted(odds, mark.left)
    loss = metrics.log_loss_each(told, mark.left)
    return Candidate(risk, odds, told, loss)


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
    return metrics.auc_difference(score, np.zeros(score.size), y).standard_error


def clear(more: FloatArray, less: FloatArray) -> bool:
    """Return whether a mean loss exceeds another by more than would pass as a tie."""
    gap = metrics.difference(more, less)
    return gap.value > max(gap.standard_error, NEGLIGIBLE * float(less.mean()))


def judge(candidates: list[Candidate], left: FloatArray) -> tuple[tuple[Judged, ...], int, str]:
    """Return the figures of all, which was chosen, and why."""
    losses = [each.loss for each in candidates]
    best = min(range(len(losses)), key=lambda i: float(losses[i].mean()))
    rows = [_judged(each, losses[best], left) for each in candidates]
    most = max(ECE_AIM, rows[best].ece)
    entries = [
        Entry(Score(row.kind, "candidate", row.status), log_loss=loss)
        for row, loss in zip(rows, losses, strict=True)
        if row.ece <= most
    ]
    kind = by_loss(entries, "log_loss", "log loss").kind
    at = [row.kind for row in rows].index(kind)
    reason = "least_log_loss" if at == best else "simpler_within_one_standard_error"
    return tuple(rows), at, "only_candidate" if len(rows) == 1 else reason


def _judged(each: Candidate, least: FloatArray, left: FloatArray) -> Judged:
    gap = metrics.difference(each.loss, least)
    return Judged(
        kind=each.risk.kind,
        status=each.risk.process.status,
        log_loss=float(each.loss.mean()),
        behind=gap.value,
        behind_error=gap.standard_error,
        auc=metrics.auc(each.odds, left),
        auc_error=auc_error(each.odds, left),
        brier=metrics.brier(each.told, left),
        ece=metrics.ece(each.told, left),
    )
