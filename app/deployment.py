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
    """The zone that decides what a day is, and the currency of all sums."""

    calendar: Calendar
    currency: str

    @classmethod
    def of(cls, settings: Settings) -> "Deployment":
        return cls(Calendar(settings.zone), settings.currency)

    def as_of(self, at: datetime) -> AsOf:
        return AsOf(at, self.calendar.day_of(at))


def to_units(amount: Decimal) -> int:
    """Return an amount as a count of the smallest unit."""
    return int(amount.scaleb(4))


def to_amount(units: int) -> Decimal:
    """Return a count of the smallest unit as an amount."""
    return Decimal(units).scaleb(-4)
