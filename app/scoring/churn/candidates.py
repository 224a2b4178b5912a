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
class CandidateResult:
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
    predicted: FloatArray
    loss: FloatArray


def candidate(risk: ChurnRisk, mark: landmark.Landmark) -> Candidate:
    """Return a candidate, recalibrated before it is judged, as it would be in use."""
    odds = risk.log_odds(mark.features, horizon=mark.window)
    predicted = cross_fitted(odds, mark.churned)
    loss = metrics.log_loss_each(predicted, mark.churned)
    return Candidate(risk, odds, predicted, loss)


def cross_fitted(log_odds: FloatArray, churned: FloatArray) -> FloatArray:
    """Return probabilities by Platt lines that were each fitted to other customers."""
    part = np.arange(churned.size) % PARTS
    p = np.empty(churned.size)
    for one in range(PARTS):
        calibration: Platt = platt(log_odds[part != one], churned[part != one])
        p[part == one] = calibration.apply(log_odds[part == one])
    return p


def auc_error(score: FloatArray, y: FloatArray) -> float:
    """Return the standard error of an AUC, as of its difference to that of no order at all."""
    return metrics.auc_difference(score, np.zeros(score.size), y).standard_error


def clear(more: FloatArray, less: FloatArray) -> bool:
    """Return whether a mean loss exceeds another by more than would pass as a tie."""
    gap = metrics.difference(more, less)
    return gap.value > max(gap.standard_error, NEGLIGIBLE * float(less.mean()))


def select(
    candidates: list[Candidate], churned: FloatArray
) -> tuple[tuple[CandidateResult, ...], int, str]:
    """Return the figures of all, which was chosen, and why."""
    losses = [each.loss for each in candidates]
    best = min(range(len(losses)), key=lambda i: float(losses[i].mean()))
    rows = [_result(each, losses[best], churned) for each in candidates]
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


def _result(each: Candidate, least: FloatArray, churned: FloatArray) -> CandidateResult:
    gap = metrics.difference(each.loss, least)
    return CandidateResult(
        kind=each.risk.kind,
        status=each.risk.process.status,
        log_loss=float(each.loss.mean()),
        behind=gap.value,
        behind_error=gap.standard_error,
        auc=metrics.auc(each.odds, churned),
        auc_error=auc_error(each.odds, churned),
        brier=metrics.brier(each.predicted, churned),
        ece=metrics.ece(each.predicted, churned),
    )
