"""Faults of a mapping, each with where it is."""

import json

import pytest

from app.mappings.compiling import Context, compile_mapping, parse
from app.mappings.detection import detect
from app.mappings.document import MappingDocument
from app.mappings.faults import InvalidMapping
from tests.mappings.files import ORDERS

DATA = b"customer,order,at,amount\nc,o,2024-01-01,1\n"


def faults(document):
    with pytest.raises(InvalidMapping) as error:
        compile_mapping(parse(document), detect(DATA), Context("EUR"))
    return {fault.pointer: fault.code for fault in error.value.faults}


def changed(rule=None, field=None, **document):
    (given,) = json.loads(json.dumps(ORDERS["facts"]))
    given.update(rule or {})
    given["fields"].update(field or {})
    return {**ORDERS, "facts": [given], **document}


@pytest.mark.parametrize(
    ("document", "pointer", "code"),
    [
        (changed(unknown=1), "/unknown", "extra_forbidden"),
        (changed(schema_version=2), "/schema_version", "literal_error"),
        (changed(facts=[]), "/facts", "too_short"),
        (changed(field={"amount": {}}), "/facts/0/fields/amount", "value"),
        (changed(field={"amount": {"column": "amount", "constant": 1}}), "/facts/0/fields/amount",
         "value"),
        (changed(filters=[{"code": "x", "when": {"column": "at"}}]), "/filters/0/when",
         "condition"),
        (changed(filters=[{"code": "X y", "when": {"column": "at", "blank": True}}]),
         "/filters/0/code", "string_pattern_mismatch"),
        (changed(field={"amount": {"column": "amuont"}}), "/facts/0/fields/amount/column",
         "unknown_column"),
        (changed(field={"amount": {"product": ["amount", "price"]}}),
         "/facts/0/fields/amount/product/1", "unknown_column"),
        (changed(field={"customer_id": {"first_of": [{"column": "customer"}, {"column": "no"}]}}),
         "/facts/0/fields/customer_id/first_of/1/column", "unknown_column"),
        (changed(filters=[{"code": "x", "when": {"any": [{"column": "no", "blank": True}]}}]),
         "/filters/0/when/any/0/column", "unknown_column"),
        (changed(group={"by": ["no"]}), "/group/by/0", "unknown_column"),
        (changed(field={"price": {"column": "amount"}}), "/facts/0/fields/price", "unknown_field"),
        (changed(rule={"fact": "customers"}), "/facts/0/fields/amount", "unknown_field"),
        (changed(rule={"fact": "interactions"}), "/facts/0/fields/interaction_id", "missing"),
        (changed(times={"zone": "Europe/Atlantis"}), "/times/zone", "time_zone"),
        (changed(times={"zone": "../etc/passwd"}), "/times/zone", "time_zone"),
        (changed(field={"occurred_at": {"column": "at", "patterns": ["%Q"]}}),
         "/facts/0/fields/occurred_at/patterns/0", "pattern"),
        (changed(field={"amount": {"constant": "much"}}), "/facts/0/fields/amount/constant",
         "not_a_number"),
        (changed(field={"occurred_at": {"column": "at", "across": "sum"}}, group={"by": ["order"]}),
         "/facts/0/fields/occurred_at/across", "across"),
        (changed(rule={"customer_of_purchase": True}), "/facts/0/fields/refunds_transaction_id",
         "missing"),
        (changed(rule={"lines": {"each": {"rows": True}, "fields": {}}}),
         "/facts/0/lines/fields/quantity", "missing"),
        (changed(rule={"lines": {"each": {"columns": ["x"], "rows": True}, "fields": {}}}),
         "/facts/0/lines/each", "parts"),
        (changed(rule={"each": {"list": "items"}}), "/facts/0/each/list", "unknown_column"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_pointer(document, pointer, code):
    assert faults(document)[pointer] == code


def test_all_faults_are_told_at_once_with_the_column_that_may_be_meant():
    document = changed(field={"amount": {"column": "amuont"}, "order": {"column": "x"}})
    with pytest.raises(InvalidMapping) as error:
        compile_mapping(parse(document), detect(DATA), Context("EUR"))
    assert len(error.value.faults) == 2
    assert "'amount'" in " ".join(fault.detail for fault in error.value.faults)


def test_every_property_of_the_document_is_described():
    schema = MappingDocument.model_json_schema()
    shapes = [schema, *schema["$defs"].values()]
    undescribed = [
        (shape["title"], name)
        for shape in shapes
        for name, found in shape.get("properties", {}).items()
        if not found.get("description")
    ]
    assert undescribed == []


def test_columns_that_nothing_looks_at_are_known():
    plan = compile_mapping(
        parse(changed(ignored=["ord*"])),
        detect(b"Customer,order,AT,amount,note,order_note\nc,o,2024-01-01,1,n,m\n"),
        Context("EUR"),
    )
    assert plan.unused == ("note",)
