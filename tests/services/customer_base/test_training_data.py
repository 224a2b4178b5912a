"""Purchases as training data, against the brute-force twin at the end of every day that matters."""

import random
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest

from app.days import from_day, to_day
from app.deployment import Deployment
from app.postgres.db import WriteSession
from app.services.customer_base import training_data
from tests import histories
from tests.database import NOW
from tests.kept import as_item, ingest
from tests.twin import MICROSECOND, Twin, start_of


@pytest.mark.parametrize("seed", range(3))
async def test_what_holds_at_the_end_of_a_day_is_what_was_known_then(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    rng = random.Random(700 + seed)
    zone = deployment.calendar.zone
    end = NOW.date() - timedelta(days=20)
    ids = [f"c{number:02}" for number in range(12)]
    twins: list[Twin] = []
    for each in ids:
        facts = [one for one in histories.facts(rng, zone, end, revise=True) if one.at <= NOW]
        await ingest(session, deployment, [as_item(each, fact) for fact in facts], NOW)
        twins.append(Twin(facts, zone))
    until = NOW - timedelta(days=rng.choice((0, 30)))
    log = await training_data.read_trades(session, ids, deployment.as_of(until))
    since = log.day if log.since is None else log.since
    before = np.full(len(log.day), 2**40) if log.until is None else log.until
    for code, twin in enumerate(twins):
        assert (log.refund_code == code).sum() == sum(
            fact.kind == "refund" for fact in twin.counted(until)
        )
        days = {twin.day(fact.at) for fact in twin.counted(until)} | {twin.day(until)}
        for on in days | {day - timedelta(days=1) for day in days}:
            holds = (log.code == code) & (since <= to_day(on)) & (to_day(on) < before)
            values: dict[date, Decimal] = defaultdict(Decimal)
            for day, units in zip(log.day[holds].tolist(), log.units[holds].tolist(), strict=True):
                values[from_day(day)] += Decimal(units) / 10_000
            ended = start_of(zone, on + timedelta(days=1)) - MICROSECOND
            assert dict(sorted(values.items())) == twin.day_values(min(ended, until))
