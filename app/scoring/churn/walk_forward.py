"""Candidates as they would have been learnt in the past, window by window.

1. The windows are as long as the label window. They end at the end of the history and lie end to
   end within the last `YEAR` days, `APART` days apart at the least, and always two where there is
   the history; each has half a window of history before it.
   As many windows again, of the year before, are learnt from, and not judged: they tell the season.
2. At some of them, spread evenly, a candidate is fitted anew; at the others the latest of those
   fits is used. So nothing is ever told with a fact from after the start of its window.
3. In a season, a window is as long a horizon as it has seasonal days: what windows then still
   differ by is no season.
4. What is told at a window is recalibrated by a line that was fitted to the windows that had ended
   by then (`app.scoring.regression.windows`), as it would have been in use. Its level lies between
   that of the windows and that of the pace of late (`app.scoring.churn.pace`): where, they tell,
   drawn to the middle.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from app.scoring.churn import observation
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.churn.observation import Landmark
from app.scoring.churn.pace import Pace
from app.scoring.churn.rules import BASE_RATE
from app.scoring.evaluation import metrics
from app.scoring.histories.features import Facts, Features, features_at
from app.scoring.numerics.array_types import FloatArray
from app.scoring.regression import windows
from app.scoring.regression.level_forecast import SHARED
from app.scoring.regression.recalibration import Platt, sigmoid
from app.seasons import Season

YEAR: Final = 366
APART: Final = 30
FEW: Final = 6
FITS: Final = (5, 1)  # of the landmark model, in the last year and before it
PLAIN_FITS: Final = (3, 1)  # of each process by itself
ANY_SHARE: Final = 3.0  # log-odds: beforehand hardly anything is known of a share
PACED: Final = "mbg_nbd"  # what the pace is beside, one for all candidates: it is of everybody
PARTS: Final = np.linspace(0, 1, 5)  # of the way from the level of windows to that of the pace
OF_PACE: Final = 0.5  # the part that the choice among them is drawn to
ENOUGH: Final = 2  # windows: one may gain by chance
DRAWN: Final = 0.01  # log loss of a window, times the squared distance from it


@dataclass(frozen=True, eq=False)
class Past:
    """The windows of the past, and the processes that were fitted at their starts.

    Attributes
    ----------
    facts : Facts
    as_of, window : int
        The last day, and the length of every window.
    now : Features
        Of the customers known at the last day.
    marks : tuple of Landmark
        The windows, ascending by day; their processes are kept apart.
    recent : int
        How many of them, the last ones, are judged.
    season : Season or None
        In which a window of days is a horizon of so many seasonal ones.
    """

    facts: Facts
    as_of: int
    window: int
    now: Features
    marks: tuple[Landmark, ...]
    recent: int
    pace: Pace
    season: Season | None = None
    _processes: dict[tuple[str, int], Any] = field(default_factory=dict)

    def ahead(self, day: int, days: int) -> float:
        """Return the horizon that risk is asked for, of so many days after a day."""
        return days if self.season is None else float(self.season.between(day, day + days))

    def fits(self, late: int, early: int) -> tuple[int, ...]:
        """Return which windows to fit at, so many of the last year and before it, ascending."""
        marks, start = len(self.marks), len(self.marks) - self.recent
        if not marks:
            return ()
        of_year = np.linspace(start, marks - 1, min(late, self.recent))
        before = np.linspace(0, start, min(early, start), endpoint=False)
        return tuple(np.append(before, of_year).round().astype(int).tolist())

    def process(self, kind: str, at: int | None) -> Any:
        """Return a process fitted at the start of a window, or at the last day for None."""
        day = self.as_of if at is None else self.marks[at].day
        if (kind, day) not in self._processes:
            features = self.now if at is None else self.marks[at].features
            self._processes[kind, day] = observation.fit_process(features, kind)
        return self._processes[kind, day]

    def plain(self, kind: str, at: int | None) -> ChurnRisk:
        """Return a process by itself as a risk, as of `process`."""
        features = self.now if at is None else self.marks[at].features
        return observation.plain(features, kind, self.window, process=self.process(kind, at))

    def foreseen(self, at: int | None) -> float | None:
        """Return the share that the pace up to a window has leave in it, or in the next for None.

        None where too little tells.
        """
        if at is None:
            return self.pace.share(self.process(PACED, None), self.now, self.as_of)
        fit = max((fit for fit in self.fits(*PLAIN_FITS) if fit <= at), default=None)
        if fit is None:
            return None
        mark = self.marks[at]
        return self.pace.share(self.process(PACED, fit), mark.features, mark.day)

    @property
    def judged(self) -> tuple[int, ...]:
        """The windows that are judged: all with another one before them."""
        return tuple(
            at
            for at, mark in enumerate(self.marks)
            if self.marks[0].end <= mark.day and at >= len(self.marks) - self.recent
        )


def look_back(facts: Facts, as_of: int, window: int, *, season: Season | None = None) -> Past:
    """Return the past of a history in windows of a length; see the module."""
    first = int(np.min(facts.day, initial=as_of))
    marks = [observation.observe(facts, day, window) for day in days(first, as_of, window)]
    known = tuple(mark for mark in marks if mark.customer.size)
    _, now = features_at(facts, as_of=as_of)
    recent = sum(mark.day >= as_of - max(YEAR, 2 * window) for mark in known)
    pace = Pace(facts, as_of, window, season)
    return Past(facts, as_of, window, now, known, recent, pace, season)


def days(first: int, as_of: int, window: int) -> list[int]:
    """Return the starts of the windows of a history, ascending; see the module."""
    earliest = first + math.ceil(window / 2)
    room = max(as_of - window - earliest, 0)
    apart = window * min(math.ceil(APART / window), max(room // (FEW * window), 1))
    starts = range(as_of - window, max(earliest, as_of - 2 * max(YEAR, 2 * window)) - 1, -apart)
    return list(starts)[::-1]


@dataclass(frozen=True, eq=False)
class Track:
    """One candidate along the windows.

    Attributes
    ----------
    risks : dict
        As it came, uncalibrated, by the window that it was learnt at the start of.
    odds : dict
        What it told of the customers of each window.
    now : ChurnRisk
        Learnt at the last day.
    shared : float
        As for `level_forecast.forecast`.
    """

    past: Past
    now: ChurnRisk
    risks: Mapping[int, ChurnRisk]
    odds: Mapping[int, FloatArray]
    shared: float = SHARED
    _windows: Mapping[int, windows.Window] = field(init=False, default_factory=dict)
    _losses: dict[int, FloatArray] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Prepare the windows once."""
        prepared = {
            at: windows.window(self.past.marks[at].day, odds, self.past.marks[at].churned)
            for at, odds in self.odds.items()
        }
        object.__setattr__(self, "_windows", prepared)

    def recalibrated(self, at: int | None) -> ChurnRisk:
        """Return what was learnt at the start of a window, or now, by its line."""
        if at is None:
            past = self.past
            odds = self.now.log_odds(past.now, horizon=past.ahead(past.as_of, past.window))
            return self.now.recalibrated(self._line(None, odds))
        return self.risks[at].recalibrated(self._line(at, self.odds[at]))

    def predicted(self, at: int) -> FloatArray:
        """Return the probability that was told of each customer of a window."""
        return self._line(at, self.odds[at]).apply(self.odds[at])

    def levels(self) -> windows.Levels:
        """Return the level of each window that it told something of, and the next one's."""
        over = [self._windows[at] for at in self.odds]
        return windows.levels(over, day=self.past.as_of, shared=self.shared)

    def _line(self, at: int | None, odds: FloatArray) -> Platt:
        """Return the line for what is told at the start of a window, or at the last day."""
        found, away = self._levelled(at, odds)
        if not away:
            return found
        day = self.past.as_of if at is None else self.past.marks[at].day
        moved = self._part_of_pace(day) * away
        return dataclasses.replace(found, intercept=found.intercept + moved)

    def _levelled(self, at: int | None, odds: FloatArray) -> tuple[Platt, float]:
        """Return the line by the windows alone, and how far its level is from that of the pace."""
        day = self.past.as_of if at is None else self.past.marks[at].day
        over = [self._windows[each] for each in self.odds if self.past.marks[each].end <= day]
        found = windows.line(over, day=day, centre=windows.middle(odds), shared=self.shared)
        share = self.past.foreseen(at) if over else None
        if share is None:
            return found, 0.0
        return found, windows.level(found.log_odds(odds), share)

    def _part_of_pace(self, day: int) -> float:
        """Return how much of the way to its level the pace may move what is told at a day.

        What would have lost the least in the windows that ended by then; 0 of fewer than `ENOUGH`.
        """
        lost, judged = DRAWN * (PARTS - OF_PACE) ** 2, 0
        for at, odds in self.odds.items():
            mark = self.past.marks[at]
            if mark.end > day or at not in self.past.judged:
                continue
            if at not in self._losses:
                line, away = self._levelled(at, odds)
                told = line.log_odds(odds)
                self._losses[at] = np.array(
                    [metrics.log_loss(sigmoid(told + part * away), mark.churned) for part in PARTS]
                )
            lost, judged = lost + self._losses[at], judged + 1
        return float(PARTS[np.argmin(lost)]) if judged >= ENOUGH else 0.0


def track(
    past: Past,
    learn: Callable[[int | None], ChurnRisk | None],
    fits: Sequence[int],
    **options: float,
) -> Track:
    """Return a candidate along the windows.

    Parameters
    ----------
    past : Past
    learn : callable
        What the candidate would have been at the start of a fresh window, or at the last day for
        None; None where it could not be learnt.
    fits : sequence of int
        The windows at the start of which it is learnt anew.
    """
    risks: dict[int, ChurnRisk] = {}
    odds: dict[int, FloatArray] = {}
    latest: ChurnRisk | None = None
    for at, mark in enumerate(past.marks):
        if at in fits:
            latest = learn(at)
            if latest is not None:
                risks[at] = latest
        if latest is not None:
            odds[at] = latest.log_odds(mark.features, horizon=past.ahead(mark.day, past.window))
    now = learn(None)
    assert now is not None
    return Track(past, now, risks, odds, **options)


def plain(past: Past, kind: str) -> Track:
    """Return a process by itself along the windows; a prior in place of a fit is passed over."""

    def learn(at: int | None) -> ChurnRisk | None:
        risk = past.plain(kind, at)
        return risk if at is None or risk.process.status != "fallback" else None

    return track(past, learn, past.fits(*PLAIN_FITS))


def base_rate(past: Past, kind: str) -> Track:
    """Return what tells the same of everybody: the share that left, as windows have it."""

    def learn(at: int | None) -> ChurnRisk:
        return dataclasses.replace(past.plain(kind, at), kind=BASE_RATE, weights={})

    return track(past, learn, past.fits(*PLAIN_FITS), shared=ANY_SHARE)
