"""The OpenAPI document that front-end teams generate their clients from: its operations."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from app.errors import tree
from app.schemas.document import walk
from app.schemas.responses import OF_STREAMS
from tests import openapi

ROOT = Path(__file__).parents[2]
NOT_PASSED = {
    "admin_port",
    "cors",
    "errors",
    "exports",
    "handlers",
    "openapi",
    "worker",
}
"""Modules that define, translate or list refusals, or make those of a few operations."""
DOCUMENT = openapi.committed()
TEXT = openapi.COMMITTED.read_text(encoding="utf-8")
VERBS = (
    "get", "list", "put", "patch", "create", "write", "fit", "start", "report", "score", "explain",
    "override", "remove", "preview", "activate", "void", "revoke", "rotate", "delete", "cancel",
    "try", "propose", "export", "query", "aggregate",
)  # fmt: skip
OTHER_TYPES = {
    "/metrics": "text/plain",
    "/v1/imports/{import_id}/rejected": "text/csv",
    "/v1/exports/{what}": "text/csv",
    "/v1/backtests/{backtest_id}/picture.svg": "image/svg+xml",
}
SORTED = {
    "/v1/customers", "/v1/customers/{customer_id}/transactions", "/v1/transactions",
    "/v1/customers/{customer_id}/interactions", "/v1/customers/{customer_id}/churn-records",
    "/v1/transitions", "/v1/churn-risks", "/v1/scores", "/v1/audit",
}  # fmt: skip
_LINES = ["application/x-ndjson", "text/csv"]
STREAMED = {
    "list_scores": _LINES,
    "query_customers": _LINES,
    "get_rejected_rows": ["application/x-ndjson"],
    "export_lines": ["application/x-ndjson"],
    "get_report": ["text/csv"],
    "list_worklist": ["text/csv"],
}
OPERATIONS = [
    (operation["operationId"], method, path, operation)
    for path, method, operation in openapi.operations(DOCUMENT)
]


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    return openapi.resolved(DOCUMENT, part)


def codes(operation: dict[str, Any]) -> set[str]:
    """The codes of the problems that an operation declares."""
    return {
        code
        for response in map(resolved, operation["responses"].values())
        for code in response.get("content", {})
        .get("application/problem+json", {})
        .get("examples", ())
    }


def test_the_committed_document_is_the_one_that_is_served() -> None:
    assert openapi.text() == TEXT, (
        "openapi.json is not what the code serves: run `make openapi` and commit it"
    )


def test_operation_ids_are_unique_and_a_verb_with_a_noun() -> None:
    counted = Counter(name for name, *_ in OPERATIONS)
    assert not [name for name, count in counted.items() if count > 1]
    form = re.compile(rf"({'|'.join(VERBS)})_[a-z]+(_[a-z]+)*")
    assert not [name for name in counted if not form.fullmatch(name)]


def test_summaries_are_sentences_and_descriptions_go_on_from_them() -> None:
    for name, _, _, operation in OPERATIONS:
        summary = operation["summary"]
        assert re.fullmatch(r"[A-Z].{8,118}[.]", summary), (
            f"{name}: the first sentence of the docstring is the summary; {summary!r} is none, "
            "or is longer than 120 characters"
        )
        assert " ".join(operation["description"].split()).startswith(summary), name


def test_every_operation_stands_under_one_tag_that_is_described() -> None:
    tags = {tag["name"]: tag["description"] for tag in DOCUMENT["tags"]}
    for name, _, _, operation in OPERATIONS:
        assert len(operation["tags"]) == 1, f"{name} has not one tag"
    assert {operation["tags"][0] for *_, operation in OPERATIONS} == tags.keys()
    assert all(tags.values())


def test_every_parameter_is_described_in_the_plainest_way() -> None:
    for name, _, _, operation in OPERATIONS:
        for parameter in operation.get("parameters", ()):
            where = f"{name}: {parameter['in']} {parameter['name']}"
            assert parameter.get("description"), f"{where} is not described"
            assert "anyOf" not in parameter["schema"], f"{where} has more than one form"
            assert "title" not in parameter["schema"], f"{where} has a title"


def test_every_failure_is_a_problem_and_every_success_has_a_schema_with_a_name() -> None:
    for name, _, path, operation in OPERATIONS:
        for status, response in operation["responses"].items():
            content = resolved(response).get("content", {})
            if status == "204":
                assert not content, f"{name} {status}"
                continue
            if status.startswith("2"):
                expected = OTHER_TYPES.get(path, "application/json")
            else:
                expected = "application/problem+json"
            streams = STREAMED.get(name, []) if status == "200" else []
            assert set(content) == {expected, *streams}, f"{name} {status}"
            schema = content[expected]["schema"]
            if expected not in OTHER_TYPES.values():
                assert all("$ref" in each for each in schema.get("anyOf", [schema])), (
                    f"{name} {status}: the schema needs a name: make it a class"
                )


def test_an_operation_declares_the_problems_of_its_form_and_no_others() -> None:
    for name, method, path, operation in OPERATIONS:
        declared = codes(operation)
        named = {parameter["name"] for parameter in operation.get("parameters", ())}
        conditions: dict[bool, set[str]] = {}
        for codes_of, holds in (
            ({"malformed", "request_timeout", "payload_too_large", "unsupported_media_type",
              "internal_error"}, True),
            ({"unauthorized", "missing_scope", "validation_failed", "rate_limited", "overloaded"},
             path.startswith("/v1/")),
            ({"invalid_cursor"}, "cursor" in named or name == "query_customers"),
            ({"idempotency_in_progress", "idempotency_key_reused"}, "Idempotency-Key" in named),
            ({"stale_version"}, "If-Match" in named),
            ({"batch_rejected"}, path.endswith("/bulk")),
            ({"draining"}, name == "get_readiness"),
        ):  # fmt: skip
            conditions.setdefault(holds, set()).update(codes_of)
        assert declared >= conditions.get(True, set()), name
        assert not declared & conditions.get(False, set()), name
        writes = "Idempotency-Key" in named or method in ("put", "patch", "delete")
        assert ("conflict" in declared) == writes, name
        assert "not_found" in declared or "{" not in path, name


def test_what_is_refused_before_an_operation_begins_is_declared_by_all_of_them() -> None:
    """Also what is added one day to what every request passes."""
    rooms = ("app", "app/edge", "app/http")
    passed = [
        path for room in rooms for path in (ROOT / room).glob("*.py") if path.stem not in NOT_PASSED
    ]
    text = "".join(path.read_text(encoding="utf-8") for path in passed)
    refusals = {
        kind.code for kind in tree()
        if re.search(rf"raise {kind.__name__}\b|\b{kind.__name__}\(", text)
    }  # fmt: skip
    assert refusals >= {"unauthorized", "overloaded", "request_timeout", "validation_failed"}
    for name, _, _, operation in OPERATIONS:
        if "x-required-scope" in operation:
            assert codes(operation) >= refusals, name


def test_the_document_is_free_of_what_nobody_uses() -> None:
    assert "ValidationError" not in TEXT
    references = {part["$ref"] for part in walk(DOCUMENT) if isinstance(part.get("$ref"), str)}
    for reference in references:
        assert resolved({"$ref": reference}), reference
    for kind in ("schemas", "responses", "headers"):
        for name in DOCUMENT["components"][kind]:
            assert f"#/components/{kind}/{name}" in references, f"{kind}: {name} is not used"


def test_headers_that_callers_need_are_named() -> None:
    expected = {
        ("put_customer", "200"): {"ETag", "Location"},
        ("put_customer", "201"): {"ETag", "Location"},
        ("put_interaction_kind", "200"): {"ETag", "Location"},
        ("put_interaction_kind", "201"): {"ETag", "Location"},
        ("get_interaction_kind", "200"): {"ETag"},
        ("patch_customer", "200"): {"ETag"},
        ("get_customer", "200"): {"ETag"},
        ("get_stage", "200"): {"ETag"},
        ("override_stage", "201"): {"ETag", "Location"},
        ("remove_override", "200"): {"ETag"},
        ("create_policy", "201"): {"ETag", "Location"},
        ("create_seasonal_policy", "201"): {"ETag", "Location"},
        ("get_policy", "200"): {"ETag"},
        ("preview_policy", "202"): {"Location", "Retry-After"},
        ("activate_policy", "202"): {"Location", "Retry-After"},
        ("fit_model", "202"): {"Location", "Retry-After"},
        ("start_backtest", "202"): {"Location", "Retry-After"},
        ("start_scoring_run", "202"): {"Location", "Retry-After"},
        ("start_rebuild", "202"): {"Location", "Retry-After"},
        ("create_key", "201"): {"Location"},
        ("list_scores", "200"): set(OF_STREAMS),
        ("start_import", "202"): {"Location", "Retry-After"},
        ("put_mapping", "200"): {"Location"},
        ("put_mapping", "201"): {"Location"},
        ("get_rejected_rows", "200"): {"Content-Disposition"},
        ("export_lines", "200"): {"CLM-As-Of", "CLM-Segments-Left-Out", "Content-Disposition"},
        ("query_customers", "200"): {"CLM-As-Of", "CLM-Run-Id", "Content-Disposition"},
        ("query_customers", "202"): {"Location", "Retry-After"},
        ("aggregate_customers", "202"): {"Location", "Retry-After"},
        ("get_report", "200"): {"CLM-As-Of", "Content-Disposition"},
        ("put_segment", "200"): {"ETag", "Location"},
        ("put_segment", "201"): {"ETag", "Location"},
        ("get_segment", "200"): {"ETag"},
        ("preview_segment", "202"): {"Location", "Retry-After"},
        ("list_worklist", "200"): {"Content-Disposition"},
        ("create_worklist_rules", "201"): {"Location"},
        ("get_report", "202"): {"Location", "Retry-After"},
    }
    for name, _, _, operation in OPERATIONS:
        named = {parameter["name"] for parameter in operation.get("parameters", ())}
        writes = "Idempotency-Key" in named
        for status, response in operation["responses"].items():
            shown = resolved(response)["headers"].keys()
            if status.startswith("2"):
                always = {"X-Request-Id"} | ({"Idempotent-Replayed"} if writes else set())
                if "x-required-scope" in operation:
                    always |= {"RateLimit", "RateLimit-Policy"}
                assert shown == always | expected.get((name, status), set()), (name, status)
            else:
                needed = {"401": {"WWW-Authenticate"}, "503": {"Retry-After"}}.get(status, set())
                assert shown >= {"X-Request-Id"} | needed, (name, status)


def test_lists_offer_only_the_sorts_that_they_have() -> None:
    for name, _, path, operation in OPERATIONS:
        named = {parameter["name"] for parameter in operation.get("parameters", ())}
        if "cursor" in named:
            assert ("sort" in named) == (path in SORTED), name


def test_the_document_says_nothing_of_this_machine() -> None:
    assert [server["url"] for server in DOCUMENT["servers"]] == ["."]
    assert not re.search(r"localhost|127\.0\.0\.1|/home/|/tmp/", TEXT)
