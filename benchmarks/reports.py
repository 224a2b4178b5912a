"""Reports on ledger and facts: seconds of each over so many customers, asked of a service.

    python -m benchmarks.reports 100000

The rows are made by SQL, as what they say does not matter here: 6.5 purchases a customer over three
years, the transitions that follow, interactions, some refunds.
"""

import statistics
import sys
import time
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx

from app.services.runs.live_reports.catalogue import REPORTS
from benchmarks import common

ROUNDS, MOST_SECONDS = 3, 12
_ID = "'c-' || lpad(n::text, 8, '0')"
_BOUGHT = (
    "(SELECT n, k, $2::timestamptz + (n % 9973 * 7919 % 1000 + k * (10 + n % 997 * 13 % 80))"
    " * interval '1 day' + n % 80000 * interval '1 second' AS at"
    " FROM generate_series(1, $1::int) AS n, generate_series(0, 11) AS k WHERE k <= n % 12) AS b"
)
FILL = (
    "INSERT INTO customers (customer_id, version, profile_version, acquisition_channel, country,"
    " attributes, stage, stage_version, created_at, updated_at)"
    f" SELECT {_ID}, 1, 1, (ARRAY['web', 'fair', 'shop', NULL])[1 + n % 4],"
    " (ARRAY['DE', 'FR', NULL])[1 + n % 3], '{}', 'potential', 1,"
    " $2::timestamptz + (n % 9973 * 7919 % 1000 - n % 40) * interval '1 day', now()"
    " FROM generate_series(1, $1::int) AS n ORDER BY 1",
    "INSERT INTO transactions (customer_id, source, transaction_id, revision, fingerprint, kind,"
    " occurred_at, occurred_on, amount, currency, value, received_at)"
    f" SELECT {_ID}, 'default', n || '-' || k, 1, '\\x00', 'purchase', at, CAST(at AS date),"
    " 5 + n % 9973 * k % 90, 'EUR', 5 + n % 9973 * k % 90, at"
    f" FROM {_BOUGHT} WHERE at < now()",
    "INSERT INTO refund_allocations SELECT customer_id, source, 'r' || transaction_id, source,"
    " transaction_id, occurred_at + interval '3 days', occurred_on + 3, amount, value"
    " FROM transactions WHERE $1::int > 0 AND $2::timestamptz IS NOT NULL"
    " AND right(transaction_id, 1) = '7'",
    "INSERT INTO stage_transitions (customer_id, from_stage, to_stage, effective_at, recorded_at,"
    " cause, rule, policy_version, evidence, derivation_version)"
    f" SELECT {_ID}, (ARRAY['potential', 'initial', 'active'])[1 + least(k, 2)],"
    " (ARRAY['initial', 'active', 'loyal'])[1 + least(k, 2)], at, now(), 'fact', 'x', 1, '{}', 4"
    f" FROM {_BOUGHT} WHERE at < now() AND k IN (0, 1, 4)",
    "INSERT INTO stage_transitions (customer_id, from_stage, to_stage, effective_at, recorded_at,"
    " cause, rule, policy_version, evidence, derivation_version)"
    " SELECT customer_id, (ARRAY['initial', 'active', 'loyal'])[CASE WHEN count(*) = 1 THEN 1"
    " WHEN count(*) < 5 THEN 2 ELSE 3 END], 'churned', max(occurred_at) + interval '181 days',"
    " now(), 'inactivity', 'x', 1, '{}', 4 FROM transactions WHERE $1::int > 0"
    " AND $2::timestamptz IS NOT NULL GROUP BY customer_id"
    " HAVING max(occurred_at) + interval '181 days' < now()",
    "INSERT INTO interactions (customer_id, source, interaction_id, revision, fingerprint,"
    " occurred_at, occurred_on, kind, channel, outcome, received_at)"
    f" SELECT {_ID}, 'default', n || '-' || k, 1, '\\x00', at, CAST(at AS date),"
    " (ARRAY['call', 'demo', 'complaint'])[1 + (n + k) % 3],"
    " (ARRAY['phone', 'mail'])[1 + n % 2], CASE WHEN (n + k) % 3 = 2 AND n % 2 = 0"
    f" THEN 'solved' END, at FROM {_BOUGHT} WHERE at < now() AND k < 2",
)


async def main(
    _: common.Service, connection: asyncpg.Connection, client: httpx.AsyncClient
) -> None:
    customers = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    now = datetime.now(UTC)
    await connection.execute("SET statement_timeout = 0")
    for statement in FILL:
        await connection.execute(statement, customers, now - timedelta(days=1095))
    await connection.execute("VACUUM ANALYZE")
    facts = await connection.fetchval("SELECT count(*) FROM transactions")
    print(f"{customers:,} customers, {facts:,} purchases; median of {ROUNDS}, a year asked for")
    for name, report in REPORTS.items():
        for by in report.ways:
            seconds, answer = [], None
            while len(seconds) < ROUNDS and sum(seconds) < MOST_SECONDS:
                began = time.perf_counter()
                answer = await client.get(f"/v1/reports/{name}", params={"by": by})
                seconds.append(time.perf_counter() - began)
            assert answer is not None
            rows = len(answer.json()["rows"]) if answer.status_code == 200 else 0
            median = statistics.median(seconds)
            print(f"{name:13} by {by:21} {median:6.2f} s  {answer.status_code}  {rows} rows")


if __name__ == "__main__":
    common.run(main)
