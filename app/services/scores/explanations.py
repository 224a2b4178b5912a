"""What churn risk is made of, kept with each row of a run: reasons are told from it alone."""

import struct
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.scoring.churn.design import BASELINE_CAUSES, TOGETHER
from app.services.common.stored_documents import StoredDocument
from app.services.scores.model_scores import Scores
from app.services.scores.reason_inputs import QUOTED


class RunExplanation(StoredDocument):
    """What stands in the `explanation` of a row: numbers of 64 bits, the lowest byte first.

    The log-odds; what each of `causes` adds to those of the reference customer, `base_log_odds`;
    and `features`, the columns that the texts of these causes quote and no other column has.
    """

    base_log_odds: float
    causes: list[str]
    features: list[str]

    @cached_property
    def layout(self) -> struct.Struct:
        return struct.Struct(f"<{1 + len(self.causes) + len(self.features)}d")

    def read(
        self, row: Mapping[str, Any], day: int
    ) -> tuple[float, dict[str, float], dict[str, float]]:
        """Return log-odds, what each cause adds, and the columns that it has of `Features`."""
        log_odds, *numbers = self.layout.unpack(row["explanation"])
        last, first = row["last_purchase_on"].toordinal(), row["first_purchase_on"].toordinal()
        known = {
            "x": row["purchase_days"] - 1.0,
            "t_x": float(last - first),
            "T": float(day - first + _EPOCH),
            **dict(zip(self.features, numbers[len(self.causes) :], strict=True)),
        }
        return log_odds, dict(zip(self.causes, numbers, strict=False)), known


_EPOCH = date(1970, 1, 1).toordinal()
_OF_ROWS = ("x", "t_x", "T")
"""Columns that follow from others of a row."""


def of(scores: Scores) -> RunExplanation:
    """Return what the rows of some scores hold: it follows from model and horizon alone."""
    risk, causes = scores.model.risk, list(scores.reasons.parts)
    if risk is not None:
        weighty = [cause for cause, weight in risk.weights.items() if weight]
        causes = [each for each in causes if each in {*BASELINE_CAUSES, TOGETHER, *weighty}]
    quoted = dict.fromkeys(name for cause in causes for name in QUOTED[cause])
    features = [name for name in quoted if name not in _OF_ROWS]
    return RunExplanation(
        base_log_odds=float(scores.reasons.base), causes=causes, features=features
    )


def packed(scores: Scores) -> NDArray[np.void]:
    """Return what is kept of each of some buyers."""
    layout, reasons = of(scores), scores.reasons
    columns: Sequence[Any] = [
        reasons.total,
        *(reasons.parts[cause] for cause in layout.causes),
        *(getattr(scores.inputs.features, name) for name in layout.features),
    ]
    table = np.stack([np.asarray(each, "<f8") for each in columns], axis=1)
    return table.view(f"V{table.itemsize * len(columns)}").ravel()
