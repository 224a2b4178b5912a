"""The OpenAPI document that front-end teams generate their clients from."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from app import worker
from app.schemas.backtests import BacktestRequest
from app.schemas.customers import BulkProfile, CustomerBatch, Profile, ProfilePatch
from app.schemas.interactions import InteractionBatch, InteractionIn
from app.schemas.models import ModelRequest, RunRequest
from app.schemas.responses import OF_STREAMS
from app.schemas.score_lists import LookupRequest
from app.schemas.transactions import TransactionBatch, TransactionIn
from tests import openapi

COMMITTED = Path(__file__).parents[2] / "openapi.json"
DOCUMENT = openapi.document()
BODIES: list[type[BaseModel]] = [
    Profile, ProfilePatch, BulkProfile, CustomerBatch, TransactionIn, TransactionBatch,
    InteractionIn, InteractionBatch, ModelRequest, RunRequest, LookupRequest,
    BacktestRequest,
]  # fmt: skip

OTHER_TYPES = {
    "/metrics": "text/plain",
    "/v1/backtests/{backtest_id}/calibration.svg": "image/svg+xml",
}


SORTED = {
    "/v1/customers", "/v1/customers/{customer_id}/transactions",
    "/v1/customers/{customer_id}/interactions", "/v1/transitions", "/v1/churn-risks", "/v1/scores",
}  # fmt: skip
STREAMED = {"list_scores": ["application/x-ndjson", "text/csv"]}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference into the document."""
    found: Any = DOCUMENT
    if "$ref" not in part:
        return part
    for step in part["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def walk(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
    children = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    for child in children:
        yield from walk(child)


def test_the_committed_document_is_the_one_that_is_served() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == openapi.text(), (
        "openapi.json is not what the code serves: run `make openapi` and commit it"
    )


def test_operation_ids_are_unique_and_a_verb_with_a_noun() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert not [name for name, count in Counter(ids).items() if count > 1]
    for name in ids:
        assert re.fullmatch(
            r"(get|list|put|patch|create|write|fit|start|report|score|explain|move|unpin|preview|activate)_[a-z]+(_[a-z]+)*",
            name,
        )


def test_every_operation_is_described_under_a_tag_that_is_described() -> None:
    tags = {tag["name"]: tag["description"] for tag in DOCUMENT["tags"]}
    used = set()
    for path, method, operation in operations():
        assert len(operation["tags"]) == 1, (method, path)
        assert operation["summary"], (method, path)
        assert operation["description"], (method, path)
        used.update(operation["tags"])
    assert used == tags.keys()
    assert all(tags.values())


def test_every_parameter_is_described_or_shown_by_an_example() -> None:
    for path, _, operation in operations():
        for parameter in operation.get("parameters", ()):
            schema = parameter["schema"]
            known = parameter.get("description") or schema.get("examples") or "enum" in str(schema)
            assert known, (path, parameter["name"])


def test_every_body_has_an_example_that_is_accepted() -> None:
    for path, method, operation in operations():
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            assert resolved(schema).get("examples"), (method, path)
    for shape in BODIES:
        examples = resolved({"$ref": f"#/components/schemas/{shape.__name__}"})["examples"]
        assert examples
        for example in examples:
            assert shape.model_validate(example).model_dump(exclude_unset=True) or not example


def test_every_failure_is_a_problem_and_every_success_has_a_schema() -> None:
    for path, _, operation in operations():
        for status, response in operation["responses"].items():
            content = resolved(response).get("content", {})
            if status.startswith("2"):
                expected = OTHER_TYPES.get(path, "application/json")
            else:
                expected = "application/problem+json"
            streams = STREAMED.get(operation["operationId"], []) if status == "200" else []
            assert set(content) == {expected, *streams}, (path, status)
            if expected not in OTHER_TYPES.values():
                assert "$ref" in content[expected]["schema"], (path, status)


def test_nothing_is_left_of_the_validation_error_of_the_framework() -> None:
    assert "ValidationError" not in openapi.text()
    for path, method, operation in operations():
        if path.startswith("/v1/"):
            assert {"400", "401", "403", "422", "500", "503"} <= operation["responses"].keys()
        if "requestBody" in operation:
            assert {"408", "413", "415"} <= operation["responses"].keys(), (method, path)
            if operation["x-required-scope"].endswith("write"):
                assert "409" in operation["responses"], (method, path)
        if "{" in path and method in ("get", "patch"):
            assert "404" in operation["responses"], (method, path)


def test_names_of_schemas_are_words() -> None:
    for name in DOCUMENT["components"]["schemas"]:
        assert re.fullmatch(r"([A-Z][a-z]+)+", name), name


def test_every_reference_leads_somewhere() -> None:
    references = {part["$ref"] for part in walk(DOCUMENT) if isinstance(part.get("$ref"), str)}
    for reference in references:
        assert resolved({"$ref": reference})
    for kind in ("schemas", "responses", "headers"):
        for name in DOCUMENT["components"][kind]:
            if (kind, name) not in {("responses", "Problem404"), ("responses", "Problem405"),
                                    ("headers", "Allow")}:  # fmt: skip
                assert f"#/components/{kind}/{name}" in references, (kind, name)


def test_headers_that_callers_need_are_named() -> None:
    expected = {
        ("put_customer", "200"): {"ETag", "Location"},
        ("put_customer", "201"): {"ETag", "Location"},
        ("patch_customer", "200"): {"ETag"},
        ("get_customer", "200"): {"ETag"},
        ("get_stage", "200"): {"ETag"},
        ("move_customer", "201"): {"ETag", "Location"},
        ("unpin_stage", "200"): {"ETag"},
        ("create_policy", "201"): {"ETag", "Location"},
        ("get_policy", "200"): {"ETag"},
        ("preview_policy", "202"): {"Location", "Retry-After"},
        ("activate_policy", "202"): {"Location", "Retry-After"},
        ("fit_model", "202"): {"Location", "Retry-After"},
        ("start_backtest", "202"): {"Location", "Retry-After"},
        ("start_scoring_run", "202"): {"Location", "Retry-After"},
        ("list_scores", "200"): set(OF_STREAMS),
    }
    for _, method, operation in operations():
        writes = method == "post" and operation["x-required-scope"].endswith("write")
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                always = {"X-Request-Id"} | ({"Idempotent-Replayed"} if writes else set())
                more = expected.get((operation["operationId"], status), set())
                assert response["headers"].keys() == always | more
    problems = DOCUMENT["components"]["responses"]
    assert "Retry-After" in problems["Problem503"]["headers"]
    assert "WWW-Authenticate" in problems["Problem401"]["headers"]
    assert "Allow" in problems["Problem405"]["headers"]


def test_money_is_a_text_and_a_stage_an_open_one() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Money"]["properties"]["amount"]["type"] == "string"
    assert schemas["TransactionIn"]["properties"]["amount"]["type"] == "string"
    assert "enum" not in schemas["Customer"]["properties"]["stage"]


def test_the_results_of_all_long_work_are_described() -> None:
    described = DOCUMENT["components"]["schemas"]["Operation"]["properties"]
    for kind in worker.COMPLETIONS:
        assert f"`{kind}`" in described["kind"]["description"]
    results = [resolved(each) for each in described["result"]["oneOf"] if "$ref" in each]
    assert len(results) == len(worker.COMPLETIONS)
    for kind in worker.COMPLETIONS:
        [result] = [each for each in results if f"`{kind}`" in each["description"]]
        assert result["additionalProperties"] is False
    [preview] = [each for each in results if "token" in each["properties"]]
    assert preview["properties"]["matrix"]["items"] == {"$ref": "#/components/schemas/PreviewCell"}


def test_lists_offer_only_the_sorts_that_they_have() -> None:
    for path, method, operation in operations():
        named = {parameter["name"] for parameter in operation.get("parameters", ())}
        if "cursor" in named:
            assert ("sort" in named) == (path in SORTED), (method, path)


def test_the_document_says_nothing_of_this_machine() -> None:
    text = openapi.text()
    assert "servers" not in DOCUMENT
    assert not re.search(r"localhost|127\.0\.0\.1|/home/|/tmp/", text)
