"""Each problem that an operation declares of its own can be had from it: no promise is idle."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.postgres.db import WriteSession
from app.schemas.ingest.transactions import EXAMPLE
from app.services.common import deployment_settings, signing
from app.services.operations import operations
from app.services.policy_changes.activations import ACTIVATION, ActivationOrder
from app.services.runs import aggregates, queries, query_parts
from app.services.runs.live_reports import long_reports
from app.services.runs.live_reports.long_reports import ReportAsked
from app.services.runs.query_parts import AskedInParts
from app.services.runs.worklist import rule_sets
from tests import openapi
from tests.database import NOW

DOCUMENT = openapi.committed()
NAMED = {
    operation["operationId"]: (method.upper(), path)
    for path, method, operation in openapi.operations(DOCUMENT)
}
OF_THE_FORM = {
    "unauthorized", "missing_scope", "validation_failed", "internal_error", "overloaded",
    "database_unavailable", "draining", "malformed", "request_timeout", "payload_too_large",
    "unsupported_media_type", "invalid_cursor", "idempotency_in_progress",
    "idempotency_key_reused", "conflict", "rate_limited", "exports_busy", "unavailable",
    "head_too_large", "too_many_connections", "imports_busy",
}  # fmt: skip
"""Problems that follow from the form of an operation; each has tests of its own."""
KNOWN = {"customer_id": "c1"}
NOBODY = {
    "customer_id": "nobody", "version": "999", "model_id": "none", "backtest_id": "none",
    "operation_id": "none", "kind": "complant", "key_id": "none", "secret": "previous",
    "import_id": "none", "name": "none", "source": "none", "what": "customers",
    "code": "none",
}  # fmt: skip
OVERRIDE = {"stage": "active", "reason": "a talk on the phone"}
ROW = {"x": 0, "t_x": 0, "T": 9}
FROM = {"from": "2026-01-31"}
VOIDED = {"customer_id": "c1", "reason": "entered twice"}
STALE = {"If-Match": '"99"'}
OF_A_MODEL: dict[str, Any] = {"variable": "r", "op": ">=", "value": 1}
SEGMENT: dict[str, Any] = {"name": {"en": "n", "zh": "名"}, "rule": OF_A_MODEL}

Provoke = Callable[[httpx.AsyncClient, WriteSession, str], Awaitable[httpx.Response]]


async def ask(
    client: httpx.AsyncClient,
    name: str,
    body: Any = None,
    *,
    path: dict[str, str] = NOBODY,
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    method, template = NAMED[name]
    url = template.format(**{**NOBODY, **path})
    return await client.request(method, url, json=body, params=query, headers=headers)


def once(body: Any = None, **more: Any) -> Provoke:
    """Ask once."""

    async def provoke(client: httpx.AsyncClient, _: WriteSession, name: str) -> httpx.Response:
        return await ask(client, name, body, **more)

    return provoke


def twice(first: Any, second: Any, *paths: dict[str, str]) -> Provoke:
    """Ask for long work, and while it waits, for other work of the kind."""

    async def provoke(client: httpx.AsyncClient, _: WriteSession, name: str) -> httpx.Response:
        begun, other = paths or (NOBODY, NOBODY)
        assert (await ask(client, name, first, path=begun)).status_code == 202
        return await ask(client, name, second, path=other)

    return provoke


async def token(client: httpx.AsyncClient, session: WriteSession, days: int) -> dict[str, str]:
    """Return the body that activates version 2, good for some days from now."""
    preview = (await ask(client, "preview_policy", path={"version": "2"})).json()
    expires_at = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    secret = bytes.fromhex(
        await deployment_settings.get(session, deployment_settings.CURSOR_SECRET)
    )
    content = {"operation_id": preview["id"], "expires_at": expires_at}
    return {"token": signing.sign(content, secret)}


async def too_late(client: httpx.AsyncClient, session: WriteSession, name: str) -> httpx.Response:
    return await ask(client, name, await token(client, session, -1), path={"version": "2"})


def of_worklist_rules(version: int, days: int) -> Provoke:
    """Put rules of the worklist in force with a preview that is some days old."""

    async def provoke(
        client: httpx.AsyncClient, session: WriteSession, name: str
    ) -> httpx.Response:
        stored = await deployment_settings.get(session, deployment_settings.CURSOR_SECRET)
        at = NOW - timedelta(days=days)
        body = {"preview_token": rule_sets.token(version, bytes.fromhex(stored), at)}
        return await ask(client, name, body, path={"version": str(version)})

    return provoke


async def amid_another(
    client: httpx.AsyncClient, session: WriteSession, name: str
) -> httpx.Response:
    order = ActivationOrder(version=3, preview="op_1", max_drift=0, by="tests")
    await operations.submit(session, ACTIVATION, order, now=NOW)
    return await ask(client, name, await token(client, session, 1), path={"version": "2"})


async def of_a_segment(client: httpx.AsyncClient, _: WriteSession, name: str) -> httpx.Response:
    """Ask of a segment whose rule looks at what no model has said yet."""
    assert (await client.put("/v1/segments/s", json=SEGMENT)).status_code == 201
    return await ask(client, name, SEGMENT if name == "preview_segment" else None, path=CODE)


CODE = {"code": "s"}


async def amid_another_question(
    client: httpx.AsyncClient, session: WriteSession, name: str
) -> httpx.Response:
    """Ask what takes a worker, as there are many customers, while one is at another question."""
    kind = query_parts.QUERY if name == "query_customers" else aggregates.AGGREGATE
    asked = AskedInParts(asked={}, scores=True)
    await operations.submit(session, kind, asked, now=NOW)
    many = "INSERT INTO customers (customer_id, version, profile_version, attributes, stage,"
    many += " stage_version, created_at, updated_at) SELECT 'm' || n, 1, 1, '{}', 'potential', 1,"
    many += f" now(), now() FROM generate_series(1, {queries.AT_ONCE}) AS n"
    await session.execute(text(many))
    when = {"variable": "satisfied", "op": "known", "value": False}
    more = {"count": True} if name == "query_customers" else {}
    if name == "preview_segment":
        return await ask(client, name, {**SEGMENT, "rule": when}, path=CODE)
    return await ask(client, name, {"when": when, **more})


async def amid_many_reports(
    client: httpx.AsyncClient, session: WriteSession, name: str
) -> httpx.Response:
    """Ask for a report while as many are being made as may be."""
    for number in range(long_reports.MOST):
        asked = ReportAsked(name="flow", since=None, until=None, by=str(number), as_of=None)
        await long_reports.submit(session, asked, now=NOW, requested_by="tests")
    return await ask(client, name, path={"name": "flow"}, headers={"Prefer": "respond-async"})


async def atomically(client: httpx.AsyncClient, _: WriteSession, name: str) -> httpx.Response:
    return await ask(client, name, {"items": [{"surprise": 1}], "mode": "atomic"})


def voiding_twice(noun: str) -> Provoke:
    """Void a fact that was voided."""

    async def provoke(client: httpx.AsyncClient, _: WriteSession, name: str) -> httpx.Response:
        visit = {"interaction_id": "i1", "occurred_at": EXAMPLE["occurred_at"], "kind": "visit"}
        await client.post("/v1/interactions", json={**KNOWN, **visit})
        record = {"churn_record_id": "x1", "occurred_at": EXAMPLE["occurred_at"], "reason": "price"}
        await client.post("/v1/customers/c1/churn-records", json=record)
        ids = {"transaction": EXAMPLE["transaction_id"], "interaction": "i1", "churn_record": "x1"}
        query = VOIDED | {f"{noun}_id": ids[noun]}
        if noun == "churn_record":
            del query["customer_id"]
        assert (await ask(client, name, path=KNOWN, query=query)).status_code == 200
        return await ask(client, name, path=KNOWN, query=query)

    return provoke


def of_the_last_admin(body: Any = None) -> Provoke:
    """Have the only key that may make keys end itself."""

    async def provoke(client: httpx.AsyncClient, _: WriteSession, name: str) -> httpx.Response:
        own = client.headers["Authorization"].split("_")[1]
        return await ask(client, name, body, path={"key_id": own})

    return provoke


PROVOKED: dict[tuple[str, str], Provoke] = {
    **{
        (name, "not_found"): once(body, query=query)
        for name, body, query in (
            ("get_customer", None, None), ("patch_customer", {}, None),
            ("list_transactions", None, None), ("list_interactions", None, None),
            ("list_churn_records", None, None), ("get_interaction_kind", None, None),
            ("list_timeline", None, None), ("get_stage", None, None),
            ("list_profile_history", None, None),
            ("explain_stage", None, None), ("get_stage_history", None, None),
            ("list_transitions", None, None), ("override_stage", OVERRIDE, None),
            ("remove_override", None, None), ("get_policy", None, None),
            ("preview_policy", None, None), ("activate_policy", {"token": "x"}, None),
            ("get_model", None, None), ("activate_model", None, None),
            ("get_backtest", None, None), ("get_backtest_picture", None, None),
            ("start_scoring_run", {"model_id": "none"}, None), ("get_scores", None, None),
            ("list_churn_risks", None, {"run_id": "9"}), ("list_scores", None, {"run_id": "9"}),
            ("score_histories", {"items": [ROW], "model_id": "none"}, None),
            ("get_score_diff", None, FROM), ("get_operation", None, None),
            ("create_seasonal_policy", {}, None), ("delete_policy", None, None),
            ("cancel_operation", None, None),
            ("list_rebuild_differences", None, None), ("get_key", None, None),
            ("patch_key", {}, None), ("revoke_key", None, None), ("rotate_key", {}, None),
            ("remove_key_secret", None, None), ("start_import", None, {"mapping": "none"}),
            ("get_import", None, None), ("get_rejected_rows", None, None),
            ("get_mapping", None, None), ("get_report", None, None), ("get_source", None, None),
            ("get_customer_worklist", None, None), ("get_customer_file", None, None),
            ("get_worklist_rules", None, None), ("preview_worklist_rules", None, None),
        )
    },
    ("activate_worklist_rules", "not_found"): of_worklist_rules(version=9, days=0),
    ("activate_worklist_rules", "preview_expired"): of_worklist_rules(version=9, days=2),
    ("put_mapping", "not_found"): once({}, path={"name": ""}),
    ("put_source", "not_found"): once({}, path={"source": ""}),
    ("export_lines", "not_found"): once(path={"what": "none"}),
    ("put_customer", "not_found"): once({}, path={"customer_id": ""}),
    ("put_interaction_kind", "not_found"): once({}, path={"kind": ""}),
    ("create_churn_record", "not_found"): once({}, path={"customer_id": ""}),
    ("void_transaction", "not_found"): once(query=VOIDED | {"transaction_id": "none"}),
    ("void_interaction", "not_found"): once(query=VOIDED | {"interaction_id": "none"}),
    ("void_churn_record", "not_found"): once(
        path=KNOWN, query={"churn_record_id": "none", "reason": "entered twice"}
    ),
    ("void_churn_record", "already_voided"): voiding_twice("churn_record"),
    ("void_transaction", "already_voided"): voiding_twice("transaction"),
    ("void_interaction", "already_voided"): voiding_twice("interaction"),
    ("score_histories", "no_model"): once({"items": [ROW]}),
    ("get_score_diff", "no_model"): once(path=KNOWN, query=FROM),
    ("query_customers", "no_model"): once({"select": ["r"]}),
    ("aggregate_customers", "no_model"): once({"by": [{"of": "value_tier"}]}),
    **{(name, "not_found"): once(path=CODE) for name in (
        "get_segment", "get_segment_quality", "list_segment_members", "list_segment_versions",
        "remove_segment",
    )},
    ("list_customer_segments", "not_found"): once(),
    ("put_segment", "not_found"): once(SEGMENT, path={"code": ""}),
    ("preview_segment", "not_found"): once(SEGMENT, path={"code": ""}),
    ("put_segment", "stale_version"): once(SEGMENT, path=CODE, headers=STALE),
    ("list_segment_members", "no_model"): of_a_segment,
    ("preview_segment", "no_model"): of_a_segment,
    ("preview_segment", "operation_running"): amid_another_question,
    ("query_customers", "operation_running"): amid_another_question,
    ("aggregate_customers", "operation_running"): amid_another_question,
    ("get_report", "operation_running"): amid_many_reports,
    ("fit_model", "operation_running"): twice({}, {"kind": "nbd"}),
    ("start_backtest", "operation_running"): twice({}, {"folds": 2}),
    ("start_rebuild", "operation_running"): twice({}, {"repair": True}),
    ("start_scoring_run", "operation_running"): twice({}, {"as_of": "2026-01-31"}),
    ("preview_policy", "operation_running"): twice(
        None, None, {"version": "2"}, {"version": "3"}
    ),
    ("activate_policy", "operation_running"): amid_another,
    ("activate_policy", "preview_expired"): too_late,
    ("activate_policy", "stale_version"): once(
        {"token": "x"}, path={"version": "2"}, headers=STALE
    ),
    ("put_customer", "stale_version"): once({}, path=KNOWN, headers=STALE),
    ("patch_customer", "stale_version"): once({}, path=KNOWN, headers=STALE),
    ("put_interaction_kind", "stale_version"): once({}, path={"kind": "call"}, headers=STALE),
    ("override_stage", "stale_version"): once(OVERRIDE, path=KNOWN, headers=STALE),
    ("remove_override", "stale_version"): once(path=KNOWN, headers=STALE),
    ("patch_key", "last_admin_key"): of_the_last_admin({"scopes": ["scores:read"]}),
    ("revoke_key", "last_admin_key"): of_the_last_admin(),
    ("override_stage", "invalid_transition"): once({**OVERRIDE, "stage": "loyal"}, path=KNOWN),
    ("write_customers", "batch_rejected"): atomically,
    ("write_transactions", "batch_rejected"): atomically,
    ("write_interactions", "batch_rejected"): atomically,
}  # fmt: skip


def declared() -> set[tuple[str, str]]:
    """The operations with the codes that they declare of their own."""
    return {
        (operation["operationId"], code)
        for _, _, operation in openapi.operations(DOCUMENT)
        for reference in operation["responses"].values()
        for code in openapi.resolved(DOCUMENT, reference)
        .get("content", {})
        .get("application/problem+json", {})
        .get("examples", ())
        if code not in OF_THE_FORM
    }


def test_every_problem_that_an_operation_declares_of_its_own_is_provoked_here() -> None:
    assert declared() == PROVOKED.keys()


@pytest.mark.parametrize(("name", "code"), PROVOKED)
async def test_a_declared_problem_can_be_had(
    client: httpx.AsyncClient, session: WriteSession, name: str, code: str
) -> None:
    assert (await client.post("/v1/transactions", json={**EXAMPLE, **KNOWN})).status_code == 201
    answer = await PROVOKED[name, code](client, session, name)
    assert answer.json()["code"] == code, answer.text
