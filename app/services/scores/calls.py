"""Whom to call, and why: those of whom something is amiss, and who are not lost."""

from itertools import compress, product
from typing import Final

import numpy as np

from app.lifecycle.dated import Bools, Ints
from app.scoring.churn import rhythm
from app.services.models.churn_features import Known
from app.services.models.fitted_models import FittedModel

REASONS: Final = ("overdue", "declining_frequency", "declining_amount", "open_complaint")
SETS: Final = tuple(
    tuple(compress(REASONS, chosen)) for chosen in product((False, True), repeat=len(REASONS))
)
"""All sets of reasons, by the number that `of` gives."""
NONE: Final = 0


def of(model: FittedModel, known: Known, status: Ints, gone: Bools) -> Ints:
    """Return the reasons to call each of some buyers, as places in `SETS`.

    `status` is the rhythm of each, and `gone` are those of whom somebody has said that they left:
    these and the lost are not to be called.
    """
    found = (
        status == rhythm.OVERDUE,
        model.regularity.less_often(known.features),
        model.regularity.for_less(known.features),
        known.complaining,
    )
    places = np.zeros(len(status), np.int64)
    for each in found:
        places = 2 * places + each
    return np.where(gone | (status == rhythm.LOST), NONE, places)
