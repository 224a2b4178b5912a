"""Daily counts of interactions equal brute force for any order, batching and repetition."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app.deployment import Deployment
from app.models import Interaction, InteractionDay
from app.postgres.db import Database, ReadSession, WriteSession
from app.schemas.ingest.interactions import InteractionIn
from app.services.ingest import interactions
from app.services.stages import derivation
from tests.database import NOW, writing

Item = dict[str, Any]
CUSTOMERS, KINDS, NAMES = ("c1", "c2"), ("call", "visit"), ("a", "b", "c")
# Around midnight in Berlin, in summer and in winter, and where the clocks change.
INSTANTS = [
    datetime(2026, month, day, hour, minute, tzinfo=UTC)
    for month, day in ((1, 31), (3, 28), (3, 29), (5, 31))
    for hour, minute in ((21, 59), (22, 0), (22, 59), (23, 0))
]


def content_of(customer_id: str, name: str, revision: int, salt: int) -> Item:
    """Return the only content that a revision has; revisions transition between days and kinds."""
    rng = random.Random(f"{customer_id} {name} {revision} {salt}")
    return {
        "customer_id": customer_id,
        "interaction_id": name,
        "revision": revision,
        "kind": rng.choice(KINDS),
        "occurred_at": rng.choice(INSTANTS).isoformat(),
        "score": rng.choice((None, 1, 9.5)),
    }


def brute_force(deployment: Deployment, items: Iterable[Item]) -> dict[tuple[str, str, date], int]:
    highest: dict[tuple[str, str], Item] = {}
    for item in items:
        name = item["customer_id"], item["interaction_id"]
        if name not in highest or item["revision"] > highest[name]["revision"]:
            highest[name] = item
    zone = deployment.calendar.zone
    return Counter(
        (
            item["customer_id"],
            item["kind"],
            datetime.fromisoformat(item["occurred_at"]).astimezone(zone).date(),
        )
        for item in highest.values()
    )


async def kept(session: ReadSession, like: str = "") -> dict[tuple[str, str, date], int]:
    rows = await session.execute(
        select(*InteractionDay.__table__.columns).where(InteractionDay.customer_id.startswith(like))
    )
    return {(row.customer_id, row.kind, row.occurred_on): row.count for row in rows}


async def ingest(session: WriteSession, deployment: Deployment, batch: list[Item]) -> list[str]:
    items = [InteractionIn.model_validate(item) for item in batch]
    done = await interactions.ingest(session, deployment, items, atomic=False, now=NOW)
    return [status for status, _ in done.outcomes]


REVISIONS = st.tuples(st.sampled_from(CUSTOMERS), st.sampled_from(NAMES), st.integers(1, 4))


@given(
    salt=st.integers(0, 2**32),
    batches=st.lists(st.lists(REVISIONS, min_size=1, max_size=8), min_size=1, max_size=6),
)
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_any_order_batching_repetition_and_revision_agree_with_brute_force(
    session: WriteSession,
    deployment: Deployment,
    salt: int,
    batches: list[list[tuple[str, str, int]]],
) -> None:
    known: list[Item] = []
    async with session.begin_nested() as savepoint:
        for batch in batches:
            items = [content_of(*revision, salt) for revision in batch]
            statuses = await ingest(session, deployment, items)
            assert set(statuses) <= {"created", "updated", "duplicate"}
            known += items
            assert await kept(session) == brute_force(deployment, known)
        await savepoint.rollback()


async def test_a_replaced_revision_leaves_no_empty_day_behind(
    session: WriteSession, deployment: Deployment
) -> None:
    base = {"customer_id": "c1", "interaction_id": "a", "kind": "call"}
    first = {**base, "occurred_at": "2026-01-31T12:00:00Z"}
    await ingest(session, deployment, [first])
    assert await kept(session) == {("c1", "call", date(2026, 1, 31)): 1}
    await ingest(session, deployment, [{**first, "kind": "visit", "revision": 2}])
    assert await kept(session) == {("c1", "visit", date(2026, 1, 31)): 1}


async def test_a_conflict_and_a_late_revision_count_nothing(
    session: WriteSession, deployment: Deployment
) -> None:
    item = content_of("c1", "a", 2, 0)
    await ingest(session, deployment, [item])
    other = "visit" if item["kind"] == "call" else "call"
    assert await ingest(session, deployment, [item | {"kind": other}]) == ["rejected"]
    assert await ingest(session, deployment, [item | {"kind": other, "revision": 1}]) == [
        "duplicate"
    ]
    assert await kept(session) == brute_force(deployment, [item])


async def test_two_writers_at_once_lose_no_count(
    own_database: Database, deployment: Deployment
) -> None:
    rng = random.Random(4)

    async def write(stream: list[Item]) -> None:
        while stream:
            size = rng.randint(1, 12)
            async with own_database.writes() as session, session.begin():
                await ingest(writing(session), deployment, stream[:size])
            stream = stream[size:]

    for number in range(12):
        people = [f"round{number}-{each}" for each in range(3)]
        once = [
            content_of(each, name, revision, number)
            for each in people
            for name in NAMES
            for revision in (1, 2, 3)
        ]
        streams = [rng.sample(once, rng.randint(15, len(once))) for _ in range(3)]
        await asyncio.gather(*map(write, streams))
        async with own_database.reads() as session:
            found = await kept(ReadSession(session), f"round{number}-")
            stored = await session.scalar(
                select(Interaction.customer_id).where(Interaction.customer_id == people[0])
            )
        written = [item for stream in streams for item in stream]
        assert stored is not None
        assert found == brute_force(deployment, written)


async def test_what_follows_is_asked_for_those_in_whom_something_changed(
    session: WriteSession, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    async def revise(*args: Any) -> None:
        asked.append(list(args[2]))

    monkeypatch.setattr(derivation, "revise", revise)
    old = content_of("c2", "a", 2, 0)
    await ingest(session, deployment, [old])
    await ingest(
        session, deployment, [old, content_of("c3", "a", 1, 0), content_of("c1", "a", 1, 0)]
    )
    await ingest(session, deployment, [old, content_of("c2", "a", 1, 0)])
    await ingest(session, deployment, [content_of("c2", "a", 3, 0)])
    assert asked == [["c2"], ["c1", "c3"], ["c2"]]
