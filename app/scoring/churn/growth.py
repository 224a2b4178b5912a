"""How the base rate moved: the level of each window of the past, and the one to be expected next.

The level of a window is by how much, in log-odds, more customers made no purchase in it than what
is learnt told of them by itself. The line over the windows (`app.scoring.regression.windows`)
forecasts the next one: where the base rate walks, nearly the last level; where windows differ by
chance, nearly their mean.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.scoring.churn.walk_forward import Track


@dataclass(frozen=True)
class WindowLevel:
    """One window of the past.

    Attributes
    ----------
    day : int
        Its start, the last day that was learnt from.
    customers : int
    told, churned : float
        Mean probability of no purchase, by the line over the windows before it, and the share that
        made none.
    level, error : float
        In log-odds, and its standard error.
    """

    day: int
    customers: int
    told: float
    churned: float
    level: float
    error: float


@dataclass(frozen=True)
class Growth:
    """The windows of the past, ascending, and what follows from them.

    Attributes
    ----------
    windows : tuple of WindowLevel
    slope : float
        What the log-odds are multiplied by.
    forecast : float
        The level to be expected of the next window, in log-odds.
    used : bool
        Whether what serves is moved by it; a process that serves as it came is not.
    """

    windows: tuple[WindowLevel, ...]
    slope: float
    forecast: float
    used: bool


def of(track: Track, *, used: bool) -> Growth | None:
    """Return how the base rate moved along the windows of a candidate; None without any."""
    if not track.odds:
        return None
    found = track.levels()
    marks = [track.past.marks[at] for at in track.odds]
    rows = zip(track.odds, marks, found.level.tolist(), found.error.tolist(), strict=True)
    return Growth(
        tuple(
            WindowLevel(
                mark.day,
                mark.churned.size,
                float(track.predicted(at).mean()),
                float(mark.churned.mean()),
                level,
                error,
            )
            for at, mark, level, error in rows
        ),
        found.slope,
        found.forecast,
        used,
    )
