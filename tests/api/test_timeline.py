"""The timeline of a customer: one order over several tables."""

import random
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, text

from app.models import Interaction, StageTransition, Transaction
from app.postgres.db import Database
from tests.database import NOW, writing

RANKS = ("profile_change", "transaction", "interaction", "churn_record", "transition")
PATH = "/v1/customers/c1/timeline"
SLOTS = [f"2026-0{month}-10T12:00:00Z" for month in range(1, 5)]


async def ingest(client: httpx.AsyncClient, rng: random.Random, count: int) -> None:
    """Write facts at a few instants, so that most of them meet others there."""
    for noun, more in (
        ("transaction", {"amount": {"amount": "5"}}),
        ("interaction", {"kind": "visit"}),
    ):
        items = [
            {
                "customer_id": "c1",
                "source": rng.choice(("a", "b")),
                f"{noun}_id": f"{number}",
                "occurred_at": rng.choice(SLOTS),
                **more,
            }
            for number in range(count)
        ]
        answer = await client.post(f"/v1/{noun}s/bulk", json={"items": items})
        assert answer.json()["counts"]["created"] == count
    for number in range(count):
        record = {"source": rng.choice(("a", "b")), "churn_record_id": f"{number}",
                  "occurred_at": rng.choice(SLOTS), "reason": "price"}  # fmt: skip
        answer = await client.post("/v1/customers/c1/churn-records", json=record)
        assert answer.status_code == 201


async def tell(client: httpx.AsyncClient, rng: random.Random, count: int) -> None:
    """Change the profile, most often since an instant at which something else happened."""
    for number in range(count):
        said = {"name": f"name {number}", "valid_from": rng.choice((None, *SLOTS))}
        answer = await client.patch("/v1/customers/c1", json=said)
        assert answer.json()["profile_version"] == number + 2


async def changes(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Return the changes of the profile that was said, put together from its history."""
    found: dict[int, dict[str, Any]] = {}
    for each in await pages(client, "/v1/customers/c1/profile-history", limit=500):
        one = found.setdefault(each["profile_version"], {**each, "changes": {}})
        one["changes"][each["field"]] = each["value"]
        for name in ("field", "value", "holds"):
            one.pop(name, None)
        one["masked"] = []
        # The first one holds from the beginning, as it was not said since when.
        stated = each["valid_from"] not in (None, each["recorded_at"])
        one["valid_from"] = each["valid_from"] if stated else None
    return list(found.values())


async def pages(client: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, Any]]:
    """Return the items of all pages."""
    found, cursor = [], None
    while True:
        asked = {**params, "cursor": cursor} if cursor else params
        answer = await client.get(path, params=asked)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) == params["limit"] or page["next_cursor"] is None
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def place(entry: dict[str, Any]) -> tuple[Any, ...]:
    """Return what orders an entry; times of whole seconds compare as texts."""
    noun = entry["type"]
    if noun == "profile_change":
        return entry["at"], RANKS.index(noun), entry[noun]["profile_version"], ""
    name = (entry[noun].get("source", ""), entry[noun].get(f"{noun}_id"))
    return entry["at"], RANKS.index(noun), *name


async def merged(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Return the entries there should be, from the lists of their own, by brute force."""
    found = [{"type": RANKS[0], "at": each["valid_from"] or each["recorded_at"], RANKS[0]: each}
              for each in await changes(client)]  # fmt: skip
    for noun in RANKS[1:]:
        at = "effective_at" if noun == "transition" else "occurred_at"
        own = await pages(client, f"/v1/customers/c1/{noun.replace('_', '-')}s", limit=500)
        found += [{"type": noun, "at": each[at], noun: each} for each in own]
    return sorted(found, key=place, reverse=True)


@pytest.mark.parametrize("seed", range(3))
async def test_every_page_size_gives_the_merge_of_the_lists(
    client: httpx.AsyncClient, seed: int
) -> None:
    rng = random.Random(seed)
    await ingest(client, rng, rng.choice((1, 7, 12)))
    await tell(client, rng, seed * 4 + 1)
    expected = await merged(client)
    assert {entry["type"] for entry in expected} == set(RANKS)
    for limit in (1, 2, 3, 5, len(expected) - 1, len(expected), 500):
        assert await pages(client, PATH, limit=limit) == expected
    for noun in RANKS:
        own = [entry for entry in expected if entry["type"] == noun]
        assert await pages(client, PATH, limit=2, type=noun) == own


async def test_a_move_stands_above_the_fact_that_caused_it(client: httpx.AsyncClient) -> None:
    await ingest(client, random.Random(0), 1)
    first = [entry["type"] for entry in await merged(client) if entry["at"] in SLOTS]
    assert first.index("transition") < first.index("transaction")


async def test_a_voided_move_is_not_shown(client: httpx.AsyncClient) -> None:
    base = {"customer_id": "c1", "amount": {"amount": "5"}}
    for number, at in ((1, SLOTS[2]), (2, SLOTS[0])):
        fact = base | {"transaction_id": f"t{number}", "occurred_at": at}
        assert (await client.post("/v1/transactions", json=fact)).status_code == 201
    path = "/v1/customers/c1/transitions"
    ledger = await pages(client, path, limit=50, include_voided="true")
    shown = await pages(client, PATH, limit=50, type="transition")
    assert len(shown) == len([each for each in ledger if each["voided_at"] is None])
    assert len(shown) < len(ledger)
    assert all(entry["transition"]["voided_at"] is None for entry in shown)


async def test_facts_added_between_pages_repeat_and_hide_nothing(
    client: httpx.AsyncClient,
) -> None:
    rng = random.Random(9)
    await ingest(client, rng, 10)
    facts = {"type": "interaction"}
    known = [entry["interaction"] for entry in await pages(client, PATH, limit=500, **facts)]
    seen, cursor, number = [], None, 0
    while cursor or not seen:
        page = (
            await client.get(
                PATH, params={"limit": 3, **facts} | ({"cursor": cursor or ""} if cursor else {})
            )
        ).json()
        seen += [entry["interaction"] for entry in page["items"]]
        cursor, number = page["next_cursor"], number + 1
        late = {"customer_id": "c1", "interaction_id": f"late{number}", "kind": "call"}
        await client.post(
            "/v1/interactions", json=late | {"occurred_at": SLOTS[number % len(SLOTS)]}
        )
    names = [(each["source"], each["interaction_id"]) for each in seen]
    assert len(names) == len(set(names))
    assert [each for each in seen if each["kind"] == "visit"] == known


async def test_it_belongs_to_one_customer_and_one_filter(client: httpx.AsyncClient) -> None:
    await ingest(client, random.Random(1), 4)
    await client.put("/v1/customers/c2", json={})
    cursor = (await client.get(f"{PATH}?limit=2")).json()["next_cursor"]
    empty = (await client.get("/v1/customers/c2/timeline")).json()
    assert empty == {"items": [], "next_cursor": None}
    for path in (
        f"{PATH}?type=interaction&",
        "/v1/customers/c2/timeline?",
        "/v1/customers/c1/interactions?",
    ):
        answer = await client.get(f"{path}cursor={cursor}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")
    unknown = await client.get("/v1/customers/nobody/timeline")
    wrong = await client.get(f"{PATH}?type=purchase")
    assert (unknown.status_code, wrong.status_code) == (404, 422)
    assert wrong.json()["errors"][0]["pointer"] == "query:type"


READ = text(
    "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)"
    " FROM pg_stat_xact_user_tables"
    " WHERE relname IN ('transactions', 'interactions', 'stage_transitions')"
)


async def test_the_cost_of_a_page_follows_the_page_and_not_the_facts(
    client: httpx.AsyncClient, database: Database
) -> None:
    await client.put("/v1/customers/c1", json={})
    common = (
        "'c1', 'default', 'f' || n, 1, '', timestamptz '2020-01-01' + n * interval '1 minute',"
        " '2020-01-01', now()"
    )
    columns = "customer_id, source, {}_id, revision, fingerprint, occurred_at, occurred_on,"
    async with database.writes() as session, session.begin():
        for noun, more, values in (
            ("interaction", "kind", "'visit'"),
            ("transaction", "kind, amount, currency, value", "'purchase', 1, 'EUR', 1"),
        ):
            await session.execute(
                text(
                    f"INSERT INTO {noun}s ({columns.format(noun)} received_at, {more})"
                    f" SELECT {common}, {values} FROM generate_series(1, 20000) n"
                )
            )
        move = {
            "from_stage": "initial", "to_stage": "active", "recorded_at": NOW, "cause": "fact",
            "rule": "r", "policy_version": 1, "evidence": {}, "derivation_version": 1,
        }  # fmt: skip
        await session.execute(
            insert(StageTransition).values(customer_id="c1", effective_at=NOW, **move)
        )
        for table in (Transaction, Interaction, StageTransition):
            await session.execute(text(f"ANALYZE {table.__tablename__}"))

    async def rows_read() -> int:
        async with database.writes() as session, session.begin():
            return int(await writing(session).scalar(READ) or 0)

    cursor = None
    for _ in range(3):
        before = await rows_read()
        params = {"limit": 20} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(PATH, params=params)).json()
        assert len(page["items"]) == 20
        assert await rows_read() - before < 10 * 20
        cursor = page["next_cursor"]
