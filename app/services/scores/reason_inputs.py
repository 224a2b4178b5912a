"""One customer as the texts of reasons see it: plain numbers, whether live or kept with a run."""

import math
from collections.abc import Mapping
from typing import Final

from app.scoring.histories.features import RECENT
from app.services.models.fitted_models import FittedModel


class ReasonInputs:
    """One customer as churn risk looks at it, in plain numbers; NaN where nothing is known.

    `known` are columns of `Features` by name, at least those that the told causes quote.
    """

    __slots__ = ("T", "day", "known", "model", "silent", "t_x", "x")

    def __init__(self, model: FittedModel, day: int, known: Mapping[str, float]) -> None:
        self.model, self.day, self.known = model, day, known
        self.x, self.t_x, self.T = known["x"], known["t_x"], known["T"]
        self.silent = self.T - self.t_x

    def __getattr__(self, name: str) -> float:
        return self.known[name]

    def recent(self, name: str) -> tuple[float, list[float]]:
        """Return the mean that counts, and the last gaps or values, the latest first.

        As `Features.recent` has it, to the last bit.
        """
        total = weight = 0.0
        found = []
        for back, share in enumerate(_SHARES, start=1):
            each = self.known[f"{name}_{back}"]
            if not math.isnan(each):
                found.append(each)
                total += share * each
                weight += share
        return total / weight if weight else math.nan, found


_SHARES: Final = tuple(2 * (RECENT - back) / (RECENT * (RECENT + 1)) for back in range(RECENT))
QUOTED: Final[dict[str, tuple[str, ...]]] = {
    "purchases": ("x",),
    "age": ("T",),
    "inactivity": ("t_x", "T"),
    "frequency_trend": ("x", "t_x", "gap_1", "gap_2", "gap_3"),
    "amount_trend": ("value_1", "value_2", "value_3", "mean_value"),
    "value": ("mean_value",),
    "regularity": ("x", "t_x", "sum_log_gaps", "gap_1", "gap_2", "gap_3"),
    "refunds": ("refunds",),
    "complaints": ("complaints",),
    "satisfaction": ("satisfaction",),
    "surveyed": ("satisfaction",),
    "contact_silence": ("contact_silence",),
    "contacted": ("contact_silence",),
    "purchase_history": (),
}
"""The columns of `Features` that the text of a cause is made of."""
