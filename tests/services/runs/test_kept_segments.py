"""What is kept of membership says what the rules do: on write, by the worker, at random."""

import asyncio
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.config import Settings
from app.deployment import Deployment
from app.postgres.db import Database, WriteSession, fetch_rows
from app.schemas.segments import SegmentIn
from app.services.customers import customers
from app.services.operations import operations, parts
from app.services.runs import query_columns
from app.services.runs.segments import changes, keeping, updates
from app.services.runs.segments.keeping import Inside
from app.worker import Worker
from tests.database import Clock, writing
from tests.kept import store_model
from tests.lifecycle import at_random
from tests.services.runs.test_query_rules import question_of, readable, stored_ids
from tests.services.stages.test_any_policy import post_all, put_in_force

PEOPLE, SEGMENTS = 6, 20


def segments(rng: random.Random) -> dict[str, SegmentIn]:
    """Return segments of all sorts, some of them inside others."""
    found: dict[str, SegmentIn] = {}
    while len(found) < SEGMENTS:
        rule: dict[str, Any] = at_random.tree(rng)
        if readable(rule) is None or len(str(rule)) > 2_000:
            continue
        if found and rng.random() < 0.3:
            rule = {"any": [rule, {"segment": rng.choice(list(found))}]}
        parent = rng.choice([None, None, *found]) if rng.random() < 0.5 else None
        code = f"s{len(found)}"
        found[code] = SegmentIn(name={"en": code, "zh": code}, rule=rule, parent=parent)
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_kept_is_what_the_rules_say(
    session: WriteSession, deployment: Deployment, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After writes, a little later with facts that waited for their time, and after a worker.

    The worker splits everybody at first, and later on whoever are too many to be written at once.
    """
    monkeypatch.setattr(updates, "SLICE", 2)
    rng, zone = random.Random(seed), deployment.calendar.zone
    people = {f"c{number}": at_random.person(rng, zone) for number in range(PEOPLE)}
    await store_model(session, at_random.MODEL_ID)
    await put_in_force(session, 99, at_random.policy(rng)[0])
    now = at_random.moment(rng, people["c0"], latest=200)
    declared = segments(rng)
    for code, asked in declared.items():
        await changes.put(session, code, asked, if_match=None, now=now, by="tests")
    await post_all(session, deployment, rng, people, now)
    assert session.info[customers.TAKEN].customer_ids == set(people)
    followed: Inside = {}
    for at in (now, now + timedelta(hours=20)):
        customers.note_taken(session, people, at)
        await keeping.follow(session, deployment)
        _, followed = await _by_rules(session, deployment, declared, at)
        assert await _kept(session, people) == followed
    at = now + timedelta(hours=20)
    everything, _ = await _by_rules(session, deployment, declared, at)
    assert any(everything.values())
    assert await _have_a_worker_look(session, deployment, at) == PEOPLE / 2
    assert await _kept(session, people) == everything
    for table in ("customer_segments", "segment_periods"):
        await session.execute(text(f"DELETE FROM {table}"))
    inside = len([codes for codes in everything.values() if codes])
    assert await _have_a_worker_look(session, deployment, at) == -(-inside // 2)
    assert await _kept(session, people) == everything
    customers.note_taken(session, people, at)
    await keeping.follow(session, deployment)
    assert await _kept(session, people) == everything
    rows = await fetch_rows(
        session, "SELECT customer_id, code FROM segment_periods WHERE left_at IS NULL"
    )
    assert {(row[0], row[1]) for row in rows} == {
        (each, code) for each, codes in everything.items() for code in codes
    }


async def _kept(session: WriteSession, ids: Iterable[str]) -> Inside:
    found = await keeping.kept_of(session, ids)
    return {each: found.get(each, frozenset()) for each in ids}


async def _by_rules(
    session: WriteSession, deployment: Deployment, declared: Iterable[str], at: datetime
) -> tuple[Inside, Inside]:
    """Return who is where by all rules, and by those on what is stored, each asked alone."""
    as_of = replace(deployment.as_of(at), is_now=True)
    rows = await fetch_rows(session, "SELECT customer_id FROM customers")
    every: dict[str, set[str]] = {row[0]: set() for row in rows}
    stored: dict[str, set[str]] = {row[0]: set() for row in rows}
    for code in declared:
        question = await question_of(session, {"segment": code}, as_of)
        found = (await query_columns.of_range(session, deployment, question)).customer_ids
        by_sql = await stored_ids(session, deployment, question)
        assert by_sql in (None, found)
        for each in found:
            every[each].add(code)
            if by_sql is not None:
                stored[each].add(code)
    return tuple({each: frozenset(codes) for each, codes in found.items()}
                 for found in (every, stored))  # type: ignore[return-value]  # fmt: skip


async def _have_a_worker_look(session: WriteSession, deployment: Deployment, at: datetime) -> int:
    """Bring everybody up to date; return in how many parts."""
    asked = await operations.submit(session, updates.UPDATE, updates.UpdateAsked(), now=at)
    part = await parts.claim(session)
    assert part is not None
    assert part.operation_id == asked.operation_id
    await updates.plan_part(session, deployment, part, at)
    await parts.finish(session, part)
    done, is_last = 0, False
    while not is_last:
        part = await parts.claim(session)
        assert part is not None
        await updates.keep_part(session, deployment, part, at)
        done, is_last = done + 1, await parts.finish(session, part)
    noted = [each["changed"] for each in await parts.noted(session, part)]
    assert max(noted, default=0) <= updates.SLICE
    told = await updates.result(session, deployment, await parts.refresh(session, part), at)
    assert told["customers_changed"] == sum(noted)
    await operations.succeed(session, part.operation_id, told)
    return done


async def test_writers_and_a_worker_at_once_keep_what_the_rules_say(
    own_client: httpx.AsyncClient,
    own_database: Database,
    deployment: Deployment,
    settings: Settings,
    clock: Clock,
) -> None:
    """Four write to the same customers while segments are declared, and brought up to date."""
    bounds = (30, 60, 90)

    async def declare() -> None:
        for bound in bounds:
            rule = {"variable": "revenue", "op": ">=", "value": bound}
            body = {"name": {"en": "x", "zh": "x"}, "rule": rule}
            answer = await own_client.put(f"/v1/segments/from_{bound}", json=body)
            assert answer.status_code == 201, answer.text
        async with own_database.writes() as opened, opened.begin():
            await updates.start_due(writing(opened), deployment, clock.now)
        while await Worker(own_database, settings, lambda: clock.now).work_once():
            pass

    async def write(writer: int) -> None:
        for turn in range(5):
            items = [
                {"customer_id": f"c{number}", "transaction_id": f"{writer}.{turn}.{number}",
                 "occurred_at": f"2026-05-{turn + 1:02}T12:00:00Z",
                 "amount": {"amount": f"{number}"}}
                for number in range(10)
            ]  # fmt: skip
            body = {"items": items[writer:] + items[:writer], "mode": "atomic"}
            answer = await own_client.post("/v1/transactions/bulk", json=body)
            assert answer.status_code == 200, answer.text

    await asyncio.gather(declare(), *(write(writer) for writer in range(4)))
    expected = {
        f"c{number}": frozenset(f"from_{bound}" for bound in bounds if 20 * number >= bound)
        for number in range(10)
    }
    async with own_database.writes() as opened:
        session = writing(opened)
        assert await _kept(session, expected) == expected
        rows = await fetch_rows(
            session, "SELECT customer_id, code FROM segment_periods WHERE left_at IS NULL"
        )
    assert sorted((row[0], row[1]) for row in rows) == sorted(
        (each, code) for each, codes in expected.items() for code in codes
    )
