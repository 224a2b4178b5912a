"""How many statements the answers about scores take: one more is a change made on purpose."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import event

from app.config import Settings
from app.deployment import Deployment
from app.postgres.db import Database
from app.worker import Worker
from tests.database import Clock
from tests.services.runs import test_runs as made
from tests.services.scores.test_churn_risk import store_risk
from tests.twin import Fact

IDS = [f"c{number:02}" for number in range(12)]
CASES = {
    "card": ("GET", "/v1/customers/c00/scores", None, 5),
    "stage": ("GET", "/v1/customers/c00/stage", None, 3),
    "look-up": ("POST", "/v1/scores/lookup", {"customer_ids": IDS}, 5),
    "look-up of two": ("POST", "/v1/scores/lookup", {"customer_ids": IDS[:2]}, 5),
    "page of churn risks": ("GET", "/v1/churn-risks?limit=10&include=all", None, 1),
    "page of two": ("GET", "/v1/churn-risks?limit=2&include=all", None, 1),
    "page of scores": ("GET", "/v1/scores?limit=10", None, 1),
}


class Statements(list[str]):
    """The statements of a database: SQLAlchemy's own, and those that go by the driver."""


@pytest.fixture
def statements(own_database: Database) -> Iterator[Statements]:
    found = Statements()

    def note(conn, cursor, statement, *rest) -> None:
        found.append(statement)

    def note_driver(logged) -> None:
        if not logged.query.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            found.append(logged.query)

    def listen(connection, *rest) -> None:
        connection.driver_connection.add_query_logger(note_driver)

    engine = own_database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    event.listen(engine, "checkout", listen)
    yield found
    event.remove(engine, "before_cursor_execute", note)
    event.remove(engine, "checkout", listen)


@pytest.fixture
async def scored(
    own_database: Database,
    own_client: httpx.AsyncClient,
    deployment: Deployment,
    settings: Settings,
    clock: Clock,
) -> None:
    """Customers with purchases, a model that looks at everything, and a published run."""
    clock.now = datetime.now(UTC)
    facts = {
        each: [
            Fact(("default", f"p{place}"), clock.now - timedelta(days=20 * place + number + 1),
                 Decimal(20))
            for place in range(3)
        ]
        for number, each in enumerate(IDS)
    }  # fmt: skip
    await made.post(own_database, deployment, facts, clock.now)
    async with made.write(own_database) as session:
        await store_risk(session, "model_of_statements")
    await made.run(own_database, deployment, Worker(own_database, settings))
    clock.now = datetime.now(UTC)


@pytest.mark.parametrize("name", CASES)
async def test_an_answer_takes_no_more_statements_than_it_did(
    own_client: httpx.AsyncClient, scored: None, statements: Statements, name: str
) -> None:
    method, path, body, allowed = CASES[name]
    await own_client.request(method, path, json=body)  # what is read once is read
    await asyncio.sleep(0)
    statements.clear()
    answer = await own_client.request(method, path, json=body)
    assert answer.status_code == 200, answer.text
    await asyncio.sleep(0)  # the driver tells of a statement when the loop comes to it
    assert len(statements) == allowed, "\n".join(statements)


@pytest.mark.parametrize(("outcome", "allowed"), [("solved", 3), (None, 4)])
async def test_a_card_looks_for_complaints_only_where_there_may_be_an_open_one(
    own_database: Database,
    own_client: httpx.AsyncClient,
    scored: None,
    statements: Statements,
    outcome: str | None,
    allowed: int,
) -> None:
    async with made.write(own_database) as session:
        await store_risk(session, "model_of_histories", weights={"process": 1.0})
    day = datetime.now(UTC) - timedelta(days=2)
    complaint = {"interaction_id": "k", "occurred_at": day.isoformat(), "kind": "complaint"}
    told = {"items": [{"customer_id": "c00", **complaint, "outcome": outcome}]}
    assert (await own_client.post("/v1/interactions/bulk", json=told)).json()["counts"]["created"]
    for _ in range(2):  # what is read once is read
        statements.clear()
        card = (await own_client.get("/v1/customers/c00/scores")).json()
    assert ("open_complaint" in card["call_reasons"]) is (outcome is None)
    assert len(statements) == allowed, "\n".join(statements)
