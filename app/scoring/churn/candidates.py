"""How well candidates for churn risk foresaw the windows of the past, and which to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from app.scoring.churn import observation
from app.scoring.churn.walk_forward import Track
from app.scoring.evaluation import metrics
from app.scoring.evaluation.one_standard_error import NEGLIGIBLE, least_bic
from app.scoring.evaluation.ranking import Difference, clustered_difference
from app.scoring.numerics.array_types import FloatArray, IntArray
from app.scoring.regression.recalibration import sigmoid

ECE_AIM: Final = 0.05
LOST: Final = 0.005


@dataclass(frozen=True)
class CandidateResult:
    """How well one candidate foresaw the windows, all together.

    Attributes
    ----------
    kind, status : str
    log_loss, brier, auc, ece : float
        As recalibrated by what came before each window.
    log_loss_raw : float
        Of its process by itself, as it came.
    behind, behind_error : float
        Its log loss minus the least, and the standard error of that, paired by customer.
    auc_error : float
        Standard error of the AUC.
    published : bool
        Whether it may serve: it loses neither to its own process nor to the base rate.
    """

    kind: str
    status: str
    log_loss: float
    log_loss_raw: float
    behind: float
    behind_error: float
    auc: float
    auc_error: float
    brier: float
    ece: float
    published: bool


@dataclass(frozen=True, eq=False)
class Judged:
    """The windows that candidates are judged on, one after the other.

    Attributes
    ----------
    at : tuple of int
        Which windows of the past.
    churned : FloatArray
        What happened to each customer of each, shape (n,).
    window : IntArray
        Of which window each row is, shape (n,).
    events : int
        Customers who had the rarer outcome; see `observation.events`.
    """

    at: tuple[int, ...]
    churned: FloatArray
    window: IntArray
    events: int


@dataclass(frozen=True, eq=False)
class Candidate:
    """What a candidate told at the windows that are judged, and its losses.

    Attributes
    ----------
    kind, process_kind, status : str
    predicted, loss, raw_loss : FloatArray
        Probability, its log loss, and that of the process by itself, shape (n,).
    bic : float
        Of the process as fitted to everything; not finite where it says nothing.
    """

    kind: str
    process_kind: str
    status: str
    predicted: FloatArray
    loss: FloatArray
    raw_loss: FloatArray
    bic: float


def judged(tracks: Sequence[Track]) -> Judged:
    """Return the windows in which all candidates told something."""
    past = tracks[0].past
    at = tuple(at for at in past.judged if all(at in track.odds for track in tracks))
    marks = [past.marks[one] for one in at]
    nothing = [np.zeros(0)]
    return Judged(
        at,
        np.concatenate([mark.churned for mark in marks] or nothing),
        np.repeat(np.arange(len(at)), [mark.churned.size for mark in marks]),
        observation.events(marks),
    )


def candidate(track: Track, raw: Track, on: Judged, bic: float) -> Candidate:
    """Return a candidate with what it told, beside its process by itself."""
    predicted = np.concatenate([track.predicted(at) for at in on.at])
    plain = sigmoid(np.concatenate([raw.odds[at] for at in on.at]))
    return Candidate(
        track.now.kind,
        track.now.process_kind,
        track.now.process.status,
        predicted,
        metrics.log_loss_each(predicted, on.churned),
        metrics.log_loss_each(plain, on.churned),
        bic,
    )


def losses(track: Track, on: Judged) -> FloatArray:
    """Return the log loss of each customer of the windows."""
    told = [np.zeros(0), *(track.predicted(at) for at in on.at)]
    return metrics.log_loss_each(np.concatenate(told), on.churned)


def loses(loss: FloatArray, other: FloatArray, window: IntArray) -> bool:
    """Return whether a candidate is worse than what would serve in its place."""
    gap = difference(loss, other, window)
    return gap.value > min(gap.standard_error, LOST)


def select(
    candidates: Sequence[Candidate], on: Judged, base: FloatArray
) -> tuple[tuple[CandidateResult, ...], int | None, int, str]:
    """Return the figures of all, which is published, which is chosen by itself, and why.

    ``base`` is the loss of the base rate. Published is the choice among those that lose neither
    to their own process nor to the base rate; None where all of them do.
    """
    least = min(candidates, key=lambda each: float(each.loss.mean())).loss
    may = [not (loses(each.loss, each.raw_loss, on.window)
        or loses(each.loss, base, on.window)) for each in candidates]
    rows = [
        _result(each, least, on, published=published)
        for each, published in zip(candidates, may, strict=True)
    ]
    everybody = list(range(len(candidates)))
    wanted, reason = _choose(candidates, rows, everybody, on)
    among = [at for at in everybody if may[at]]
    if not among:
        return tuple(rows), None, wanted, reason
    at, reason = _choose(candidates, rows, among, on)
    return tuple(rows), at, wanted, reason


def best(candidates: Sequence[Candidate], on: Judged) -> int:
    """Return which of some candidates is chosen where nothing else counts."""
    least = min(candidates, key=lambda each: float(each.loss.mean())).loss
    rows = [_result(each, least, on, published=True) for each in candidates]
    return _choose(candidates, rows, range(len(rows)), on)[0]


def _choose(
    candidates: Sequence[Candidate],
    rows: Sequence[CandidateResult],
    among: Sequence[int],
    on: Judged,
) -> tuple[int, str]:
    """Return the least loss, or what ties with it and is a process by itself, by its BIC."""
    first = min(among, key=lambda at: rows[at].log_loss)
    most = max(ECE_AIM, rows[first].ece)
    tied = [
        at
        for at in among
        if rows[at].ece <= most and not clear(candidates[at].loss, candidates[first].loss, on.window)
    ]
    known = [at for at in tied if np.isfinite(candidates[at].bic)]
    if len(rows) == 1:
        return first, "only_candidate"
    if not known:
        return first, "least_log_loss"
    at = known[least_bic([candidates[at].bic for at in known])]
    return at, "least_log_loss" if at == first else "simpler_within_one_standard_error"


def clear(more: FloatArray, less: FloatArray, window: IntArray) -> bool:
    """Return whether a mean loss exceeds another by more than would pass as a tie."""
    gap = difference(more, less, window)
    return gap.value > max(gap.standard_error, NEGLIGIBLE * float(less.mean()))


def difference(more: FloatArray, less: FloatArray, window: IntArray) -> Difference:
    """Return the difference of two mean losses; windows count, and the customers in them."""
    gap = clustered_difference(more, less, window)
    return Difference(gap.value, float(np.nan_to_num(gap.standard_error)))


def auc_error(score: FloatArray, y: FloatArray) -> float:
    """Return the standard error of an AUC, as of its difference to that of no order at all."""
    return metrics.auc_difference(score, np.zeros(score.size), y).standard_error


def _result(
    each: Candidate, least: FloatArray, on: Judged, *, published: bool
) -> CandidateResult:
    gap = difference(each.loss, least, on.window)
    return CandidateResult(
        kind=each.kind,
        status=each.status,
        log_loss=float(each.loss.mean()),
        log_loss_raw=float(each.raw_loss.mean()),
        behind=gap.value,
        behind_error=gap.standard_error,
        auc=metrics.auc(each.predicted, on.churned),
        auc_error=auc_error(each.predicted, on.churned),
        brier=metrics.brier(each.predicted, on.churned),
        ece=metrics.ece(each.predicted, on.churned),
        published=published,
    )
