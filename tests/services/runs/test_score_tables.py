"""The table of a run: who may make it, what is built on it, what it amounts to, and its end."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.engine import make_url

from app.config import Settings
from app.deployment import Deployment
from app.models import Run
from app.models.scoring import SCORE_INDEXES, SEARCHED, scores_name
from app.money import to_amount
from app.postgres.binary_copy import Column
from app.postgres.db import Database, create_engine
from app.services.operations import housekeeping
from app.services.scores.intervals import Sums
from app.services.scores.run_summaries import GroupTotals, RfmCell, RunSummary, StageTotals
from app.worker import Worker
from tests.database import Clock
from tests.kept import store_model
from tests.services.runs import test_runs as made
from tests.services.runs.test_runs import people, small_parts  # noqa: F401  # fixtures
from tests.twin import Fact

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'runs'"
People = dict[str, list[Fact]]


@pytest.fixture
def worker(own_database: Database, settings: Settings) -> Worker:
    return Worker(own_database, settings)


@pytest.fixture
async def run_id(
    own_database: Database,
    deployment: Deployment,
    worker: Worker,
    people: People,  # noqa: F811
    clock: Clock,
) -> int:
    """A published run of everybody."""
    clock.now = datetime.now(UTC)
    await made.post(own_database, deployment, people, clock.now)
    async with made.write(own_database) as session:
        await store_model(session, f"model_{secrets.token_hex(4)}")
    found = await made.run(own_database, deployment, worker)
    clock.now = datetime.now(UTC)
    return found


async def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    async with made.read(database) as session:
        return [tuple(row) for row in await session.execute(text(query))]


async def test_a_published_run_is_indexed_counted_and_left_to_autovacuum(
    own_database: Database, run_id: int
) -> None:
    indexes = await rows(own_database, "SELECT indexname FROM pg_indexes WHERE schemaname = 'runs'")
    assert {name for (name,) in indexes} == {f"scores_{run_id}_{name}" for name in SCORE_INDEXES}
    table = f"'{scores_name(run_id)}'::regclass"
    assert await rows(
        own_database,
        f"SELECT reltuples, reloptions, relpersistence::text FROM pg_class WHERE oid = {table}",
    ) == [(made.CUSTOMERS, None, "p")]
    known = await rows(own_database, "SELECT attname FROM pg_stats WHERE schemaname = 'runs'")
    assert {name for (name,) in known} == set(SEARCHED)


async def test_what_parts_amount_to_is_what_a_count_of_the_rows_says(
    own_database: Database, run_id: int
) -> None:
    table = scores_name(run_id)
    sums = "count(*), sum(revenue), sum(value_to_save)"
    stages = await rows(own_database, f"SELECT stage, {sums} FROM {table} GROUP BY 1")
    told = "coalesce(sum(expected_purchases), 0), coalesce(sum(clv), 0)"
    expected = dict(
        await rows(own_database, f"SELECT stage, ARRAY[{told}] FROM {table} GROUP BY 1")
    )
    cells = await rows(
        own_database,
        f"SELECT r, (f + m) / 2, count(*) FROM {table} WHERE r IS NOT NULL GROUP BY 1, 2",
    )
    groups = await rows(
        own_database, f"SELECT rfm_group, {sums} FROM {table} WHERE r IS NOT NULL GROUP BY 1"
    )
    async with made.read(own_database) as session:
        stored = await session.scalar(select(Run.summary).where(Run.run_id == run_id))
    counted = RunSummary.load(stored)
    assert {
        stage: own.model_copy(update={"sums": None}) for stage, own in counted.stages.items()
    } == {
        stage: StageTotals(customers=n, revenue=revenue, value_to_save=to_save)
        for stage, n, revenue, to_save in stages
    }
    for stage, own in counted.stages.items():
        assert own.sums is not None
        purchases, values = map(float, expected[stage])
        assert own.sums.expected_purchases == pytest.approx(purchases, rel=1e-9)
        assert own.sums.clv == pytest.approx(values, abs=0.005 * own.customers)
        assert (own.sums.purchase_variance > 0) == (purchases > 0)
        assert (own.sums.clv_variance > 0) == (values > 0)
    assert any(purchases > 0 for purchases, _ in expected.values())
    assert counted.cells == sorted(
        (RfmCell(r=r, fm=fm, customers=n) for r, fm, n in cells), key=lambda cell: (cell.r, cell.fm)
    )
    assert counted.groups == {
        group: GroupTotals(customers=n, revenue=revenue) for group, n, revenue, _ in groups
    }
    assert len(stages) > 2
    assert len(cells) > 2


@pytest.fixture
async def plain_role(own_url: str, own_database: Database) -> AsyncIterator[Database]:
    """The database for a role that owns nothing, and may create in the schema of runs alone."""
    role, password = f"app_{secrets.token_hex(4)}", secrets.token_hex(8)
    async with own_database.engine.begin() as connection:
        for statement in (
            f"CREATE ROLE {role} LOGIN PASSWORD '{password}'",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            f"GRANT USAGE, CREATE ON SCHEMA runs TO {role}",
        ):
            await connection.execute(text(statement))
    url = make_url(own_url).set(username=role, password=password)
    database = Database.on(create_engine(url.render_as_string(hide_password=False), pool_size=3))
    yield database
    await database.close()
    async with own_database.engine.begin() as connection:
        await connection.execute(text(f"GRANT {role} TO CURRENT_USER"))
        await connection.execute(text(f"DROP OWNED BY {role}"))
        await connection.execute(text(f"DROP ROLE {role}"))


async def test_a_role_that_may_create_nowhere_else_makes_reads_and_drops_runs(
    own_database: Database,
    plain_role: Database,
    deployment: Deployment,
    settings: Settings,
    people: People,  # noqa: F811
    run_id: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Worker(plain_role, settings)
    (second, third) = [await made.run(plain_role, deployment, worker) for _ in range(2)]
    scored = await rows(plain_role, f"SELECT customer_id FROM {scores_name(third)}")
    assert {each for (each,) in scored} == people.keys()
    with pytest.raises(Exception, match="permission denied for schema public"):
        await rows(plain_role, "CREATE TABLE other ()")
    monkeypatch.setattr(housekeeping, "KEPT_RUNS", 1)
    late = datetime.now(UTC) + timedelta(days=2)
    async with made.write(plain_role) as session:
        await housekeeping.sweep(session, late)
    # What another role made stays for that one to drop, and is in nobody's way.
    assert set(await rows(own_database, TABLES)) == {(f"scores_{run_id}",), (f"scores_{third}",)}
    async with made.write(own_database) as session:
        await housekeeping.sweep(session, late)
    assert await rows(own_database, TABLES) == [(f"scores_{third}",)]
    assert second not in {run for (run,) in await rows(own_database, "SELECT run_id FROM runs")}


@pytest.mark.parametrize("lock_timeout", ["60000"])
async def test_nobody_waits_for_a_run_that_is_still_read_to_be_dropped(
    own_database: Database,
    deployment: Deployment,
    worker: Worker,
    run_id: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later = await made.run(own_database, deployment, worker)
    monkeypatch.setattr(housekeeping, "KEPT_RUNS", 1)
    late = datetime.now(UTC) + timedelta(days=2)
    count = f"SELECT customer_id FROM {scores_name(run_id)}"
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with own_database.writes() as reader, reader.begin():
        await reader.execute(text(count))
        async with own_database.writes() as other, other.begin():
            keeping = made.writing(other)
            async with asyncio.timeout(20):  # long before a wait for the reader would end
                await housekeeping.sweep(keeping, late)
            assert await other.scalar(waiting) == 0
            assert len(await rows(own_database, count)) == made.CUSTOMERS
    assert (await rows(own_database, "SELECT run_id FROM runs ORDER BY 1")) == [(run_id,), (later,)]
    async with made.write(own_database) as session:
        await housekeeping.sweep(session, late)
    assert await rows(own_database, TABLES) == [(f"scores_{later}",)]


async def test_who_remembers_a_run_that_is_gone_reads_the_one_that_took_over(
    own_database: Database,
    own_client: httpx.AsyncClient,
    deployment: Deployment,
    worker: Worker,
    run_id: int,
) -> None:
    paths = "/v1/scores?limit=4", "/v1/churn-risks?limit=4&include=all"
    first = [(await own_client.get(path)).json() for path in paths]
    assert {page["run_id"] for page in first} == {run_id}
    second = await made.run(own_database, deployment, worker)
    async with own_database.engine.begin() as connection:
        await connection.execute(text(f"DROP TABLE {scores_name(run_id)}"))
        await connection.execute(update(Run).where(Run.run_id == run_id).values(replaced_at=None))
    for path, page in zip(paths, first, strict=True):
        assert (await own_client.get(path)).json()["run_id"] == second
        gone = await own_client.get(f"{path}&cursor={page['next_cursor']}")
        assert (gone.status_code, gone.json()["code"]) == (400, "invalid_cursor")
        for name in ("run_id", "changed_since_run"):
            gone = await own_client.get(f"{path}&{name}={run_id}")
            assert (gone.status_code, gone.json()["errors"][0]["pointer"]) == (404, f"query:{name}")


async def test_a_page_of_nobody_is_one_of_the_run_that_is_published_now(
    own_database: Database,
    own_client: httpx.AsyncClient,
    deployment: Deployment,
    worker: Worker,
    run_id: int,
) -> None:
    path = "/v1/scores?owner=nobody"
    assert (await own_client.get(path)).json()["run_id"] == run_id
    second = await made.run(own_database, deployment, worker)
    found = (await own_client.get(path)).json()
    assert (found["run_id"], found["items"]) == (second, [])


def test_sums_are_exact_beyond_numbers_of_64_bits() -> None:
    units = [2**62, 2**62 + 1, 2**62 + 2, -5, 2**40 + 3, -(2**63)]
    codes = np.array([0, 0, 0, 1, 1, 2])
    rows = {
        "stage": Column("text", ("a", "b", "c", "none"), codes=codes),
        "revenue": Column("numeric", np.array(units)),
        "value_to_save": Column("numeric", np.array(units)),
    }
    told = {name: np.arange(6.0) for name in Sums.model_fields}
    found = RunSummary.of(rows, told).stages
    assert {stage: each.revenue for stage, each in found.items()} == {
        stage: to_amount(sum(each for each, own in zip(units, codes, strict=True) if own == place))
        for place, stage in enumerate("abc")
    }
    added = RunSummary.added_up([RunSummary.of(rows, told)] * 2)
    twice = added.stages["a"]
    assert (twice.customers, twice.revenue) == (6, 2 * found["a"].revenue)
    assert twice.sums == Sums(**dict.fromkeys(Sums.model_fields, 2 * (0 + 1 + 2)))
    assert added.sums == Sums(**dict.fromkeys(Sums.model_fields, 2 * sum(range(6))))
    before = RunSummary(stages={"a": twice.model_copy(update={"sums": None})}, cells=[], groups={})
    assert before.sums is None
    assert RunSummary.added_up([added, before]).stages["a"].sums is None
