"""Money as it is stored: whole numbers of the smallest unit, so that sums are exact.

`app.lifecycle`, which imports nothing of the application, has the same number of units.
"""

from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

PLACES: Final = 4
UNITS: Final = 10**PLACES
"""Smallest stored units in one of the currency."""
UNIT: Final = Decimal(1).scaleb(-PLACES)
CENTS: Final = 100
_LARGEST: Final = 9.2e18
"""As many units as a number of the table holds, nearly."""


def to_units(amount: Decimal) -> int:
    """Return an amount as a count of the smallest unit."""
    return int(amount.scaleb(PLACES))


def to_amount(units: int) -> Decimal:
    """Return a count of the smallest unit as an amount."""
    return Decimal(units).scaleb(-PLACES)


def cents(amounts: NDArray[Any]) -> NDArray[np.int64]:
    """Return computed amounts of money in cents: the one rounding of all that is computed."""
    largest = _LARGEST * CENTS / UNITS
    found: NDArray[np.int64] = np.rint(np.clip(amounts * CENTS, -largest, largest)).astype(np.int64)
    return found


def to_cents(value: float) -> Decimal:
    """Return a computed amount of money, rounded as it is shown."""
    return Decimal(cents(np.asarray([value])).item()).scaleb(-2)
