"""The past days that weights are learnt from, a third of a window apart, as far back as facts go.

Their windows overlap: three times the rows say less than three times as much, but they say it of
every season, and of every age that customers have had. All end by the last day, so that what is
known of each was known then. Where there would be more than `MOST` days they lie further apart,
and of many customers each day has a draw of its own, so that there are at most `ROWS` rows.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from app.scoring.churn import observation
from app.scoring.churn.observation import Landmark
from app.scoring.histories.features import Facts

ROWS: Final = 300_000
MOST: Final = 60
APART: Final = 3  # parts of a window


def landmarks(facts: Facts, as_of: int, window: int, *, seed: int = 0) -> tuple[Landmark, ...]:
    """Return landmarks of a history, ascending by day.

    Parameters
    ----------
    facts : Facts
    as_of, window : int
        The last day, and the days in which outcomes are watched.
    seed : int
        Of the draws.
    """
    first = int(np.min(facts.day, initial=as_of))
    starts = days(first, as_of, window)
    each = ROWS // max(len(starts), 1)
    found = []
    for place, day in enumerate(starts):
        some = observation.sampled(facts, day, (seed, place), most=each)
        mark = observation.observe(some, day, window)
        if mark.customer.size:
            found.append(mark)
    return tuple(found[::-1])


def days(first: int, as_of: int, window: int) -> list[int]:
    """Return the days of landmarks, descending: each with half a window of history before it."""
    last, earliest = as_of - window, first + math.ceil(window / 2)
    apart = max(math.ceil(window / APART), math.ceil((last - earliest + 1) / MOST), 1)
    return list(range(last, earliest - 1, -apart))
