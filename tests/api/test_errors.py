"""What callers are told when something fails, and that it is never a success."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.config import Settings
from app.errors import AppError, tree
from app.postgres.db import Database
from app.schemas.common.shapes import Problem
from app.schemas.problems import (
    InvalidTransitionProblem,
    MissingScopeProblem,
    OperationRunningProblem,
    PreviewStaleProblem,
)
from app.services.customers import customers
from tests import documented, openapi
from tests.database import Clock, make_client

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id", "errors"}


def check(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem.keys() >= MEMBERS
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"urn:clm:problem:{code}"
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


# --- the table of codes --------------------------------------------------------------------------


NO_ANSWERS = {
    "method_not_allowed",  # of no operation
    "preview_stale",
    "report_too_long",  # errors of operations, never the answer to a request
}


def test_every_code_is_unique_and_stands_in_the_document_with_an_example() -> None:
    kinds = list(tree())
    assert not [code for code, count in Counter(k.code for k in kinds).items() if count > 1]
    responses = openapi.committed()["components"]["responses"]
    documented = {}
    for response in responses.values():
        for code, example in response["content"]["application/problem+json"]["examples"].items():
            assert f"`{code}`" in response["description"]
            documented[code] = example["value"]
    assert documented.keys() == {kind.code for kind in kinds} - NO_ANSWERS
    for kind in kinds:
        if kind.code in NO_ANSWERS:
            continue
        shown = documented[kind.code]
        assert (shown["status"], shown["title"]) == (kind.status, kind.title)
        assert shown.keys() >= MEMBERS
        if kind.status == 422 and kind.code != "idempotency_key_reused":
            assert shown["errors"]
    assert documented["missing_scope"]["missing_scope"]
    assert documented["operation_running"]["operation_id"]


TELLING: dict[str, type[Problem]] = {
    "missing_scope": MissingScopeProblem,
    "invalid_transition": InvalidTransitionProblem,
    "operation_running": OperationRunningProblem,
    "preview_stale": PreviewStaleProblem,
}


def test_problems_that_tell_more_are_described_with_what_they_tell() -> None:
    components = openapi.committed()["components"]
    for response in components["responses"].values():
        content = response["content"]["application/problem+json"]
        for code, example in content["examples"].items():
            shown, shape = example["value"], TELLING.get(code, Problem)
            assert shown.keys() == shape.model_fields.keys()
            assert shape.model_validate(shown).model_dump(by_alias=True, mode="json") == shown
            assert f"#/components/schemas/{shape.__name__}" in str(content["schema"])
    [shown] = components["schemas"]["PreviewStaleProblem"]["examples"]
    dumped = PreviewStaleProblem.model_validate(shown).model_dump(by_alias=True, mode="json")
    assert dumped == shown


async def test_an_illegal_move_tells_what_is_declared(client: httpx.AsyncClient) -> None:
    await client.put("/v1/customers/c1", json={})
    path = "/v1/customers/{customer_id}/stage/override"
    body = {"stage": "loyal", "reason": "a talk on the phone"}
    answer = await client.post(path.format(customer_id="c1"), json=body)
    problem = check(documented.check(answer, path), 409, "invalid_transition")
    told = InvalidTransitionProblem.model_validate(problem)
    assert told.current_stage == "potential"
    assert "initial" in told.allowed


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    import app.errors as module  # noqa: PLC0415

    drawn = [
        line.lstrip("│├└─ ").split() for line in (module.__doc__ or "").splitlines() if "─" in line
    ]
    rows = [[kind.__name__, str(kind.status), kind.code] for kind in tree()]
    assert drawn == rows
    assert AppError.code == "internal_error"


# --- routes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/v1", "/v1/", "/v2/customers", "/v1/customer", "/v1/customers/", "/v1/customers/a/b",
     "//v1/customers", "/v1/customers//stage", "/客", "/%00", "/redoc"],
)  # fmt: skip
async def test_a_path_that_is_none_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "POST", "DELETE", "PROPFIND"):
        answer = await client.request(method, path)
        assert not answer.is_redirect
        problem = check(answer, 404, "not_found")
        assert problem["instance"].isascii()


async def test_a_method_that_is_not_offered_is_told_with_those_that_are(
    client: httpx.AsyncClient,
) -> None:
    for path, methods in openapi.committed()["paths"].items():
        url = path.replace("{", "").replace("}", "")
        offered = {method.upper() for method in methods}
        if path.startswith("/v1/customers/") and "{" not in path:  # that of a customer, too
            offered |= {"GET", "PUT", "PATCH"}
        if path.startswith("/v1/mappings/") and "{" not in path:
            offered |= {"GET", "PUT"}
        if "GET" in offered:
            offered.add("HEAD")
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - offered:
            answer = await client.request(method, url)
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["allow"].split(", ")) == offered
            assert answer.headers["content-type"] == "application/problem+json"
            if method != "HEAD":
                check(answer, 405, "method_not_allowed")


async def test_every_answer_has_the_content_type_that_is_documented(
    client: httpx.AsyncClient,
) -> None:
    await client.put("/v1/customers/customer_id", json={"name": "Ann"})
    for path, methods in openapi.committed()["paths"].items():
        url = path.replace("{", "").replace("}", "")
        for method, operation in methods.items():
            for body in (None, b"{}", b"{"):
                answer = await client.request(
                    method, url, content=body, headers={"Content-Type": "application/json"}
                )
                status = str(answer.status_code)
                assert status in operation["responses"], (method, path, status)
                if status.startswith("2"):
                    expected = list(operation["responses"][status]["content"])
                else:
                    expected = ["application/problem+json"]
                # Of several, the first is what is answered unless another is asked for.
                assert answer.headers["content-type"].split(";")[0] == expected[0]


# --- commits that fail ---------------------------------------------------------------------------

WRITES = pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/customers/c1", {"name": "Ann"}),
        ("POST", "/v1/customers/bulk", {"items": [{"customer_id": "c1"}]}),
        (
            "POST",
            "/v1/transactions",
            {
                "customer_id": "c1",
                "transaction_id": "t1",
                "occurred_at": "2026-01-31T12:00:00Z",
                "amount": {"amount": "12.50"},
            },
        ),
    ],
)


@pytest.fixture
async def doubting(own_client: httpx.AsyncClient, own_database: Database) -> httpx.AsyncClient:
    """A client of a database that finds a fault with every new customer, at the commit."""
    async with own_database.writes() as session, session.begin():
        await session.execute(text("CREATE TABLE allowed (customer_id text PRIMARY KEY)"))
        await session.execute(
            text(
                "ALTER TABLE customers ADD FOREIGN KEY (customer_id) REFERENCES allowed"
                " DEFERRABLE INITIALLY DEFERRED"
            )
        )
    return own_client


@WRITES
async def test_a_commit_that_fails_is_never_told_as_a_success(
    doubting: httpx.AsyncClient, method: str, path: str, body: Any
) -> None:
    headers = {"Idempotency-Key": "k1"}
    answer = await doubting.request(method, path, json=body, headers=headers)
    check(answer, 409, "conflict")
    assert (await doubting.get("/v1/customers")).json()["items"] == []
    again = await doubting.request(method, path, json=body, headers=headers)
    assert "idempotent-replayed" not in again.headers
    check(again, 409, "conflict")


@pytest.fixture
async def interrupted(
    settings: Settings,
    own_database: Database,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose first write loses its connection to the database before the commit."""
    taken = customers.lock_or_create
    ended: list[int] = []

    async def take_and_lose(session: Any, *args: Any) -> Any:
        found = await taken(session, *args)
        if not ended:
            ended.append(await session.scalar(text("SELECT pg_backend_pid()")))
            async with own_database.reads() as other:
                await other.execute(
                    text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": ended[0]}
                )
        return found

    # Looked up by name where it is used: in its own module, and in the one of bulk writes.
    for module in ("customers.customers", "ingest.bulk_profiles"):
        monkeypatch.setattr(f"app.services.{module}.lock_or_create", take_and_lose)
    async with await make_client(settings, own_database, clock) as client:
        yield client


@WRITES
async def test_a_connection_that_is_lost_before_the_commit_is_told_and_can_be_retried(
    interrupted: httpx.AsyncClient, method: str, path: str, body: Any
) -> None:
    headers = {"Idempotency-Key": "k1"}
    failed = await interrupted.request(method, path, json=body, headers=headers)
    check(failed, 503, "database_unavailable")
    assert failed.headers["retry-after"] == "1"
    assert (await interrupted.get("/v1/customers")).json()["items"] == []
    again = await interrupted.request(method, path, json=body, headers=headers)
    assert again.is_success
    assert "idempotent-replayed" not in again.headers


@pytest.mark.parametrize("lock_timeout", ["300"])
async def test_a_lock_that_is_held_too_long_is_unavailable_not_a_fault_of_ours(
    own_client: httpx.AsyncClient, own_database: Database
) -> None:
    await own_client.put("/v1/customers/c1", json={"name": "Ann"})
    async with own_database.writes() as session, session.begin():
        await session.execute(text("SELECT 1 FROM customers FOR UPDATE"))
        answers = await asyncio.gather(
            own_client.put("/v1/customers/c1", json={"name": "Bob"}),
            own_client.patch("/v1/customers/c1", json={"name": "Bob"}),
            own_client.post("/v1/customers/bulk", json={"items": [{"customer_id": "c1"}]}),
            own_client.get("/v1/customers/c1"),
        )
    for answer in answers[:3]:
        check(answer, 503, "database_unavailable")
        assert answer.headers["retry-after"] == "1"
    assert answers[3].json()["name"] == "Ann"
