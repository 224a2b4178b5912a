"""The worklist of a million customers: seconds of CPU of each question, the server's beside.

    python -m benchmarks.worklist --customers 1000000

One in twenty is overdue by the run, one in fifty complained within 90 days, each second one had
contacts; a thousand owners have a thousand customers each. What counts is CPU, the least of some
rounds, as in `benchmarks/queries.py`, whose clock it is.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import text

from app.models.scoring import SCORE_INDEXES, score_index, scores_name, scores_of
from app.postgres.db import Database, ReadSession, fetch_rows
from app.services.runs.worklist import worklist
from benchmarks import million
from benchmarks.queries import CUSTOMERS, SECRET, Clock

_RUN = f"""
INSERT INTO {scores_name(1)} (customer_id, customer_version, stage, status, purchase_days, revenue,
    call_reasons, value_to_save, clv, rhythm, probability, usual_gap_days, last_purchase_on)
SELECT c.customer_id, 1, c.stage, 'ok', s.purchase_days, s.revenue,
    CASE WHEN random() < 0.05 THEN ARRAY['overdue'] ELSE '{{}}' END,
    round(cast(random() * 100 AS numeric), 2), round(s.revenue / 2, 2), 'overdue', 0.5, 20,
    s.last_purchase_on
FROM customers c JOIN purchase_summaries s ON s.customer_id = c.customer_id"""
_CONTACTS = """
INSERT INTO interactions (customer_id, source, interaction_id, revision, fingerprint, occurred_at,
    occurred_on, kind, received_at)
SELECT customer_id, 'default', 'i' || n, 1, '\\x00', at, cast(at AS date),
    (ARRAY['call', 'visit', 'complaint'])[1 + n], at
FROM customers, generate_series(0, 2) AS n,
    LATERAL (SELECT now() - (1 + random() * 200 + n * 0) * interval '1 day' AS at) AS times
WHERE random() < CASE n WHEN 2 THEN 0.02 ELSE 0.5 END"""
_DAYS = """
INSERT INTO interaction_days (customer_id, kind, occurred_on, count)
SELECT customer_id, kind, occurred_on, count(*) FROM interactions GROUP BY 1, 2, 3"""
_OWNERS = "UPDATE customers SET owner = 'o' || abs(hashtext(customer_id)) % 1000"


async def measure(database: Database, customers: int, rounds: int) -> None:
    now = million.instant()
    await million.fill(database, customers, now)
    async with database.engine.begin() as connection:
        await connection.run_sync(scores_of(1).create)
        for statement in (_RUN, _CONTACTS, _DAYS, _OWNERS):
            await connection.execute(text(statement))
        for name in SCORE_INDEXES:
            await connection.execute(text(score_index(1, name)))
        pointer = "INSERT INTO settings (key, value) VALUES ('published_run_id', '1')"
        await connection.execute(text(pointer))
    async with database.reads() as opened:
        for table in ("customers", "interactions", "interaction_days", scores_name(1)):
            await opened.execute(text(f"VACUUM (ANALYZE) {table}"))
        session = ReadSession(opened)
        ((pid,),) = await fetch_rows(session, "SELECT pg_backend_pid()")
        await opened.execute(text("SET max_parallel_workers_per_gather = 0"))
        clock = Clock(pid)

        def asked(**given: Any) -> Callable[[], Awaitable[Any]]:
            chosen = {"owner": None, "team": None, "on": None, "limit": 50, **given}
            return lambda: worklist.listed(
                session, million.HERE, now=now, may=lambda _: True, **chosen
            )

        some = (await fetch_rows(session, "SELECT customer_id FROM customers LIMIT 1"))[0][0]
        print(f"{customers} customers; ms of CPU, of both and of the server")
        for name, work in (
            ("the list of everybody, 50 lines", asked()),
            ("500 lines", asked(limit=500)),
            ("of an owner", asked(owner="o7")),
            ("of a customer", lambda: worklist.of_customer(
                session, million.HERE, some, now=now, may=lambda _: True)),
            ("preview of the ready rules", lambda: worklist.preview(
                session, million.HERE, 0, secret=SECRET, now=now)),
        ):  # fmt: skip
            await clock.seconds(work, 1)
            both, server = min([await clock.seconds(work, 1) for _ in range(rounds)])
            print(f"{name:34} {1e3 * both:9.1f} {1e3 * server:9.1f}", flush=True)


if __name__ == "__main__":
    million.main(__doc__, measure, customers=CUSTOMERS)
