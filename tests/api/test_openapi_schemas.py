"""The OpenAPI document that front-end teams generate their clients from: its schemas.

Each rule is one test, and says of which schema and property it was broken.
"""

import re
from collections.abc import Iterator
from typing import Any

from app import worker_tasks
from app.schemas.document import bodies, walk
from tests import openapi

DOCUMENT = openapi.committed()
SCHEMAS: dict[str, dict[str, Any]] = DOCUMENT["components"]["schemas"]
REFERENCE = "#/components/schemas/"
MONEY = {f"{REFERENCE}{name}" for name in ("Money", "MoneyIn", "PaidMoneyIn", "SignedMoneyIn")}
OF_MONEY = MONEY | {f"{REFERENCE}{name}" for name in (
    "Clv", "ClvTerms", "Coverage", "Gains", "MeanCoverage", "RevenueCompared", "SpendModel",
    "ValueInterval", "ValueTotal",
)}  # fmt: skip
"""Shapes whose amounts are money, or that tell of shares of it."""
MONEY_WORDS = re.compile(
    r"(^|_)(amount|revenue|spend|clv|price|cost|margin|excess|paid|value_to_save)($|_)"
)
UNITS = re.compile(
    r"\b(days?|times?|share|probability|0 to 1|1 to 5|3 to 15|log-odds|log-likelihood|"
    r"log loss|customers|items|parts|purchases|refunds|interactions|facts|lives|draws|requests|"
    r"bytes|how many|number|version|status of HTTP|AUC|error|criterion|correlation|rate|"
    r"multiple|lead|place|outcomes|unit)\b",
    re.IGNORECASE,
)
# Words that no release will add to or take from: callers may switch over them exhaustively.
CLOSED = {
    ("person", "company"), ("purchase", "refund"), ("partial", "atomic"), ("day", "week"),
    ("r", "f", "m"), ("revenue", "margin"),
    ("prospect", "customer", "churned"), ("created", "updated", "duplicate"),
    ("created", "updated", "duplicate", "rejected"), ("low", "medium", "high"),
    ("high", "medium", "low"), ("fact", "inactivity", "manual", "policy"),
    ("pending", "running", "succeeded", "failed", "cancelled"),
    ("candidate", "active", "retired"), ("ok", "insufficient_history"),
    ("ok", "never_purchased", "insufficient_history", "no_model"),
    ("holdout", "bic", "thin_data"), ("presale", "sale", "aftersale", "none"),
    ("waiting", "excess", "any"),
    ("transaction", "interaction", "churn_record", "transition", "profile_change"),
    ("auto", "mbg_nbd", "bg_nbd", "pareto_nbd", "mbg_cnbd_k", "bg_cnbd_k", "nbd"),
    ("true", "false"), ("true",), ("setting", "asked_for"),
    ("erp", "crm", "orders", "web", "app", "partner", "social", "survey", "manual"),
    ("on_time", "due", "overdue", "lost"), ("lost", "all"), ("previous", "current"),
    ("en", "zh"), ("seasonal", "no_season", "too_little_history"),
}  # fmt: skip


def properties() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield `Schema.property`, and what is said of it."""
    for name, schema in SCHEMAS.items():
        for field, said in schema.get("properties", {}).items():
            yield f"{name}.{field}", said


def forms(said: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a property may be, null left out, and of a list what it may hold."""
    found = [each for each in said.get("anyOf", [said]) if each != {"type": "null"}]
    return [
        inner for each in found for inner in (forms(each["items"]) if "items" in each else [each])
    ]


def test_every_schema_and_every_property_is_described() -> None:
    assert not [name for name, schema in SCHEMAS.items() if not schema.get("description")]
    silent = [name for name, said in properties() if not said.get("description")]
    assert not silent, f"say what these are, in Field(description=…): {silent}"


def test_every_number_tells_its_unit() -> None:
    vague = [
        name
        for name, said in properties()
        if any(each.get("type") in ("number", "integer") for each in forms(said))
        and not UNITS.search(said["description"])
    ]
    assert not vague, f"say in which unit these are, or what they count: {vague}"


def test_money_is_an_object_wherever_it_is_told() -> None:
    for name, said in properties():
        schema, _, field = name.partition(".")
        if f"{REFERENCE}{schema}" in MONEY:
            continue
        assert field != "currency" or schema == "Info", f"{name}: money is {{amount, currency}}"
        if MONEY_WORDS.search(field) and not field.endswith(("_days", "_basis")):
            wrong = [each for each in forms(said) if each.get("$ref") not in OF_MONEY]
            assert not wrong, f"{name}: money is an object, {{amount, currency}}"
    for name in (reference.removeprefix(REFERENCE) for reference in MONEY):
        assert SCHEMAS[name]["properties"].keys() == {"amount", "currency"}
        types = {each["type"] for each in forms(SCHEMAS[name]["properties"]["amount"])}
        assert types == ({"string"} if name == "Money" else {"string", "number"})


def test_words_are_closed_only_where_they_were_frozen() -> None:
    found = {
        tuple(part["enum"]): part for part in walk(DOCUMENT) if isinstance(part.get("enum"), list)
    }
    opened = [words for words in found if words not in CLOSED]
    assert not opened, f"is no word ever added to these? then enter them in CLOSED: {opened}"
    assert not [words for words in CLOSED if words not in found]


def test_names_of_schemas_are_words_and_collide_with_nothing() -> None:
    """Generators name a class after a schema, and another after each property with a shape."""
    taken = set(SCHEMAS)
    for name, schema in SCHEMAS.items():
        assert re.fullmatch(r"([A-Z][a-z]+)+", name), f"{name} is not made of words"
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        assert snake not in schema.get("properties", {}), (
            f"{name} has a property of its own name, which hides the class in its code"
        )
    for name, said in properties():
        schema, _, field = name.partition(".")
        inner = schema + "".join(map(str.capitalize, field.split("_")))
        shaped = any("enum" in each or each.get("type") == "object" for each in forms(said))
        if shaped:
            assert inner not in taken, f"{name} gets a class {inner}, which is a schema, too"
            taken.add(inner)


def test_nothing_has_a_title_or_a_default_that_generators_stumble_over() -> None:
    asked = bodies(DOCUMENT)
    for name, schema in SCHEMAS.items():
        assert "title" not in schema, f"{name} has a title"
    for name, said in properties():
        schema, _, field = name.partition(".")
        assert "title" not in said, f"{name} has a title"
        assert "default" not in said, f"{name}: tell the default in words"
        if schema in asked:
            continue
        problem = schema.endswith("Problem")
        assert field in SCHEMAS[schema].get("required", ()) or problem, (
            f"{name} may be absent from an answer: let {schema} be an Answer"
        )


def test_what_has_a_default_may_be_left_out_of_a_request() -> None:
    for name, said in properties():
        schema, _, field = name.partition(".")
        if "; default `" in said.get("description", ""):
            assert field not in SCHEMAS[schema].get("required", ()), name


def test_a_stage_is_an_open_word() -> None:
    assert "enum" not in SCHEMAS["Customer"]["properties"]["stage"]


def test_operations_are_told_apart_by_kind_each_with_its_own_result() -> None:
    operation = SCHEMAS["Operation"]
    mapping = operation["discriminator"]["mapping"]
    assert operation["discriminator"]["propertyName"] == "kind"
    assert mapping.keys() == worker_tasks.COMPLETIONS.keys()
    assert {each["$ref"] for each in operation["oneOf"]} == set(mapping.values())
    results = []
    for kind, reference in mapping.items():
        member = SCHEMAS[reference.removeprefix(REFERENCE)]
        assert member["properties"]["kind"]["const"] == kind
        [result] = [each for each in member["properties"]["result"]["anyOf"] if "$ref" in each]
        assert SCHEMAS[result["$ref"].removeprefix(REFERENCE)]["additionalProperties"] is False
        results.append(result["$ref"])
    assert len(set(results)) == len(results)


HOLDING = {"properties", "additionalProperties", "patternProperties"}


def test_no_object_of_a_request_is_without_anything_to_send() -> None:
    """Generators let nothing be sent in place of an object of which no property is known."""
    asked = bodies(DOCUMENT)
    empty = [
        name
        for name, said in properties()
        if name.partition(".")[0] in asked
        for each in forms(said)
        if each.get("type") == "object" and not each.keys() & HOLDING
    ]
    assert not empty, f"say what these hold: {empty}"
