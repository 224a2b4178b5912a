"""One smallest unit of money, wherever money is a whole number."""

from decimal import Decimal

import pytest

from app import money
from app.lifecycle import records


def test_rules_count_money_in_the_units_that_are_stored() -> None:
    assert records.UNITS == money.UNITS == 1 / money.UNIT


@pytest.mark.parametrize("amount", ["0", "-12.5", "0.0001", "99999999999999.9999"])
def test_an_amount_comes_back_from_its_units(amount: str) -> None:
    units = money.to_units(Decimal(amount))
    assert isinstance(units, int)
    assert money.to_amount(units) == Decimal(amount)
