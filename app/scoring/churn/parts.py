"""What an averaged churn risk is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.scoring.churn.churn_risk import ChurnRisk


@dataclass(frozen=True, eq=False)
class Part:
    """A risk that counts in an average by its weight; those of all add up to 1."""

    name: str
    weight: float
    risk: ChurnRisk
