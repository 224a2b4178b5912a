"""What churn risk is made of, kept with each row of a run: reasons are told from it alone."""

import struct
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.scoring.churn.design import BASELINE_CAUSES
from app.services.common.stored_documents import StoredDocument
from app.services.models.fitted_models import FittedModel
from app.services.scores import reason_texts
from app.services.scores.model_scores import Scores
from app.services.scores.reason_texts import QUOTED, ReasonInputs


class RunExplanation(StoredDocument):
    """What stands in the `explanation` of a row: numbers of 64 bits, the lowest byte first.

    The log-odds; what each of `causes` adds to those of the reference customer, `base_log_odds`;
    and `features`, the columns that the texts of these causes quote, besides x, t_x and T.
    """

    base_log_odds: float
    causes: list[str]
    features: list[str]

    @cached_property
    def _layout(self) -> struct.Struct:
        return struct.Struct(f"<{1 + len(self.causes) + len(self.features)}d")

    def reasons(
        self, model: FittedModel, day: int, row: Mapping[str, Any]
    ) -> tuple[float, list[dict[str, Any]]]:
        """Return the log-odds of a row, and its reasons in words, as of the day of the run."""
        log_odds, *numbers = self._layout.unpack(row["explanation"])
        last, first = row["last_purchase_on"], row["first_purchase_on"]
        known = {
            "x": row["purchase_days"] - 1.0,
            "t_x": float((last - first).days),
            "T": float(day - first.toordinal() + _EPOCH),
            **dict(zip(self.features, numbers[len(self.causes) :], strict=True)),
        }
        parts = dict(zip(self.causes, numbers, strict=False))
        return log_odds, reason_texts.tell(ReasonInputs(model, day, known), parts)


_EPOCH = date(1970, 1, 1).toordinal()


def of(scores: Scores) -> RunExplanation:
    """Return what the rows of some scores hold: it follows from model and horizon alone."""
    risk, causes = scores.model.risk, list(scores.reasons.parts)
    if risk is not None:
        weighty = [cause for cause, weight in risk.weights.items() if weight]
        causes = [each for each in causes if each in BASELINE_CAUSES or each in weighty]
    features = dict.fromkeys(name for cause in causes for name in QUOTED.get(cause, ()))
    return RunExplanation(
        base_log_odds=float(scores.reasons.base), causes=causes, features=list(features)
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
