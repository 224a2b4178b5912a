"""The log of all purchases, netted in SQL, against the brute-force twin."""

import random
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal

import pytest

from app.days import from_day
from app.deployment import Deployment
from app.postgres.db import WriteSession
from app.services.customer_base import purchase_log
from tests import histories
from tests.database import NOW
from tests.kept import as_item, ingest
from tests.twin import Twin


@pytest.mark.parametrize("seed", range(3))
async def test_the_log_is_what_refunds_leave_of_purchases_at_any_instant(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    rng = random.Random(300 + seed)
    zone = deployment.calendar.zone
    end = NOW.date() - timedelta(days=30)
    facts = {
        f"c{number:02}": [fact for fact in histories.facts(rng, zone, end) if fact.at <= NOW]
        for number in range(12)
    }
    for customer_id, own in facts.items():
        await ingest(session, deployment, [as_item(customer_id, fact) for fact in own], NOW)
    taken_back = Decimal(0)
    for days in (0, 20, 31, 60, 200):
        until = NOW - timedelta(days=days)
        twins = {each: Twin(own, zone) for each, own in facts.items()}
        expected = [twin.day_values(until) for twin in twins.values()]
        expected = [values for values in expected if values]
        found: dict[int, dict[date, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        customer, day, amount = await purchase_log.read(session, deployment.as_of(until))
        for who, on, value in zip(customer.tolist(), day.tolist(), amount.tolist(), strict=True):
            found[who][from_day(on)] += Decimal(str(value))
        assert [found[who] for who in sorted(found)] == expected
        bought = [fact for own in facts.values() for fact in own if fact.kind == "purchase"]
        taken_back += sum(fact.value for fact in bought if fact.at <= until)
        taken_back -= sum(sum(values.values()) for values in expected)
    assert taken_back > 0
