"""What is said beside a churn risk that was judged: that times changed, that a rule is better.

The last months may differ from what was learnt by more than months before them did. A level that
moves is followed by the line over the windows (`app.scoring.regression.windows`), by as much as
earlier ones have moved. What it could not have foreseen, a strike, a price, a shop that closed, is
said.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from app.scoring.churn import verdicts, walk_forward
from app.scoring.churn.candidates import Judged
from app.scoring.churn.rules import rules
from app.scoring.churn.walk_forward import Past
from app.scoring.evaluation import metrics
from app.scoring.numerics.array_types import FloatArray

ENOUGH: Final = 3  # windows before the last one
LEAST: Final = 0.3  # log-odds


def of(past: Past, on: Judged, told: FloatArray, loss: FloatArray) -> str:
    """Return what is said beside what serves, from what it told at the windows, and its losses."""
    return "; ".join(filter(None, (changed(told, on, past.window), beaten(past, on, loss))))


def changed(told: FloatArray, on: Judged, days: int) -> str:
    """Return how the last window differs from what was told of it, in words; empty if it does not.

    Parameters
    ----------
    told : FloatArray
        Probabilities of the customers of the windows, shape (n,).
    on : Judged
    days : int
        Of each window.
    """
    n = np.bincount(on.window, minlength=len(on.at))
    if n.size <= ENOUGH:
        return ""
    left = (np.bincount(on.window, weights=on.churned, minlength=n.size) + 0.5) / (n + 1)
    expected = (np.bincount(on.window, weights=told, minlength=n.size) + 0.5) / (n + 1)
    miss = _log_odds(left) - _log_odds(expected)
    usual = float(np.mean(miss[:-1] ** 2))
    chance = 1 / float((n[-1] + 1) * left[-1] * (1 - left[-1]))
    if abs(miss[-1]) <= max(LEAST, verdicts.CLEARLY * float(np.sqrt(usual + chance))):
        return ""
    return (
        f"the last {days} days differ from what was learnt: {left[-1]:.1%} made no purchase, "
        f"{expected[-1]:.1%} were expected to"
    )


def _log_odds(share: FloatArray) -> FloatArray:
    found: FloatArray = np.log(share / (1 - share))
    return found


def beaten(past: Past, on: Judged, loss: FloatArray) -> str:
    """Return which rule of silence foresaw the windows better, in words; empty if none did."""
    fits = past.fits(*walk_forward.PLAIN_FITS)
    rows = np.isin(on.window, [place for place, at in enumerate(on.at) if at in fits])
    told: dict[str, list[FloatArray]] = {}
    for at in on.at:
        if at in fits:
            mark = past.marks[at]
            found = rules(past.facts, mark.day, mark.window, mark.features)
            for rule, (p, _) in found.items():
                told.setdefault(rule, []).append(p)
    if not told:
        return ""
    own, best, name = loss[rows], loss[rows], ""
    for rule, parts in told.items():
        other = metrics.log_loss_each(np.concatenate(parts), on.churned[rows])
        if other.mean() < best.mean():
            best, name = other, rule
    if not name or not verdicts.clear(own, best, on.window[rows]):
        return ""
    return (
        f"the rule {name} foresaw the windows of the past better: log loss {best.mean():.4f}, "
        f"what was chosen {own.mean():.4f}"
    )
