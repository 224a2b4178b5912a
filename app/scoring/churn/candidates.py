"""How well candidates for churn risk foresaw the windows of the past, and which to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from app.scoring.churn import landmark, observation, verdicts
from app.scoring.churn.verdicts import CLEARLY, clear, difference
from app.scoring.churn.walk_forward import Track
from app.scoring.evaluation import metrics
from app.scoring.evaluation.one_standard_error import CLOSE, NEGLIGIBLE, least_bic
from app.scoring.numerics.array_types import BoolArray, FloatArray, IntArray
from app.scoring.regression.recalibration import sigmoid

ECE_AIM: Final = 0.05
# Twins that differ in the first purchase alone: to the first, nobody who bought once has left.
MODIFIED: Final = {"bg_nbd": "mbg_nbd", "bg_cnbd_k": "mbg_cnbd_k"}


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
        Whether it may serve; see `verdicts`.
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
    predicted, loss : FloatArray
        Probability, and its log loss, shape (n,).
    raw_predicted, raw_loss : FloatArray
        The same of the process as it came.
    late : BoolArray
        Whether the customer was late by the process; see `verdicts.late`.
    bic : float
        Of the process as fitted to everything; not finite where it says nothing.
    raw : bool
        Whether it is a process as it came, for want of a line that helps.
    """

    kind: str
    process_kind: str
    status: str
    predicted: FloatArray
    loss: FloatArray
    raw_predicted: FloatArray
    raw_loss: FloatArray
    late: BoolArray
    bic: float
    raw: bool = False

    @property
    def is_average(self) -> bool:
        """Whether more than a process has been learnt."""
        return self.kind == landmark.KIND

    def as_it_came(self) -> Candidate:
        """Return its process by itself."""
        return replace(
            self,
            kind=self.process_kind,
            predicted=self.raw_predicted,
            loss=self.raw_loss,
            raw=True,
        )


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
        plain,
        metrics.log_loss_each(plain, on.churned),
        verdicts.late(raw, on.at),
        bic,
    )


def losses(track: Track, on: Judged) -> FloatArray:
    """Return the log loss of each customer of the windows."""
    told = [np.zeros(0), *(track.predicted(at) for at in on.at)]
    return metrics.log_loss_each(np.concatenate(told), on.churned)


@dataclass(frozen=True, eq=False)
class Picked:
    """What was picked.

    Attributes
    ----------
    table : tuple of CandidateResult
        The figures of all, recalibrated.
    wanted : int
        What would serve without a guard.
    at : int or None
        What serves: where in the candidates it stands; None where nothing may.
    served : Candidate or None
        The same, recalibrated or as it came.
    reason : str
        Why it was chosen.
    """

    table: tuple[CandidateResult, ...]
    wanted: int
    at: int | None
    served: Candidate | None
    reason: str


def select(candidates: Sequence[Candidate], on: Judged, base: FloatArray) -> Picked:
    """Return what serves: the choice among all that may.

    That is what `verdicts.verdict` lets, held against a base rate whose loss is ``base``; and in
    place of a process whose line may not, the process as it came, unless it loses to the base rate.
    """
    least = min(candidates, key=lambda each: float(each.loss.mean())).loss
    may = [verdicts.verdict(each, base, on) == verdicts.NOT_WORSE for each in candidates]
    rows = [
        _result(each, least, on, published=published)
        for each, published in zip(candidates, may, strict=True)
    ]
    wanted, _ = _choose(candidates, on)
    lines = {at: each for at, each in enumerate(candidates) if may[at]}
    plain = {
        at: each.as_it_came()
        for at, each in enumerate(candidates)
        if not may[at] and not verdicts.loses(each.raw_loss, base, on.window)
    }
    found = [(*_choose(list(forms.values()), on), forms) for forms in (lines, plain) if forms]
    if not found:
        return Picked(tuple(rows), wanted, None, None, "guard")
    chosen = [(list(forms)[place], reason) for place, reason, forms in found]
    served = [list(forms.values())[place] for place, _, forms in found]
    # As it came, a process takes the place of what is recalibrated where it is clearly better, of
    # all or of the late.
    at = int(
        len(served) > 1
        and (
            clear(served[0].loss, served[1].loss, on.window)
            or verdicts.loses_when_late(served[0].predicted, served[1], on)
        )
    )
    reason = "only_candidate" if len(candidates) == 1 else chosen[at][1]
    if served[at] is not candidates[wanted]:
        reason = "guard"
    return Picked(tuple(rows), wanted, chosen[at][0], served[at], reason)


def best(candidates: Sequence[Candidate], on: Judged) -> int:
    """Return which of some candidates is chosen where nothing else counts."""
    return _choose(candidates, on)[0]


def _choose(candidates: Sequence[Candidate], on: Judged) -> tuple[int, str]:
    """Return the average unless it is clearly worse, else a process; of equals by the BIC."""
    means = [float(each.loss.mean()) for each in candidates]
    first = means.index(min(means))
    for at, each in enumerate(candidates):
        if each.is_average and not _outdone(each, candidates[first], on):
            return at, "least_log_loss" if at == first else "average_not_clearly_worse"
    off = [metrics.ece(each.predicted, on.churned) for each in candidates]
    tied = [
        at
        for at, mean in enumerate(means)
        if mean <= (1 + NEGLIGIBLE) * means[first] and off[at] <= max(ECE_AIM, off[first])
    ]
    known = [at for at in tied if np.isfinite(candidates[at].bic)]
    if not known:
        return first, "least_log_loss"
    at = known[least_bic([candidates[at].bic for at in known])]
    twin = [
        i for i, each in enumerate(candidates) if each.kind == MODIFIED.get(candidates[at].kind)
    ]
    if twin and means[twin[0]] <= (1 + CLOSE) * means[at]:
        at = twin[0]
    return at, "least_log_loss" if at == first else "simpler_and_as_good"


def _outdone(average: Candidate, best: Candidate, on: Judged) -> bool:
    """Return whether an average is worse than the best by more than chance and a little."""
    gap = difference(average.loss, best.loss, on.window)
    return gap.value > max(CLEARLY * gap.standard_error, CLOSE * float(best.loss.mean()))


def auc_error(score: FloatArray, y: FloatArray) -> float:
    """Return the standard error of an AUC, as of its difference to that of no order at all."""
    return metrics.auc_difference(score, np.zeros(score.size), y).standard_error


def _result(each: Candidate, least: FloatArray, on: Judged, *, published: bool) -> CandidateResult:
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
