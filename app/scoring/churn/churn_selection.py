"""Which churn risk to serve, decided by how well each foresaw the windows of the past.

1. Candidates are models of purchases by themselves and the landmark model, the average of the best
   of them and a regression (`app.scoring.churn.landmark`). Each is taken along the windows of the
   past, everything learnt from what came before each window only, its recalibration included
   (`app.scoring.churn.walk_forward`). An Erlang-k whose ``k`` is 1 is the model without it, and is
   not judged twice.
2. The average serves unless something foresaw the windows clearly better: by more than two standard
   errors, which respect that customers of one window share what happened in it, and a hundredth.
   Else the model of purchases with the least log loss does, of equals that with the least BIC.
3. What loses to its own process as it came, of everybody or of the late alone, or to the base
   rate, is not published (`app.scoring.churn.verdicts`): a process whose line loses competes as it
   came, and where that loses, too, and nothing else is left, everybody is told the base rate.
4. What serves is what was judged, fitted to everything. It learns further horizons from outcomes
   over each (`app.scoring.churn.horizon_calibration`).
5. Where the last window differs from what was learnt (`app.scoring.churn.notes`), or a rule of
   silence foresaw the windows better than what was chosen, the note says so.

With too little to judge by, fewer than `MIN_EVENTS` customers of either outcome, the model of
purchases with the least BIC serves as it is, and says `insufficient_history`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from app.scoring.churn import candidates as judging
from app.scoring.churn import (
    growth,
    horizon_calibration,
    landmark,
    notes,
    observation,
    spread,
    walk_forward,
)
from app.scoring.churn import guard as guarding
from app.scoring.churn.candidates import Candidate, CandidateResult, Judged
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.churn.growth import Growth
from app.scoring.churn.guard import Guard
from app.scoring.churn.walk_forward import Past, Track
from app.scoring.evaluation import selection
from app.scoring.evaluation.one_standard_error import least_bic, plain_values
from app.scoring.evaluation.temporal_holdout import bic
from app.scoring.histories.features import Facts
from app.scoring.numerics.array_types import FloatArray
from app.scoring.purchases.registry import MODELS
from app.scoring.spend.intervals import Between
from app.seasons import Season

PLAIN_KINDS: Final = ("mbg_nbd", "pareto_nbd", "mbg_cnbd_k", "bg_cnbd_k", "bg_nbd")
SIMPLICITY: Final = (*selection.SIMPLICITY, "nbd", landmark.KIND)
REGULAR: Final = "mbg_cnbd_k"
MEMORYLESS: Final = {REGULAR: "mbg_nbd", "bg_cnbd_k": "bg_nbd"}
INSUFFICIENT: Final = "insufficient_history"
MIN_EVENTS: Final = 25


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
        ``least_log_loss``; ``average_not_clearly_worse``; ``simpler_and_as_good``;
        ``only_candidate``; ``guard``; ``insufficient_history``.
    note : str
        What there is too little of, that the last window differs from what was learnt, which rule
        of silence foresaw better; empty otherwise.
    horizon, holdout : int
        Days asked for, and days of each window that was judged (0: none).
    label_window : int
        Days in which outcomes were watched to learn from; 0 if none were.
    extrapolated : bool
        Whether the answer is extrapolated from ``label_window`` to ``horizon``.
    table : tuple of CandidateResult
        Simplest first; empty where nothing was judged.
    guard : Guard
        What serves in place of what, and why.
    foreseen : tuple of FloatArray
        What what serves would have told over the horizon at the latest window that has ended by
        now, and 1 for those who churned, else 0; empty where nothing was judged.
    between : Between
        By how much totals of windows are off, which intervals hold.
    growth : Growth or None
        How the base rate moved over the windows; None where nothing was judged.
    """

    risk: ChurnRisk
    status: str
    reason: str
    note: str
    horizon: int
    holdout: int
    table: tuple[CandidateResult, ...]
    guard: Guard
    foreseen: tuple[FloatArray, FloatArray] = (np.zeros(0), np.zeros(0))
    between: Between = field(default_factory=Between)
    growth: Growth | None = None

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
                "guard": self.guard.as_dict(),
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
    season: Season | None = None,
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
        The one that the landmark model starts from where there are no ``kinds``.
    seed : int
        Of the draw among more customers than `observation.CUSTOMERS`.
    season : Season, optional
        Where there is one, what is chosen has to be asked for as many days ahead as there are
        seasonal ones within the horizon.

    Raises
    ------
    ValueError
        If the log is not valid, the horizon not a positive whole number, or a kind not known.
    """
    ahead = observation.whole_days("horizon", horizon)
    unknown = set(kinds) - set(MODELS)
    if unknown:
        message = f"there is no model of purchases {', '.join(sorted(unknown))}"
        raise ValueError(message)
    past = _past(facts, as_of, ahead, seed, season)
    order = sorted(set(kinds), key=SIMPLICITY.index) or [process]
    plain = {kind: walk_forward.plain(past, kind) for kind in order}
    tracks = [track for track in plain.values() if not _doubled(track, order)]
    on = judging.judged(tracks)
    if on.events < MIN_EVENTS:
        return _by_bic(tracks, ahead, _too_little(on))
    found = [_candidate(track, track, on) for track in tracks]
    best = tracks[judging.best(found, on)].now.kind
    second = landmark.along(past, best)
    if second is not None and judging.judged([*tracks, second]).events >= MIN_EVENTS:
        tracks = [*(tracks if kinds else []), second]
    elif not kinds:
        return _by_bic(tracks, ahead, _too_little(on))
    return _judged(past, tracks, plain, ahead)


def judge(facts: Facts, kind: str, *, as_of: int, horizon: int, seed: int = 0) -> Guard:
    """Return how a model of purchases that serves as it is did over the windows of the past.

    Arguments and errors as for `choose`.
    """
    past = _past(facts, as_of, observation.whole_days("horizon", horizon), seed)
    track = walk_forward.plain(past, kind)
    on = judging.judged([track])
    if on.events < MIN_EVENTS:
        return Guard(serves=guarding.RAW, kind=kind)
    return guarding.asked_for(_candidate(track, track, on), _base_rate(past, kind, on)[1], on)


def _past(facts: Facts, as_of: int, ahead: int, seed: int, season: Season | None = None) -> Past:
    some = observation.sampled(facts, as_of, seed)
    window = landmark.label_window(some, as_of, ahead)
    return walk_forward.look_back(some, as_of, window, season=season)


def _judged(past: Past, tracks: list[Track], plain: dict[str, Track], ahead: int) -> ChurnSelection:
    """Return what serves of candidates that can be judged."""
    on = judging.judged(tracks)
    found = [_candidate(track, plain[track.now.process_kind], on) for track in tracks]
    base, base_loss = _base_rate(past, tracks[0].now.process_kind, on)
    picked = judging.select(found, on, base_loss)
    guard = guarding.decide(found[picked.wanted], picked.served, base_loss, on)
    if picked.at is None or picked.served is None:
        track, loss = base, base_loss
        told = np.concatenate([base.predicted(at) for at in on.at])
        risk = horizon_calibration.calibrate(track.recalibrated(None), track)
    elif picked.served.raw:
        track, loss, told = plain[picked.served.kind], picked.served.loss, picked.served.predicted
        risk = dataclasses.replace(track.now, label_window=0)
    else:
        track, loss, told = tracks[picked.at], picked.served.loss, picked.served.predicted
        risk = horizon_calibration.calibrate(track.recalibrated(None), track)
    return ChurnSelection(
        risk,
        "ok",
        picked.reason,
        notes.of(past, on, told, loss),
        ahead,
        past.window,
        picked.table,
        guard,
        _foreseen(track, guard, ahead),
        between=spread.learn(track, on, told),
        growth=growth.of(track, used=guard.serves != guarding.RAW),
    )


def _by_bic(tracks: Sequence[Track], ahead: int, note: str) -> ChurnSelection:
    """Return the process with the least BIC, as it is."""
    best = tracks[least_bic([_bic(track) for track in tracks])]
    risk = dataclasses.replace(best.now, label_window=0, status=INSUFFICIENT)
    guard = Guard(serves=guarding.RAW, kind=risk.kind)
    return ChurnSelection(risk, INSUFFICIENT, INSUFFICIENT, note, ahead, 0, (), guard)


def _too_little(on: Judged) -> str:
    return (
        f"{on.events} customers had the rarer outcome in the windows of the past, "
        f"{MIN_EVENTS} are needed"
    )


def _doubled(track: Track, kinds: Sequence[str]) -> bool:
    """Return whether it is an Erlang-k that is its own model without memory."""
    return track.now.process.params.get("k") == 1 and MEMORYLESS[track.now.kind] in kinds


def _candidate(track: Track, raw: Track, on: Judged) -> Candidate:
    own = track.now.kind == track.now.process_kind
    return judging.candidate(track, raw, on, _bic(track) if own else np.inf)


def _bic(track: Track) -> float:
    """Return the BIC of a process; that of a prior is infinite."""
    process = track.now.process
    return np.inf if process.status == "fallback" else bic(process, len(track.past.now))


def _base_rate(past: Past, kind: str, on: Judged) -> tuple[Track, FloatArray]:
    """Return the base rate along the windows, and its losses."""
    track = walk_forward.base_rate(past, kind)
    return track, judging.losses(track, on)


def _foreseen(track: Track, guard: Guard, ahead: int) -> tuple[FloatArray, FloatArray]:
    """Return what was told over the horizon at the latest window, and what happened."""
    past = track.past
    ended = [at for at in track.risks if past.marks[at].day + ahead <= past.as_of]
    if not ended:
        return np.zeros(0), np.zeros(0)
    at, mark = ended[-1], past.marks[ended[-1]]
    risk = track.risks[at] if guard.serves == guarding.RAW else track.recalibrated(at)
    churned = observation.churned(past.facts, mark.customer, mark.day, ahead)
    return risk.probability(mark.features, horizon=past.ahead(mark.day, ahead)), churned
