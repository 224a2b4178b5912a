"""What the document shows: bodies that are accepted, and answers as they really were."""

import json
from typing import Any

import jsonschema_rs
import pytest

from app.schemas.document import walk
from app.schemas.examples import examples
from tests import openapi

DOCUMENT = openapi.committed()
TEXTS = ("text/csv", "text/plain", "application/x-ndjson", "image/svg+xml")
OPERATIONS = {
    operation["operationId"]: operation for _, _, operation in openapi.operations(DOCUMENT)
}


# Read once: a schema that brought all components along would compile them for each example.
NAME = "urn:openapi"
REGISTRY = jsonschema_rs.Registry([(NAME, DOCUMENT)])


def faults(schema: dict[str, Any], shown: Any) -> list[str]:
    """Return in what an example differs from its schema, formats included."""
    named = json.loads(json.dumps(schema).replace('"#/', f'"{NAME}#/'))
    validator = jsonschema_rs.Draft202012Validator(named, registry=REGISTRY, validate_formats=True)
    return [f"{each.instance_path}: {each.message}" for each in validator.iter_errors(shown)]


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_body_and_every_answer_is_shown_as_its_schema_has_it(name: str) -> None:
    operation = OPERATIONS[name]
    if "requestBody" in operation and "x-streamed" not in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        shown = openapi.resolved(DOCUMENT, schema).get("examples")
        assert shown, f"{name}: the body has no example: give its class one"
        for each in shown:
            assert not faults(schema, each), (name, each)
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            for form, content in response.get("content", {}).items():
                assert "example" in content, (
                    f"{name} {status} {form}: no example: let tests/examples.py ask for it, and "
                    "run `make examples`"
                )
                assert not faults(content["schema"], content["example"]), (name, status)
                assert isinstance(content["example"], str) == (form in TEXTS)


def test_every_problem_is_shown_as_its_schema_has_it() -> None:
    for name, response in DOCUMENT["components"]["responses"].items():
        content = response["content"]["application/problem+json"]
        for code, shown in content["examples"].items():
            assert not faults(content["schema"], shown["value"]), (name, code)


def test_every_example_of_a_header_or_parameter_is_one() -> None:
    held = 0
    for part in walk(DOCUMENT):
        if "schema" in part and "example" in part:
            assert not faults(part["schema"], part["example"]), part
            held += 1
    assert held > 100


def test_every_example_of_a_property_is_one() -> None:
    for part in walk(DOCUMENT["components"]["schemas"]):
        if isinstance(part.get("examples"), list):
            for shown in part["examples"]:
                assert not faults(part, shown), (part, shown)


def test_no_answer_is_shown_of_what_there_is_no_longer() -> None:
    for name, answers in examples().items():
        assert name in OPERATIONS, name
        for status, by_form in answers.items():
            content = OPERATIONS[name]["responses"][status]["content"]
            assert by_form.keys() <= content.keys(), (name, status)
