"""A file and the bulk door come to the same rows, whatever the order and the mess of the facts."""

import csv
import io
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import text

from app.models.base import Base
from app.postgres.db import Database
from app.services.ingest.imports import chunks, windows
from tests.api.test_imports import done, worker  # noqa: F401  # a fixture
from tests.customer_tables import TABLES, WRITTEN
from tests.histories import facts
from tests.kept import as_item

Record = dict[str, Any]
BERLIN = ZoneInfo("Europe/Berlin")
DOORS = ("customers", "transactions", "interactions")
PROFILE = ("customer_id", "source", "name", "email", "phone", "country", "city", "birth_date")
FACT = (
    "customer_id",
    "source",
    "transaction_id",
    "occurred_at",
    "kind",
    "amount",
    "currency",
    "exchange_rate",
    "revision",
    "refunds_transaction_id",
    "refunds_source",
    "channel",
)
PLAIN = ("customer_id", "transaction_id", "occurred_at", "kind", "amount", "currency", "channel")
CONTACT = ("customer_id", "source", "interaction_id", "occurred_at", "kind", "channel", "outcome",
           "score", "text", "revision")  # fmt: skip
RATES = {"USD": "0.9173284", "JPY": "0.0061", "KWD": "2.99"}


def mapping(kind: str, fields: Sequence[str], source: str = "default") -> Record:
    """Return the mapping of columns that have the names of fields."""
    made = {name: {"column": name} for name in fields}
    return {"name": kind, "source": source, "facts": [{"fact": kind, "fields": made}]}


def flat(record: Record) -> Record:
    """Return a record of a bulk as a row of a file has it."""
    money = record.get("amount")
    money = money if isinstance(money, dict) else {}
    named = record.get("refunds") or {}
    return {
        **record, **money,
        "refunds_transaction_id": named.get("transaction_id"),
        "refunds_source": named.get("source"),
    }  # fmt: skip


def as_csv(records: Iterable[Record], columns: Sequence[str]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(map(flat, records))
    return out.getvalue().encode()


def as_lines(records: Iterable[Record], columns: Sequence[str]) -> bytes:
    rows = ({name: row.get(name) for name in columns} for row in map(flat, records))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def spoilt(chance: random.Random, record: Record) -> Record:
    """Return a record that every door refuses."""
    wrong: list[Record] = [
        {"customer_id": "no/id"}, {"customer_id": "x" * 129}, {"occurred_at": "2020-02-30"},
        {"occurred_at": "2199-01-01T00:00:00Z"}, {"kind": "?" * 65},
    ]  # fmt: skip
    if "amount" in record:
        wrong += [{"amount": {**record["amount"], "amount": amount}} for amount in ("abc", "1e99")]
        wrong += [{"amount": {**record["amount"], "currency": "€€"}}]
    return {**record, **chance.choice(wrong)}


def messy(chance: random.Random, records: list[Record]) -> list[Record]:
    """Return records in any order, some of them twice, told otherwise, or wrong."""
    some = [each for each in records if chance.random() < 0.1]
    others = [
        {**each, "amount": {**each["amount"], "amount": "1.23"}}
        for each in records
        if "amount" in each and chance.random() < 0.05
    ]
    found = [*records, *some, *others, *(spoilt(chance, each) for each in some)]
    chance.shuffle(found)
    return found


def transactions(chance: random.Random, *, plain: bool) -> list[Record]:
    made = []
    for number in range(12):
        end = date(2019, 1, 1) + timedelta(days=chance.randrange(2_000))
        for fact in facts(chance, BERLIN, end, revise=not plain):
            record = {**as_item(f"e-{number}", fact), "items": None}
            if fact.currency == "EUR":
                record["exchange_rate"] = None  # of home it is 1, and files leave it out
            if plain:
                # Neither names of sources nor numbers of revisions: those of the mapping alone.
                rate = RATES.get(record["amount"]["currency"])
                record |= {"source": "shop", "revision": 1, "refunds": None, "exchange_rate": rate}
                record["transaction_id"] = "-".join(fact.name)
            made.append(record)
    return messy(chance, made)


def interactions(chance: random.Random) -> list[Record]:
    return messy(chance, [
        {
            "customer_id": f"e-{chance.randrange(15)}", "source": "calls",
            "interaction_id": f"i-{number}", "kind": chance.choice(("visit", "complaint", "call")),
            "occurred_at": f"20{chance.randrange(15, 25)}-0{chance.randrange(1, 9)}-11T10:00:00Z",
            "channel": chance.choice((None, "web", "shop")), "outcome": None, "score": None,
            "text": chance.choice((None, "hello")), "revision": chance.choice((1, 1, 2)),
        }
        for number in range(60)
    ])  # fmt: skip


def profiles(chance: random.Random) -> list[Record]:
    """Return profiles of which some are told twice: what is blank in a file is not said."""
    return [
        {
            "customer_id": f"e-{number % 15}", "source": "crm", "name": f"Name {number % 20}",
            "email": chance.choice((f"a{number}@b.example", "no mail")),
            "country": chance.choice(("DE", "Germany", "Nowhere")), "city": "Köln",
            "phone": chance.choice(("+49 30 5550 0101", "none")),
            "birth_date": chance.choice(("1990-02-28", "1990-01-01")),
        }
        for number in range(30)
    ]  # fmt: skip


async def stored(database: Database) -> dict[str, Counter[str]]:
    """Return all rows of customers by table, without what tells when they were written."""
    found = {}
    async with database.reads() as session:
        for table in TABLES:
            rows = await session.execute(text(f"SELECT * FROM {table}"))
            found[table] = Counter(
                repr(sorted((name, value) for name, value in row.items() if name not in WRITTEN))
                for row in rows.mappings()
                if not (table == "stage_transitions" and row["voided_at"])
            )
    return found


async def cleared(database: Database) -> None:
    async with database.writes() as session, session.begin():
        await session.execute(text(f"TRUNCATE {', '.join(TABLES)}"))


async def by_bulk(
    client: httpx.AsyncClient, chance: random.Random, kind: str, records: list[Record]
) -> Counter[str]:
    """Send records through the door of bulks, in batches of any size; return the counts."""
    counts, start = Counter[str](), 0
    while start < len(records):
        size = chance.choice((1, 7, 40, 200))
        batch = {"items": records[start : start + size]}
        answer = await client.post(f"/v1/{kind}/bulk", json=batch)
        assert answer.status_code == 200, answer.text
        counts.update(answer.json()["counts"])
        start += size
    return +counts


async def by_file(
    client: httpx.AsyncClient,
    worker: Any,  # noqa: F811
    content: bytes,
    document: Record,
) -> Counter[str]:
    """Send a file, and return what became of its rows in the words of the bulk."""
    kind = document["name"]
    kept = await client.put(f"/v1/mappings/{kind}", json={"document": document})
    assert kept.is_success, kept.text
    asked = {"mapping": kind, "exchange_rates": json.dumps(RATES)}
    sent = await client.post("/v1/imports", params=asked, content=content)
    shown = await done(worker, client, sent)
    assert shown["state"] == "succeeded"
    totals = shown["totals"]
    counts = Counter(totals["facts"][kind])
    # Rows that the mapping refuses come to no door.
    counts["rejected"] = totals["rejected_rows"]
    return +counts


@pytest.mark.parametrize("form", ["plain", "csv", "ndjson"])
async def test_a_file_comes_to_the_rows_of_the_bulk_door(
    own_client: httpx.AsyncClient,
    own_database: Database,
    worker: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    form: str,
) -> None:
    chance = random.Random(form)
    monkeypatch.setattr(chunks, "FIRST_CHUNK", 30)
    monkeypatch.setattr(chunks, "LARGEST_CHUNK", 90)
    monkeypatch.setattr(windows, "BYTES", 12_000)
    columns = {"customers": PROFILE, "transactions": PLAIN if form == "plain" else FACT,
               "interactions": CONTACT}  # fmt: skip
    said = {
        "customers": profiles(chance),
        "transactions": transactions(chance, plain=form == "plain"),
        "interactions": interactions(chance),
    }
    counted = {kind: await by_bulk(own_client, chance, kind, said[kind]) for kind in DOORS}
    kept = await stored(own_database)
    await cleared(own_database)
    written = as_lines if form == "ndjson" else as_csv
    for kind in DOORS:
        document = mapping(kind, columns[kind], "shop")
        content = written(said[kind], columns[kind])
        assert (kind, await by_file(own_client, worker, content, document)) == (
            kind, counted[kind],
        )  # fmt: skip
    found = await stored(own_database)
    for table in TABLES:
        assert (table, found[table] - kept[table], kept[table] - found[table]) == (table, {}, {})
    assert sum(map(len, kept.values())) > 300
    assert {"created", "duplicate", "rejected"} <= counted["transactions"].keys()


def test_every_table_of_customers_is_compared() -> None:
    owned = {
        table.name
        for table in Base.metadata.sorted_tables
        if next(iter(table.primary_key.columns)).name == "customer_id"
    }
    # Those of segments follow from what is stored, whichever door it came by.
    written_by_others = {"churn_records", "churn_record_revisions", "stage_overrides",
                         "rebuild_differences", "customer_segments", "segment_periods"}  # fmt: skip
    assert owned - written_by_others == set(TABLES)
