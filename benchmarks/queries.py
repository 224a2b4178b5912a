"""Queries of a million customers, beside the same SQL written by hand.

Each is asked in turns with the other, and what counts is CPU: of this process and of the one of the
server that answers, which is the only one (no parallel workers). The hand-written statement tells
what a page shows of those found, too, in one statement.
"""

import resource
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.models.scoring import SCORE_INDEXES, score_index, scores_name, scores_of
from app.postgres.db import Database, ReadSession, fetch_rows
from app.schemas.queries import AggregateQuery, CustomerQuery
from app.services.runs import aggregates, queries, query_columns, query_parts
from app.services.runs.query_prepared import prepare
from benchmarks import million

CUSTOMERS = 1_000_000
SECRET = b"0" * 32
_RUN = f"""
INSERT INTO {scores_name(1)} (customer_id, customer_version, stage, status, purchase_days, revenue,
    call_reasons, value_to_save, clv, rhythm, last_purchase_on)
SELECT c.customer_id, 1, c.stage, 'ok', s.purchase_days, s.revenue, '{{}}',
    round(cast(random() * 100 AS numeric), 2), round(s.revenue / 2, 2),
    (ARRAY['on_time', 'due', 'overdue', 'lost'])[1 + floor(random() * 4)], s.last_purchase_on
FROM customers c JOIN purchase_summaries s ON s.customer_id = c.customer_id"""
_CONTACTS = """
INSERT INTO interaction_days (customer_id, kind, occurred_on, count)
SELECT customer_id, (ARRAY['call', 'visit', 'complaint'])[1 + n], current_date - 1
    - cast(floor(random() * 300) AS int), 1
FROM customers, generate_series(0, 2) AS n WHERE random() < CASE n WHEN 2 THEN 0.02 ELSE 0.5 END
ON CONFLICT DO NOTHING"""
_MONEY = "count(*), sum(s.revenue), sum(r.clv), sum(r.value_to_save)"
_JOINED = (
    " FROM customers c LEFT JOIN purchase_summaries s USING (customer_id)"
    " LEFT JOIN runs.scores_1 r USING (customer_id)"
)
_WINDOW = "d.customer_id = c.customer_id AND d.occurred_on > current_date - 90"
Rule = dict[str, Any]


def rule(variable: str, op: str, value: Any, **more: Any) -> Rule:
    return {"variable": variable, "op": op, "value": value, **more}


def both(*parts: Rule) -> Rule:
    return {"all": list(parts)}


ASKED: list[tuple[str, dict[str, Any], str]] = [
    (
        "page by id, stage and revenue",
        {"when": both(rule("stage", "==", "loyal"), rule("revenue", ">=", 500)),
         "select": ["revenue"]},
        "SELECT c.customer_id, c.name, s.revenue FROM customers c JOIN purchase_summaries s"
        " USING (customer_id) WHERE c.stage = 'loyal' AND s.revenue >= 500"
        " ORDER BY c.customer_id LIMIT 51",
    ),
    (
        "page by value to save, silent for 60 days",
        {"when": rule("days_since_last_purchase", ">", 60), "sort": "-value_to_save"},
        "SELECT c.customer_id, c.name, r.value_to_save FROM runs.scores_1 r JOIN customers c"
        " USING (customer_id) JOIN purchase_summaries s USING (customer_id)"
        " WHERE current_date - s.last_purchase_on > 60"
        " ORDER BY r.value_to_save DESC, r.customer_id DESC LIMIT 51",
    ),
    (
        "page by revenue, no index",
        {"when": rule("acquisition_channel", "==", "web"), "sort": "-revenue"},
        "SELECT c.customer_id, c.name, s.revenue FROM customers c JOIN purchase_summaries s"
        " USING (customer_id) WHERE c.acquisition_channel = 'web'"
        " ORDER BY s.revenue DESC, c.customer_id DESC LIMIT 51",
    ),
    (
        "page by id, a complaint in 90 days",
        {"when": rule("interactions", ">=", 1, kind="complaint", days=90)},
        "SELECT c.customer_id, c.name FROM customers c WHERE EXISTS (SELECT FROM"
        f" interaction_days d WHERE {_WINDOW} AND d.kind = 'complaint')"
        " ORDER BY c.customer_id LIMIT 51",
    ),
    (
        "count, channel and revenue",
        {"when": both(rule("acquisition_channel", "==", "web"), rule("revenue", ">=", 500)),
         "count": True, "limit": 1},
        f"SELECT {_MONEY}{_JOINED} WHERE c.acquisition_channel = 'web' AND s.revenue >= 500",
    ),
    (
        "count, stage alone",
        {"when": rule("stage", "==", "churned"), "count": True, "limit": 1},
        f"SELECT {_MONEY}{_JOINED} WHERE c.stage = 'churned'",
    ),
    (
        "count, no contact in 90 days",
        {"when": rule("interactions", "==", 0, days=90), "count": True, "limit": 1},
        f"SELECT {_MONEY}{_JOINED} WHERE NOT EXISTS (SELECT FROM interaction_days d WHERE"
        f" {_WINDOW})",
    ),
]  # fmt: skip
GROUPED = {
    "by": [{"of": "stage"}, {"of": "acquisition_channel"}],
    "measures": [{"kind": "sum", "of": "revenue"}, {"kind": "mean", "of": "purchase_days"}],
}
BY_HAND = (
    "SELECT c.stage, c.acquisition_channel, count(*), sum(coalesce(s.revenue, 0)),"
    " avg(coalesce(s.purchase_days, 0)) FROM customers c LEFT JOIN purchase_summaries s"
    " USING (customer_id) GROUP BY 1, 2"
)
EVALUATED = rule("purchase_days", ">=", 2, days=90)


def of_server(pid: int) -> float:
    """Return the seconds of CPU that a process of the server has used."""
    told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / 100


class Clock:
    def __init__(self, pid: int) -> None:
        self.pid = pid

    async def seconds(self, work: Callable[[], Awaitable[Any]], times: int) -> tuple[float, float]:
        """Return CPU of both, and of the server alone, of one time; of several in a row."""
        own, server = time.process_time(), of_server(self.pid)
        for _ in range(times):
            await work()
        server = of_server(self.pid) - server
        return (time.process_time() - own + server) / times, server / times


async def measure(database: Database, customers: int, rounds: int) -> None:
    now = million.instant()
    await million.fill(database, customers, now)
    async with database.engine.begin() as connection:
        await connection.run_sync(scores_of(1).create)
        for statement in (_RUN, _CONTACTS):
            await connection.execute(text(statement))
        for name in SCORE_INDEXES:
            await connection.execute(text(score_index(1, name)))
        pointer = "INSERT INTO settings (key, value) VALUES ('published_run_id', '1')"
        await connection.execute(text(pointer))
    async with database.reads() as opened:
        for table in ("interaction_days", scores_name(1)):
            await opened.execute(text(f"VACUUM (ANALYZE) {table}"))
        session = ReadSession(opened)
        ((pid,),) = await fetch_rows(session, "SELECT pg_backend_pid()")
        await opened.execute(text("SET max_parallel_workers_per_gather = 0"))
        clock = Clock(pid)
        print(
            f"{customers} customers; ms of CPU (of the server), ours and by hand; the ratio of both"
        )
        for name, asked, by_hand in ASKED:
            query = CustomerQuery.model_validate(asked)

            async def ours(query: CustomerQuery = query) -> None:
                assert await queries.search(
                    session, million.HERE, query, secret=SECRET, now=now, may=lambda _: True
                )

            async def theirs(by_hand: str = by_hand) -> None:
                await fetch_rows(session, by_hand)

            await compare(clock, name, ours, theirs, rounds)

        async def groups() -> None:
            asked = AggregateQuery.model_validate(GROUPED)
            assert await aggregates.aggregate(
                session, million.HERE, asked, now=now, may=lambda _: True
            )

        async def groups_by_hand() -> None:
            await fetch_rows(session, BY_HAND)

        await compare(clock, "groups by stage and channel", groups, groups_by_hand, rounds)
        await evaluate(session, clock, now)


async def compare(clock: Clock, name: str, ours: Any, theirs: Any, rounds: int) -> None:
    cpu, _ = await clock.seconds(ours, 1)
    await clock.seconds(theirs, 1)
    times = 1 if cpu > 0.2 else 40
    told = [
        (await clock.seconds(ours, times), await clock.seconds(theirs, times))
        for _ in range(rounds)
    ]
    own = min(one for (one, _), _ in told), min(one for (_, one), _ in told)
    hand = min(one for _, (one, _) in told), min(one for _, (_, one) in told)
    shown = " ".join(f"{1e3 * cpu:8.1f} ({1e3 * server:8.1f})" for cpu, server in (own, hand))
    print(
        f"{name:42} {shown} {own[0] / max(hand[0], 1e-4):6.2f} {own[1] / max(hand[1], 1e-4):6.2f}",
        flush=True,
    )


async def evaluate(session: ReadSession, clock: Clock, now: Any) -> None:
    """Look at everybody in parts, as a worker does."""
    asked = CustomerQuery.model_validate({"when": EVALUATED, "count": True})
    as_of = million.HERE.as_of(now)
    query = await prepare(
        session, million.HERE, asked, secret=SECRET, as_of=as_of, may=lambda _: True
    )
    assert not query.question.is_stored
    after: str | None = ""
    looked = 0.0
    parts = 0
    while after is not None:
        up_to = await query_columns.end_of(session, after, query_parts.PART)
        begin = after

        async def part(begin: str = begin, up_to: str | None = up_to) -> None:
            await query_columns.of_range(
                session, million.HERE, query.question, query.wanted, after=begin, up_to=up_to
            )

        cpu, _ = await clock.seconds(part, 1)
        looked, parts, after = looked + cpu, parts + 1, up_to
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"a window of purchases, evaluated: {looked:.1f} s of CPU in {parts} parts, {most:.0f} MB"
    )


if __name__ == "__main__":
    million.main(__doc__, measure, customers=CUSTOMERS)
