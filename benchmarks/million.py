"""Customers by the million in a database: their profiles, and what their purchases amount to.

Purchases are simulated day by day, so that gaps, lives and sums belong together; the facts behind
them are left out, save for those of customers whose stage time is to change.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text

from app.config import Settings
from app.deployment import Deployment
from app.lifecycle.evaluator import evaluate
from app.lifecycle.records import UNITS, Columns, Records, Span
from app.lifecycle.version import DERIVATION_VERSION
from app.migrate import migrate
from app.postgres import binary_copy
from app.postgres.binary_copy import Column
from app.postgres.db import Database, ReadSession, WriteSession, create_engine
from app.postgres.embedded import EmbeddedPostgres
from app.services.policies import policies

SETTINGS = Settings(scoring_every=None)
HERE = Deployment.of(SETTINGS)
NO_LIMIT = {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}
DAYS, MOST, BLOCK = 1095, 24, 100_000
NEVER_PURCHASED = 0.15
Array = NDArray[Any]


@dataclass
class Histories:
    """Purchases of customers as columns, as the summary keeps them."""

    columns: Columns
    gaps: Array
    values: Array
    first_value: Array
    total: Array
    log_gaps: Array


def simulate(rng: np.random.Generator, n: int, today: int, silence: Any) -> Histories:
    """Return regular and occasional customers of three years; some have left, some came back."""
    own_gap = np.maximum(rng.gamma(1.6, 35, n), 2)
    leaves = rng.beta(0.8, 2.4, n)
    first = today - rng.integers(1, DAYS, n)
    state = np.zeros((6, n), np.int64)  # as Columns has them
    gaps, values = np.zeros((3, n), np.int64), np.zeros((3, n), np.int64)
    total, log_gaps, first_value = np.zeros(n, np.int64), np.zeros(n), np.zeros(n, np.int64)
    alive, day = rng.random(n) >= NEVER_PURCHASED, first.copy()
    typical = rng.lognormal(3.3, 0.6, n)
    for _ in range(MOST):
        at = np.flatnonzero(alive & (day <= today))
        if not at.size:
            break
        days, _, last, life, life_days, lives = state[:, at]
        gap, silent = day[at] - last, day[at] - last
        own = (last - life) / np.maximum(life_days - 1, 1)
        limit = np.where(
            life_days > 1,
            np.maximum(silence.floor_days,
                       np.minimum(silence.gap_multiple * own, own + silence.gap_margin_days)),
            silence.floor_days,
        )  # fmt: skip
        anew = (days == 0) | (silent > limit)
        state[:, at] = (days + 1, first[at], day[at], np.where(anew, day[at], life),
                        np.where(anew, 1, life_days + 1), lives + anew)  # fmt: skip
        again = days > 0
        gaps[:, at[again]] = np.stack([gap[again], *gaps[:2, at[again]]])
        log_gaps[at[again]] += np.log(gap[again])
        value = np.rint(typical[at] * rng.lognormal(0, 0.4, at.size) * 100).astype(np.int64) * 100
        values[:, at] = np.stack([value, *values[:2, at]])
        first_value[at[~again]] = value[~again]
        total[at] += value
        day[at] += np.maximum(1, rng.exponential(own_gap[at])).astype(np.int64)
        alive[at] &= rng.random(at.size) >= leaves[at]
        pause = rng.random(at.size) < 0.02
        day[at[pause]] += 400
    return Histories(Columns(*state), gaps, values, first_value, total, log_gaps)


def one_time(made: Histories, rows: Array, day: int) -> None:
    """Let some customers have purchased once, on a day."""
    columns = made.columns
    for values in (columns.purchase_days, columns.life_purchase_days, columns.lives):
        values[rows] = 1
    for values in (columns.first_day, columns.last_day, columns.life_start_day):
        values[rows] = day
    made.gaps[:, rows], made.values[1:, rows], made.log_gaps[rows] = 0, 0, 0
    made.values[0, rows] = made.first_value[rows] = made.total[rows] = 20 * UNITS


def nobody(made: Histories, rows: Array) -> None:
    """Let some customers never have purchased."""
    for values in vars(made.columns).values():
        values[rows] = 0


def _stages(policy: Any, columns: Columns, day: int) -> Array:
    every = np.arange(len(columns))
    on = every * 0 + day
    known = Records(policy.inactivity_limit, every, every * 0, on, Span.on(on), columns)
    return evaluate(policy, known, every, on)[0]


def customer_ids(start: int, n: int) -> list[str]:
    return [f"c-{number:08}" for number in range(start, start + n)]


async def fill(database: Database, customers: int, now: datetime, *, movers: int = 0) -> None:
    """Write customers with summaries; time will change the stage of every `movers`-th.

    A mover purchased once, and tomorrow will have been silent for longer than a life allows; the
    others stay where they are from yesterday to tomorrow.
    """
    rng, today = np.random.default_rng(7), HERE.as_of(now).day
    async with database.reads() as session:
        policy = await policies.active(ReadSession(session))
    gone = today - int(policy.inactivity_limit.floor_days)
    for start in range(0, customers, BLOCK):
        n = min(BLOCK, customers - start)
        made = simulate(rng, n, today, policy.inactivity_limit)
        moving = np.flatnonzero(np.arange(start, start + n) % movers == 0) if movers else []
        one_time(made, np.array(moving, np.int64), gone)
        stage, tomorrow = (_stages(policy, made.columns, today + day) for day in (0, 1))
        unsteady = (stage != tomorrow) | (stage != _stages(policy, made.columns, today - 1))
        unsteady[moving] = False
        nobody(made, unsteady)
        stage[unsteady] = policy.stage_code(policy.beginning)
        async with database.writes() as session, session.begin():
            writing = WriteSession(ReadSession(session))
            ids = customer_ids(start, n)
            await binary_copy.write(writing, "customers", _profiles(ids, stage, policy, now))
            await binary_copy.write(writing, "purchase_summaries", _summaries(ids, made, policy))
            await _write_movers(writing, [ids[row] for row in moving], gone)
    async with database.reads() as session:
        for table in ("customers", "purchase_summaries", "transactions", "stage_transitions"):
            await session.execute(text(f"VACUUM (ANALYZE, FREEZE) {table}"))


def _profiles(ids: list[str], stage: Array, policy: Any, now: datetime) -> dict[str, Column]:
    n = len(ids)
    at = np.full(n, int(now.timestamp() * 1e6))
    codes = np.arange(n)
    return {
        "customer_id": Column("text", ids),
        **{name: Column("int8", np.ones(n, np.int64))
           for name in ("version", "profile_version", "stage_version")},
        "name": Column("text", [f"Name {each}" for each in ids]),
        "owner": Column("text", ["ann", "bob", "cy"], codes=codes % 3),
        "acquisition_channel": Column("text", ["web", "shop", "fair", "mail"], codes=codes % 4),
        "attributes": Column("text", ["\x01{}"], codes=codes * 0),  # jsonb, version 1
        "stage": Column("text", policy.stages, codes=stage),
        "stage_since": Column("timestamptz", at),
        "created_at": Column("timestamptz", at),
        "updated_at": Column("timestamptz", at),
    }  # fmt: skip


def _summaries(ids: list[str], made: Histories, policy: Any) -> dict[str, Column]:
    rows = np.flatnonzero(made.columns.purchase_days > 0)
    columns = made.columns.take(rows)
    days = columns.purchase_days

    def number(values: Array) -> Column:
        return Column("int4", values)

    def amount(values: Array, null: Array | None = None) -> Column:
        return Column("numeric", values[rows], null)

    return {
        "customer_id": Column("text", [ids[row] for row in rows]),
        "facts": number(days),
        "refunds": number(days * 0),
        "facts_until": Column("timestamptz", columns.last_day * 86_400_000_000 + 1),
        "purchase_days": number(days),
        "first_purchase_on": Column("date", columns.first_day),
        "last_purchase_on": Column("date", columns.last_day),
        "life_started_on": Column("date", columns.life_start_day),
        "life_purchase_days": number(columns.life_purchase_days),
        "lives": number(columns.lives),
        "revenue": amount(made.total),
        "first_day_value": amount(made.first_value),
        "last_day_value": amount(made.values[0]),
        "paid_days": number(days),
        "refund_excess": amount(made.total * 0),
        "sum_log_gaps": Column("float8", made.log_gaps[rows]),
        **{f"gap_{k}": Column("int4", made.gaps[k - 1, rows], days <= k) for k in (1, 2, 3)},
        **{f"value_{k}": amount(made.values[k - 1], days < k) for k in (2, 3)},
        "policy_version": number(days * 0 + policy.version),
        "derivation_version": number(days * 0 + DERIVATION_VERSION),
    }


async def _write_movers(session: WriteSession, ids: list[str], day: int) -> None:
    """Write the one purchase of each, and the transition that it made."""
    at = datetime.fromtimestamp(day * 86_400, UTC) + timedelta(microseconds=1)
    given = {"ids": ids, "at": at, "day": at.date(), "noon": at}
    await session.execute(
        text(
            "INSERT INTO transactions (customer_id, source, transaction_id, revision, fingerprint,"
            " kind, occurred_at, occurred_on, amount, currency, value, received_at)"
            " SELECT id, 'default', '1', 1, '\\x00', 'purchase', :at, :day, 20, 'EUR', 20, :noon"
            " FROM unnest(CAST(:ids AS text[])) id"
        ),
        given,
    )
    await session.execute(
        text(
            "INSERT INTO stage_transitions (customer_id, from_stage, to_stage, effective_at,"
            " recorded_at, cause, rule, policy_version, evidence)"
            " SELECT id, 'potential', 'initial', :at, :at, 'fact', 'new_life', 1, '{}'"
            " FROM unnest(CAST(:ids AS text[])) id"
        ),
        {"ids": ids, "at": at},
    )


def on_database(url: str, main: Callable[[Database], Awaitable[None]]) -> None:
    """Migrate a new database and run `main` on it, without limits of time."""

    async def inner() -> None:
        engine = create_engine(url, server_settings=NO_LIMIT)
        await migrate(engine, SETTINGS)
        database = Database.on(engine)
        await main(database)
        await database.close()

    asyncio.run(inner())


def main(
    description: str | None,
    measure: Callable[[Database, int, int], Awaitable[None]],
    *,
    customers: int,
) -> None:
    """Measure on a database of its own, with as many customers and rounds as are asked for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--customers", type=int, default=customers)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clm-bench-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres.start(Path(folder), throwaway=True) as server:
            on_database(
                server.url, lambda database: measure(database, given.customers, given.rounds)
            )


def instant() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=1)
