"""What operations see of the service: the access log and the metrics of a request."""

import logging
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.postgres.db import Database
from tests.database import Clock

FACT = {
    "customer_id": "secret-person",
    "transaction_id": "secret-fact",
    "occurred_at": "2026-01-31T12:00:00Z",
    "amount": {"amount": "12.50"},
}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "clm.access")
    return caplog


def lines(log: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(each) for each in log.records if each.name == "clm.access"]


def samples(page: str, name: str) -> dict[str, float]:
    """Return the series of a metric by their labels."""
    found = (line.rpartition(" ") for line in page.splitlines() if line.startswith(name))
    return {series.removeprefix(name): float(value) for series, _, value in found}


async def test_a_line_says_who_asked_what_it_took_and_how_it_ended(
    client: httpx.AsyncClient, log: pytest.LogCaptureFixture
) -> None:
    answer = await client.post("/v1/transactions?unknown=secret-query", json=FACT)
    assert answer.status_code == 422
    answer = await client.post("/v1/transactions", json=FACT)
    assert answer.status_code == 201
    refused, stored = lines(log)
    key_id = client.headers["Authorization"].split("_")[1]
    assert stored["key_id"] == key_id
    assert (stored["method"], stored["route"], stored["status"]) == (
        "POST",
        "/v1/transactions",
        201,
    )
    assert stored["bytes_received"] == len(answer.request.content)
    assert stored["bytes_sent"] == len(answer.content)
    assert stored["statements"] > 3
    assert 0 < stored["database_ms"] < stored["ms"]
    assert "code" not in stored
    assert (refused["status"], refused["code"]) == (422, "validation_failed")
    assert not any("secret" in str(value) for line in (refused, stored) for value in line.values())


async def test_what_is_refused_before_the_api_has_a_line_too(
    client: httpx.AsyncClient, log: pytest.LogCaptureFixture
) -> None:
    await client.post("/v1/transactions", content=b"x", headers={"Content-Encoding": "br"})
    await client.get("/nowhere")
    await client.get("/v1/info", headers={"Authorization": "Bearer clm_wrong_wrong"})
    await client.get("/livez")
    told = lines(log)
    assert [(line["status"], line.get("code")) for line in told] == [
        (415, "unsupported_media_type"),
        (404, "not_found"),
        (401, "unauthorized"),
        (200, None),
    ]
    assert [line["levelname"] for line in told] == ["INFO", "INFO", "INFO", "DEBUG"]
    # A body is looked at when it is known who sends it.
    assert ["key_id" in line for line in told] == [True, False, False, False]


async def test_database_time_is_summed_by_route(client: httpx.AsyncClient) -> None:
    await client.post("/v1/transactions", json=FACT)
    for _ in range(2):
        answer = await client.get("/v1/customers/secret-person/scores")
        assert answer.status_code == 200
    page = (await client.get("/metrics")).text
    spent = samples(page, "clm_http_database_seconds_total")
    assert spent['{method="POST",route="/v1/transactions"}'] > 0
    assert spent['{method="any",route="shared"}'] > 0  # cards are read for all who ask at once


async def test_the_last_success_of_each_task_is_told(
    client: httpx.AsyncClient, database: Database, clock: Clock
) -> None:
    async with database.writes() as session, session.begin():
        await session.execute(
            text(
                "INSERT INTO settings (key, value) VALUES"
                " ('last_backup', '\"2026-05-31T12:00:00+00:00\"')"
            )
        )
        await session.execute(
            text(
                "INSERT INTO operations (operation_id, kind, state, request, context, done, total,"
                " created_at, finished_at) VALUES ('op_1', 'model_fit', 'failed', '{}', '{}', 0, 1,"
                " now(), now())"
            )
        )
    page = (await client.get("/metrics")).text
    at = samples(page, "clm_last_success_timestamp_seconds")
    assert at['{task="backup"}'] == 1780228800
    assert str(at['{task="scoring_run"}']) == "nan"
    assert samples(page, "clm_operations_failed_last_day") == {'{kind="model_fit"}': 1}
    (build,) = samples(page, "clm_build_info")
    assert "revision=" in build
    assert samples(page, "clm_database_size_bytes")[""] > 1_000_000


async def test_scrapes_of_the_same_moment_look_once(
    client: httpx.AsyncClient, database: Database
) -> None:
    submit = "INSERT INTO operations (operation_id, kind, state, request, context, done, total,"
    submit += " created_at) VALUES ('op_1', 'model_fit', 'pending', '{}', '{}', 0, 1, now())"
    name = "clm_operations_queue_depth"
    assert samples((await client.get("/metrics")).text, name) == {"": 0}
    async with database.writes() as session, session.begin():
        await session.execute(text(submit))
    assert samples((await client.get("/metrics")).text, name) == {"": 0}
    client.app.state.clm.watch._until = 0.0
    assert samples((await client.get("/metrics")).text, name) == {"": 1}
