"""What is stored of a batch held in columns is what the twin says of each item alone."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import pytest
from sqlalchemy import select, text

from app.days import Calendar, from_micros
from app.deployment import Deployment
from app.models import Transaction
from app.postgres.db import WriteSession
from app.schemas.ingest.transactions import TransactionIn
from app.services.ingest import transactions
from tests import slow_intake
from tests.database import NOW

# Facts of many forms, each with what an older release stored of it: who posts it again is told
# that it is known, so neither fingerprints nor what is kept of revisions may ever change.
STORED = json.loads((Path(__file__).parents[2] / "stored_facts.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("noun", STORED)
async def test_what_older_releases_stored_is_stored_today(
    client: httpx.AsyncClient, session: WriteSession, noun: str
) -> None:
    told = STORED[noun]
    items = [
        {"customer_id": "c", f"{noun}_id": f"t{place}", **each["posted"]}
        for place, each in enumerate(told)
    ]
    for revision in (2, 1):
        for item in items:
            item["revision"] = revision
        if noun == "churn_record":
            for item in items:
                said = {name: value for name, value in item.items() if name != "customer_id"}
                answer = await client.post("/v1/customers/c/churn-records", json=said)
                assert answer.is_success
        else:
            answer = await client.post(f"/v1/{noun}s/bulk", json={"items": items})
            assert answer.json()["counts"]["rejected"] == 0
    in_force = await session.execute(
        text(f"SELECT fingerprint FROM {noun}s ORDER BY {noun}_id")  # names of ours
    )
    assert [row[0].hex() for row in in_force] == [each["fingerprint"] for each in told]
    kept = await session.execute(
        text(f"SELECT fingerprint, content FROM {noun}_revisions ORDER BY {noun}_id")
    )
    assert [(row[0].hex(), row[1]) for row in kept] == [
        (each["fingerprint"], each["kept"]) for each in told
    ]


def _item(rng: random.Random, number: int, currency: str) -> dict[str, Any]:
    """Return a transaction of any form; most of what may be left out is."""
    at = datetime(2026, 5, 1, tzinfo=UTC) - timedelta(
        microseconds=rng.choice((1, 1000, 10**6)) * rng.randrange(10**9)
    )
    own = rng.choice((currency, "USD"))
    item: dict[str, Any] = {
        "customer_id": f"c{rng.randrange(5)}",
        "transaction_id": f"t{number}",
        "occurred_at": at.isoformat(),
        "kind": rng.choice(("purchase", "refund")),
        "amount": {
            "amount": rng.choice(("0", "12.5", "12.50", 7, 0.25, "3.1415")),
            "currency": own,
        },
    }
    if own != currency:
        item["exchange_rate"] = rng.choice(("1.5", "0.3333333333", 2))
    if item["kind"] == "refund" and rng.random() < 0.5:
        item["refunds"] = {"transaction_id": rng.choice(("é'\"%s", "t"))}
    rare = {
        "margin": {"amount": rng.choice(("-1.5", "2"))},
        "channel": rng.choice(("web", "it's", "100%")),
        "items": [
            {"product_id": "p", "quantity": rng.choice((1, 2.5)), "unit_price": {"amount": 1}}
        ],
        "attributes": rng.choice(({"a": 1.0}, {"a": True}, {"a": 1}, {})),
        "source": rng.choice(("shop", "till")),
    }
    return item | {name: value for name, value in rare.items() if rng.random() < 0.2}


@pytest.mark.parametrize("seed", range(8))
async def test_a_batch_is_stored_as_its_items_are_one_by_one(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    many = rng.choice((1, 3, 60, 300))
    items = [
        TransactionIn.model_validate(_item(rng, number, deployment.currency))
        for number in range(many)
    ]
    ingested = await transactions.ingest(session, deployment, items, atomic=True, now=NOW)
    assert ingested.counts() == {"created": many}
    rows = await session.scalars(select(Transaction))
    stored = {(row.customer_id, row.source, row.transaction_id): row for row in rows}
    for item in items:
        row = stored.pop((item.customer_id, item.source, item.transaction_id))
        expected = slow_intake.row(item, deployment.currency, deployment.calendar.zone)
        found = {name: getattr(row, name) for name in expected}
        assert found == expected
        assert json.dumps(found["attributes"]) == json.dumps(
            expected["attributes"]
        )  # 1 is not true
        assert (row.revision, row.received_at) == (item.revision, NOW)
    assert not stored


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Shanghai", "Australia/Lord_Howe",
                                  "Pacific/Apia", "America/St_Johns"])  # fmt: skip
def test_days_of_many_instants_are_those_of_each(zone: str) -> None:
    calendar = Calendar(ZoneInfo(zone))
    rng = np.random.default_rng(5)
    first, last = datetime(1901, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, tzinfo=UTC)
    spread = rng.integers(int(first.timestamp()), int(last.timestamp()), 2_000) * 1_000_000
    start = int(datetime(2011, 1, 1, tzinfo=UTC).timestamp())
    around = (start + np.arange(0, 366 * 86_400, 1_800)) * 1_000_000  # Apia has lost a day
    micros = np.concatenate([spread, around, around - 1, np.array([-1, 0, 1])])
    expected = [calendar.day_of(from_micros(each)) for each in micros.tolist()]
    assert calendar.days_of(micros).tolist() == expected
