"""What every use case needs to know of the deployment it runs in."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app.config import Settings
from app.days import AsOf, Calendar

MONEY_UNIT = Decimal("0.0001")
"""The smallest stored unit of money; sums in columns count it in integers."""


@dataclass(frozen=True)
class Deployment:
    """The zone that decides what a day is, the currency of all sums, and when models are old.

    A model is fitted anew once the facts since are more than `refit_share` of those it saw.
    """

    calendar: Calendar
    currency: str
    refit_share: float = 0.2

    @classmethod
    def of(cls, settings: Settings) -> "Deployment":
        return cls(Calendar(settings.zone), settings.currency, settings.refit_share)

    def as_of(self, at: datetime) -> AsOf:
        return AsOf(at, self.calendar.day_of(at))


def to_units(amount: Decimal) -> int:
    """Return an amount as a count of the smallest unit."""
    return int(amount.scaleb(4))


def to_amount(units: int) -> Decimal:
    """Return a count of the smallest unit as an amount."""
    return Decimal(units).scaleb(-4)
