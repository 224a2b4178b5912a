"""What every use case needs to know of the deployment it runs in."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.config import DEFAULT_HORIZON_DAYS, Settings
from app.days import AsOf, Calendar
from app.money import UNIT


@dataclass(frozen=True)
class Deployment:
    """The zone that decides what a day is, the currency of all sums, and when models are old.

    A model is fitted anew once the facts since are more than `refit_share` of those it saw.
    `country` is that of phone numbers of which no other is known. `horizon_days` are those that
    models are fitted for, unless another horizon is asked for.
    """

    calendar: Calendar
    currency: str
    refit_share: float = 0.2
    country: str | None = None
    horizon_days: int = DEFAULT_HORIZON_DAYS

    @classmethod
    def of(cls, settings: Settings) -> "Deployment":
        return cls(
            Calendar(settings.zone),
            settings.currency,
            settings.refit_share,
            settings.country,
            settings.horizon_days,
        )

    def money(self, amount: Decimal) -> dict[str, Any]:
        """Return an amount of the deployment's currency as answers tell it."""
        return {"amount": amount, "currency": self.currency}

    def computed_money(self, value: float) -> dict[str, Any]:
        """Return a computed value of money, rounded to the smallest unit."""
        return self.money(Decimal(repr(float(value))).quantize(UNIT))

    def as_of(self, at: datetime) -> AsOf:
        return AsOf(at, self.calendar.day_of(at))
