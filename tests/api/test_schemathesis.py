"""Generated requests for every operation of the document, over HTTP to a real server."""

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests
import uvicorn
from hypothesis import HealthCheck, Phase
from hypothesis import settings as settings_of_examples

from app.config import Settings
from app.main import create_app
from app.postgres.db import Database, create_engine
from app.services.access import keys
from tests import hostile, openapi
from tests.database import NOW, _administer, _named, copy_database, writing


def operations_of(document: dict[str, Any]) -> list[str]:
    return [
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    ]


DOCUMENT = openapi.committed()
OPERATIONS = operations_of(DOCUMENT)
STORM = 700


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
    copy_database(cluster, template, name)
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
            "amount": {"amount": "12.50"},
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


@pytest.fixture(scope="module")
def schema(service: str, key: str) -> Any:
    """The document as schemathesis reads it, which knows the server and that a key is sent."""
    import schemathesis  # noqa: PLC0415  # slow to import, and few files need it

    @schemathesis.serializer("text/csv", "application/x-ndjson")
    def of_files(_: Any, value: Any) -> bytes:
        return str(value).encode("utf-8", "replace")

    found = schemathesis.openapi.from_dict(DOCUMENT)
    # A request said to lack the key, and sent with it, is one that is rightly answered.
    headers = {"Authorization": f"Bearer {key}"}
    found.config.update(base_url=service, headers=headers, request_timeout=60)
    return found


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """One for all calls: each would make its own, and read the whole environment for proxies."""
    with requests.Session() as found:
        found.trust_env = False
        yield found


def fuzz(operation: Any, call: Callable[..., None]) -> None:
    """Call with the cases of an operation: those at the limits of its schema, and random ones.

    The decorator of schemathesis makes them when tests are collected: those of all operations, in
    every process, which takes longer than most files of tests run. And it gives all one name.
    """
    from schemathesis.generation.feedback import FeedbackSources  # noqa: PLC0415
    from schemathesis.pytest._test_builder import build_operation_test  # noqa: PLC0415

    build_operation_test(
        config=operation.schema.config,
        operation=operation,
        test_func=call,
        given_kwargs={},
        feedback=FeedbackSources(),
        explicit_settings=settings_of_examples(
            max_examples=max(1, settings_of_examples().max_examples // 50),
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )()


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_keeps_its_contract(
    name: str,
    schema: Any,
    session: requests.Session,
    record_property: Callable[[str, object], None],
) -> None:
    from schemathesis import checks  # noqa: PLC0415

    method, path = name.split()
    calls = Counter[str]()

    def call(case: Any) -> None:
        response = case.call(session=session)
        calls[case.operation.label] += 1
        case.validate_response(
            response,
            checks=[
                checks.not_a_server_error,
                checks.status_code_conformance,
                checks.content_type_conformance,
                checks.response_headers_conformance,
                checks.response_schema_conformance,
                checks.negative_data_rejection,
                checks.unsupported_method,
            ],
            # A partial bulk rejects bad items one by one, in a success.
            excluded_checks=[checks.negative_data_rejection] if path.endswith("/bulk") else [],
        )

    fuzz(schema[path][method], call)
    record_property("fuzzed", calls[name])
    assert calls[name] > 0


def test_mutated_requests_have_declared_answers(service: str, key: str) -> None:
    tally = asyncio.run(hostile.storm(service, key, requests=STORM, seed=1))
    assert not tally.wrong, {each: tally.shown[each] for each in tally.wrong}
    assert tally.statuses.total() == STORM
    assert len(tally.statuses) > 8
