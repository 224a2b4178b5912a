"""Whether a churn risk may serve, by what it would have told in the windows of the past.

It may not where it lost to the base rate or to its own process as it came: over everybody, or
over the *late* alone, whose silence is unlikely for the process (`LATE`). The late are few, and
they are whom somebody calls: a line that lowers everybody, because the process tells the many
fresh ones too much, may gain by the many and be wrong of the few. Over fewer than `ENOUGH`
windows it may only serve where it is clearly better than its process; for an average, which is
drawn to its process as it is, fewer are enough (`ENOUGH_OF_AVERAGE`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from app.scoring.churn.walk_forward import Track
from app.scoring.evaluation.one_standard_error import NEGLIGIBLE
from app.scoring.evaluation.ranking import Difference, clustered_difference
from app.scoring.numerics.array_types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from app.scoring.churn.candidates import Candidate, Judged

NOT_JUDGED: Final = "not_judged"
NOT_WORSE: Final = "not_worse"
LOSES_TO_RAW: Final = "loses_to_raw"
LOSES_TO_RAW_WHEN_LATE: Final = "loses_to_raw_when_late"
LOSES_TO_BASE_RATE: Final = "loses_to_base_rate"
LOSES_TO_ANOTHER: Final = "loses_to_another"
FEW_WINDOWS: Final = "few_windows"

LOST: Final = 0.005
LATE: Final = 0.1  # chance of so long a silence of somebody who has not left
LOST_WHEN_LATE: Final = 0.01  # of a Brier score
ENOUGH: Final = 3  # windows
ENOUGH_OF_AVERAGE: Final = 2
CLEARLY: Final = 2.0  # standard errors


def verdict(candidate: Candidate, base: FloatArray, on: Judged) -> str:
    """Return `NOT_WORSE` of a candidate that may serve, else why it may not.

    Parameters
    ----------
    candidate : Candidate
    base : FloatArray
        Losses of the base rate, shape (n,).
    on : Judged
    """
    if loses(candidate.loss, base, on.window):
        return LOSES_TO_BASE_RATE
    if loses(candidate.loss, candidate.raw_loss, on.window):
        return LOSES_TO_RAW
    if loses(candidate.raw_loss, base, on.window):
        return NOT_WORSE  # its process may not take its place
    if loses_when_late(candidate.predicted, candidate, on):
        return LOSES_TO_RAW_WHEN_LATE
    if len(on.at) < (ENOUGH_OF_AVERAGE if candidate.is_average else ENOUGH):
        gain = difference(candidate.raw_loss, candidate.loss, on.window)
        if not gain.value > CLEARLY * gain.standard_error:
            return FEW_WINDOWS
    return NOT_WORSE


def loses(loss: FloatArray, other: FloatArray, window: IntArray) -> bool:
    """Return whether a candidate is worse than what would serve in its place."""
    gap = difference(loss, other, window)
    return gap.value > min(gap.standard_error, LOST)


def loses_when_late(told: FloatArray, process: Candidate, on: Judged) -> bool:
    """Return whether what is told is worse than a process as it came of those late by it.

    By Brier score, which is bounded: by log loss the first fits, which knew of nobody leaving and
    were sure that the late would buy, would outweigh all others.
    """
    late = process.late
    if not late.any():
        return False
    own, raw = ((p[late] - on.churned[late]) ** 2 for p in (told, process.raw_predicted))
    _, window = np.unique(on.window[late], return_inverse=True)
    gap = difference(own, raw, window)
    return gap.value > max(gap.standard_error, LOST_WHEN_LATE)


def clear(more: FloatArray, less: FloatArray, window: IntArray) -> bool:
    """Return whether a mean loss exceeds another by more than would pass as a tie."""
    gap = difference(more, less, window)
    return gap.value > max(gap.standard_error, NEGLIGIBLE * float(less.mean()))


def difference(more: FloatArray, less: FloatArray, window: IntArray) -> Difference:
    """Return the difference of two mean losses; windows count, and the customers in them."""
    gap = clustered_difference(more, less, window)
    return Difference(gap.value, float(np.nan_to_num(gap.standard_error)))


def late(track: Track, at: Sequence[int]) -> BoolArray:
    """Return who is late at the start of some windows by a process along them, shape (n,)."""
    found = [np.zeros(0, dtype=bool)]
    for one in at:
        known = track.past.marks[one].features
        process = track.risks[max(fit for fit in track.risks if fit <= one)].process
        found.append(process.silence_if_active(known.x, known.t_x, known.T) <= LATE)
    return np.concatenate(found)
