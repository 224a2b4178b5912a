"""Money as it is stored: whole numbers of the smallest unit, so that sums are exact.

`app.lifecycle`, which imports nothing of the application, has the same number of units.
"""

from decimal import Decimal
from typing import Final

PLACES: Final = 4
UNITS: Final = 10**PLACES
"""Smallest stored units in one of the currency."""
UNIT: Final = Decimal(1).scaleb(-PLACES)


def to_units(amount: Decimal) -> int:
    """Return an amount as a count of the smallest unit."""
    return int(amount.scaleb(PLACES))


def to_amount(units: int) -> Decimal:
    """Return a count of the smallest unit as an amount."""
    return Decimal(units).scaleb(-PLACES)
