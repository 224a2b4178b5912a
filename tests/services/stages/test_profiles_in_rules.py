"""Rules follow profiles through time: what was valid then decides then, whenever it was said."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.postgres.db import ReadSession, WriteSession
from app.services.customers import profile_changes
from tests.database import NOW, Clock
from tests.services.stages.test_any_policy import ledger, put_in_force

PATH = "/v1/customers/c1"
GOLD = {
    "stages": [{"code": code, "name": {"en": code, "zh": code}, "role": "customer"}
               for code in ("plain", "gold", "ended")],
    "inactivity_limit": {"floor_days": 10, "gap_multiple": 2, "gap_margin_days": 5},
    "rules": [
        {"code": "over", "stage": "ended",
         "when": {"variable": "days_until_contract_end", "op": "<", "value": 0}},
        {"code": "is_gold", "stage": "gold",
         "when": {"variable": "attribute", "name": "level", "op": "==", "value": "gold"}},
        {"code": "otherwise", "stage": "plain"},
    ],
}  # fmt: skip
MARCH, APRIL, MAY = (datetime(2026, month, 1, 12, tzinfo=UTC) for month in (3, 4, 5))


@pytest.fixture
async def c1(client: httpx.AsyncClient, session: WriteSession) -> httpx.AsyncClient:
    """A client of a service with one customer, known since February, under that policy."""
    await put_in_force(session, 99, GOLD)
    body = {"first_contact_at": "2026-02-01T12:00:00Z", "attributes": {"level": "none"}}
    assert (await client.put(PATH, json=body)).status_code == 201
    return client


async def say(client: httpx.AsyncClient, since: datetime | None, **change: Any) -> None:
    body = {**change, "valid_from": None if since is None else since.isoformat()}
    answer = await client.patch(PATH, json=body)
    assert answer.status_code == 200, answer.text


async def stage(client: httpx.AsyncClient, at: datetime) -> tuple[str, Any]:
    """Return the stage at an instant, which every door tells alike, and what explains it."""
    params = {"as_of": at.isoformat()}
    told = (await client.get(f"{PATH}/stage", params=params)).json()
    why = (await client.get(f"{PATH}/stage/explanation", params=params)).json()
    profile = (await client.get(PATH, params=params)).json()
    assert told["stage"] == why["stage"] == profile["stage"]
    (level,) = why["rules"][1]["comparisons"]
    return told["stage"], level["value"]


async def moves(session: ReadSession) -> list[tuple[str, datetime, str]]:
    return [(each.to_stage, each.at, each.cause) for each in await ledger(session, "c1")]


async def test_a_change_that_is_true_since_long_makes_the_transition_of_then(
    c1: httpx.AsyncClient, session: WriteSession, clock: Clock
) -> None:
    await say(c1, APRIL, attributes={"level": "gold"})
    assert await moves(session) == [("gold", APRIL, "fact")]
    before = APRIL - timedelta(microseconds=1)
    assert [await stage(c1, at) for at in (before, APRIL, NOW)] == [
        ("plain", "none"), ("gold", "gold"), ("gold", "gold"),
    ]  # fmt: skip
    clock.now = NOW + timedelta(days=1)
    await say(c1, None, attributes={"level": "none"})
    assert await moves(session) == [("gold", APRIL, "fact"), ("plain", clock.now, "fact")]
    await say(c1, MARCH, attributes={"level": "gold"})  # older than what held in April
    assert await moves(session) == [("gold", MARCH, "fact"), ("plain", clock.now, "fact")]
    await say(c1, APRIL, attributes={"level": "none"})  # a correction
    assert await moves(session) == [("gold", MARCH, "fact"), ("plain", APRIL, "fact")]


async def test_a_contract_that_was_prolonged_in_time_has_not_ended(
    c1: httpx.AsyncClient, session: WriteSession
) -> None:
    await say(c1, None, contract_ends_on="2026-04-30")
    ended = datetime(2026, 4, 30, 22, tzinfo=UTC)  # the first of May in Berlin
    assert await moves(session) == [("ended", ended, "inactivity")]
    await say(c1, MAY, contract_ends_on="2027-04-30")  # too late: it had ended for half a day
    assert await moves(session) == [("ended", ended, "inactivity"), ("plain", MAY, "fact")]
    await say(c1, APRIL, contract_ends_on="2027-04-30")
    assert await moves(session) == []


async def test_what_was_true_before_somebody_was_known_begins_no_history(
    c1: httpx.AsyncClient, session: WriteSession
) -> None:
    await say(c1, datetime(2020, 1, 1, tzinfo=UTC), attributes={"level": "gold"})
    assert await moves(session) == [("gold", datetime(2026, 2, 1, 12, tzinfo=UTC), "fact")]


async def test_an_override_stands_until_rules_answer_anew(
    c1: httpx.AsyncClient, session: WriteSession, clock: Clock
) -> None:
    """What no rule looks at is no news, nor is what leaves their answer as it is."""
    asked = {"stage": "ended", "reason": "a promise"}
    made = await c1.post(f"{PATH}/stage/override", json=asked)
    assert made.status_code == 201, made.text
    for days, change in enumerate(({"other": "gold", "level": "none"}, {"level": "silver"}), 1):
        clock.now = NOW + timedelta(days=days)
        await say(c1, None, name="Ann", attributes=change)
        told = (await c1.get(f"{PATH}/stage")).json()
        assert (told["stage"], told["recorded_stage"]) == ("ended", "ended")
        assert told["override"]["stage"] == "ended"
    clock.now += timedelta(days=1)
    await say(c1, None, attributes={"level": "gold"})
    told = (await c1.get(f"{PATH}/stage")).json()
    assert (told["stage"], told["recorded_stage"], told["override"]) == ("gold", "gold", None)
    assert [each[0::2] for each in await moves(session)] == [("ended", "manual"), ("gold", "fact")]


async def test_at_the_present_and_of_who_never_changed_no_history_is_read(
    c1: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    asked: list[list[str]] = []
    stored = profile_changes.stored

    async def counting(session: ReadSession, customer_ids: list[str]) -> Any:
        asked.append(list(customer_ids))
        return await stored(session, customer_ids)

    monkeypatch.setattr(profile_changes, "stored", counting)
    await c1.put("/v1/customers/c2", json={"attributes": {"level": "gold"}})
    clock.now = NOW + timedelta(days=1)
    await say(c1, None, attributes={"level": "gold"})
    asked.clear()
    look = {"customer_ids": ["c1", "c2"]}
    await c1.post("/v1/scores/lookup", json=look)
    assert asked == []
    early = {**look, "as_of": NOW.isoformat()}
    found = await c1.post("/v1/scores/lookup", json=early)
    assert asked == [["c1"]]
    assert [each["stage"] for each in found.json()["items"]] == ["plain", "gold"]
