"""What must hold whenever nobody writes: acknowledged is stored, once, and all follows from it."""

import asyncio
import time
from typing import Any

import asyncpg

from tests.faults.chaos.deployment import Deployment
from tests.faults.chaos.journal import INTERACTIONS, TRANSACTIONS, Identity, Journal, content
from tests.faults.chaos.readers import Operator

FIT = "model_fit"
ENDING_SECONDS = 90.0
_STORED = {
    TRANSACTIONS: "SELECT customer_id, transaction_id, kind, amount, occurred_at FROM transactions",
    INTERACTIONS: "SELECT customer_id, interaction_id, kind, occurred_at FROM interactions",
}
_OPEN = "SELECT operation_id, kind, state FROM operations WHERE state IN ('pending', 'running')"
_REVISIONS = (
    "SELECT transaction_id FROM transaction_revisions"
    " UNION ALL SELECT interaction_id FROM interaction_revisions"
)
_EFFECTS = "SELECT request_id, count(*) FROM audit_entries WHERE request_id = ANY($1) GROUP BY 1"
_TWICE = (
    "SELECT customer_id FROM stage_transitions WHERE voided_at IS NULL"
    " GROUP BY customer_id, effective_at HAVING count(*) > 1"
)
# What the ledger says, step by step from the first row on, ends where the customer is said to be.
_REPLAY = """
SELECT customer_id FROM (
    SELECT customer_id, from_stage, to_stage, effective_at,
        lag(to_stage) OVER of_one AS before, lead(to_stage) OVER of_one AS after
    FROM stage_transitions WHERE voided_at IS NULL
    WINDOW of_one AS (PARTITION BY customer_id ORDER BY effective_at)
) ledger JOIN customers USING (customer_id)
WHERE coalesce(before <> from_stage, false)
    OR after IS NULL AND (to_stage, effective_at) IS DISTINCT FROM (stage, stage_since)
UNION SELECT customer_id FROM customers WHERE stage_since IS NOT NULL AND NOT EXISTS (
    SELECT FROM stage_transitions
    WHERE stage_transitions.customer_id = customers.customer_id AND voided_at IS NULL
)
"""


async def all_of(deployment: Deployment, journal: Journal, operator: Operator) -> None:
    """Blame the service for whatever does not hold."""
    connection = await deployment.connect()
    try:
        await _operations(connection, journal)
        for family in _STORED:
            await _facts(connection, journal, family)
        for (name,) in await connection.fetch(_REVISIONS):
            journal.blame("doubled", f"{name} has a revision that nobody told")
        await _names(connection, journal)
        await _effects(connection, journal)
        await _runs(connection, journal)
        for (customer,) in await connection.fetch(_TWICE):
            journal.blame("doubled", f"{customer} has two transitions at one instant")
        for (customer,) in await connection.fetch(_REPLAY):
            journal.blame("differs", f"the ledger of {customer} does not lead to its stage")
    finally:
        await connection.close()
    rebuild = await operator.work("/v1/rebuilds", {})
    if rebuild is not None and rebuild["state"] == "succeeded" and rebuild["result"]["differing"]:
        path = f"/v1/rebuilds/{rebuild['id']}/differences"
        shown = await operator.ask("GET", path, (200,))
        told = shown.text[:600] if shown is not None else ""
        journal.blame("differs", f"{rebuild['result']} {told}")


async def _facts(connection: asyncpg.Connection, journal: Journal, family: str) -> None:
    stored: dict[Identity, tuple[Any, ...]] = {}
    for row in await connection.fetch(_STORED[family]):
        customer, name, *found = row
        stored[(family, customer, name)] = tuple(found)
    for each in journal.acknowledged:
        if each[0] == family and stored.get(each) != content(family, journal.bodies[each]):
            journal.blame("lost", f"{each}: stored is {stored.get(each)}")
    for each, found in stored.items():
        if each not in journal.bodies:
            journal.blame("doubled", f"{each} is stored, and nobody told it")
        elif found != content(family, journal.bodies[each]):
            journal.blame("lost", f"{each} is stored as {found}")


async def _names(connection: asyncpg.Connection, journal: Journal) -> None:
    stored = dict(await connection.fetch("SELECT customer_id, name FROM customers"))
    for customer, names in journal.names.items():
        if names.acknowledged is None:
            continue
        name = stored.get(customer)
        if name != names.acknowledged and name not in names.late:
            journal.blame("lost", f"{customer} is {name}, was last called {names.acknowledged}")


async def _effects(connection: asyncpg.Connection, journal: Journal) -> None:
    """Each write under a key has one entry in the audit, however often it was sent."""
    found = dict(await connection.fetch(_EFFECTS, list(journal.keyed)))
    for key, acknowledged in journal.keyed.items():
        if acknowledged and key not in found:
            journal.blame("lost", f"{key} was acknowledged and left no trace")
        if found.get(key, 0) > 1:
            journal.blame("doubled", f"{key} had {found[key]} effects")


async def _runs(connection: asyncpg.Connection, journal: Journal) -> None:
    """A run scores each customer once."""
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'runs'::regnamespace AND relkind = 'r'"
    )
    for (table,) in tables:
        twice = f"SELECT count(*) - count(DISTINCT customer_id) FROM runs.{table}"
        if await connection.fetchval(twice):
            journal.blame("doubled", f"runs.{table} scores somebody twice")


async def _operations(connection: asyncpg.Connection, journal: Journal) -> None:
    """Whatever was started ends, and was started once for each key."""
    began = time.monotonic()
    while rows := await connection.fetch(_OPEN):
        if time.monotonic() - began > ENDING_SECONDS:
            for operation_id, kind, state in rows:
                journal.blame("stuck", f"{kind} {operation_id} is {state} and does not end")
            break
        await asyncio.sleep(0.1)
    for operation_id, kind in await connection.fetch("SELECT operation_id, kind FROM operations"):
        if operation_id not in journal.operations and kind != FIT:  # runs have models fitted
            journal.blame("doubled", f"{kind} {operation_id} was started, and nobody asked for it")
