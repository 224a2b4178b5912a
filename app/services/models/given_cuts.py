"""Cuts that a caller gives, as models keep them: those of recency on minus the days."""

from collections.abc import Mapping
from typing import Any

from app.deployment import Deployment
from app.errors import FieldError, ValidationFailed
from app.schemas.models.rfm import RfmCutsIn
from app.schemas.models.rhythm import RhythmCutsIn
from app.scoring.churn.rhythm import Cuts


def read(deployment: Deployment, asked: RfmCutsIn | None) -> dict[str, list[float]]:
    """Return the cuts by the names r, f and m of those that are given."""
    if asked is None:
        return {}
    found: dict[str, list[float]] = {}
    if asked.r is not None:
        found["r"] = [-cut for cut in reversed(asked.r)]
    if asked.f is not None:
        found["f"] = list(asked.f)
    if asked.m is not None:
        faults = [
            FieldError(
                f"/rfm_cuts/m/{place}/currency",
                "currency_mismatch",
                f"must be {deployment.currency}, the deployment's currency",
            )
            for place, cut in enumerate(asked.m)
            if cut.currency not in (None, deployment.currency)
        ]
        if faults:
            raise ValidationFailed(errors=faults)
        found["m"] = [float(cut.amount) for cut in asked.m]
    return found


def of_rhythm(asked: RhythmCutsIn | None) -> Cuts:
    """Return the cuts of rhythm, the usual ones where none are given."""
    return Cuts() if asked is None else Cuts(asked.due, asked.overdue, asked.lost)


def asked_for(kept: Mapping[str, list[float]]) -> dict[str, Any] | None:
    """Return the request that leads to cuts that are kept; None where none were given."""
    found: dict[str, Any] = dict(kept)
    if "r" in found:
        found["r"] = [abs(cut) for cut in reversed(found["r"])]
    if "m" in found:
        found["m"] = [{"amount": f"{cut:.4f}"} for cut in found["m"]]
    return found or None
