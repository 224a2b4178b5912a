"""Generated requests for every operation of the document, over HTTP to a real server."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from schemathesis import checks

from app.config import Settings
from app.db import Database, create_engine
from app.main import create_app
from app.services import keys
from tests import openapi
from tests.database import NOW, _administer, _named, writing

DOCUMENT = openapi.document()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
EXAMPLES = 40
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]


@pytest.fixture(scope="module")
def key(fuzzed_url: str) -> str:
    async def make() -> str:
        database = Database.on(create_engine(fuzzed_url))
        async with database.writes() as session, session.begin():
            made = await keys.create(writing(session), "fuzzer", ["admin"], now=NOW)
        await database.close()
        return made

    return asyncio.run(make())


@pytest.fixture(scope="module")
def fuzzed_url(cluster: str, template: str) -> Iterator[str]:
    """The URL of a database for this file alone."""
    name = "clm_fuzzed"
    asyncio.run(_administer(cluster, f"CREATE DATABASE {name} OWNER clm TEMPLATE {template}"))
    yield _named(cluster, name)
    asyncio.run(_administer(cluster, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="module")
def service(fuzzed_url: str, key: str, settings: Settings) -> Iterator[str]:
    """The address of a server with some customers, purchases and long work in it."""
    database = Database.connect(settings, fuzzed_url)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            create_app(settings, database), log_config=None, access_log=False, lifespan="on"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        populate(url, key)
        yield url
        server.should_exit = True
        thread.join()


def populate(url: str, key: str) -> None:
    items = [
        {
            "customer_id": f"c-100{number % 3}",
            "transaction_id": f"t{number}",
            "occurred_at": f"2026-0{1 + number % 5}-10T12:00:00Z",
            "amount": "12.50",
        }
        for number in range(12)
    ]
    visits = [
        {
            "customer_id": f"c-100{number % 3}",
            "interaction_id": f"i{number}",
            "occurred_at": f"2026-0{1 + number % 5}-10T12:00:00Z",
            "kind": "visit",
        }
        for number in range(12)
    ]
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
        for path, body in (
            ("/v1/transactions/bulk", {"items": items}),
            ("/v1/interactions/bulk", {"items": visits}),
            ("/v1/models", {}),
            ("/v1/scoring-runs", {}),
        ):
            assert client.post(path, json=body).is_success


@SCHEMA.parametrize()
@hypothesis_settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_operation_keeps_its_contract(case: Any, service: str, key: str) -> None:
    response = case.call(base_url=service, headers={"Authorization": f"Bearer {key}"})
    # A partial bulk rejects bad items one by one, in a success.
    excluded = [checks.negative_data_rejection] if case.path.endswith("/bulk") else []
    case.validate_response(response, checks=CHECKS, excluded_checks=excluded)
