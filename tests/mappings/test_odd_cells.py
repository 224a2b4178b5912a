"""Any text in any cell of a known layout: a fact that its door takes, or a clear reason."""

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.mappings.compiling import Context, parse
from app.mappings.detection import detect
from app.mappings.document import FileForm
from app.mappings.faults import ROW_CODES, InvalidMapping, UnreadableFile
from app.mappings.presets.registry import build
from app.mappings.proposing import propose_for
from app.schemas.customers import BulkProfile
from app.schemas.ingest.interactions import InteractionIn
from app.schemas.ingest.transactions import TransactionIn
from tests.mappings.files import SAMPLES, apply
from tests.mappings.test_presets import GIVEN

DOORS = {"customers": BulkProfile, "transactions": TransactionIn, "interactions": InteractionIn}
AT_THE_DOOR = {"/amount/currency", "/items/unit_price"}
"""What only the door knows: which currencies there are."""
ODD = st.sampled_from([
    "", " ", "-", "0", "-0", "1e400", "1e-9", "9" * 30, "0.00000001", "NaN", "inf", "-5", "1,5",
    "1.250,5", "1e12",
    "2024-02-30", "0001-01-01", "9999-12-31T23:59:59Z", "2024-03-31 02:30", "Feb 30, 2024",
    "253402300800000", "-99999999999999", "=1+1", "'=x", '="1"', "@x", "+1", "a/b", "..", "#1",
    "x" * 130, "y" * 300, "z" * 5000, "\u0000", "\ufffd", "e\u0301", "\u202e", "\U0001f600", "true",
    "name:a|quantity:0|total:5", "name:a|quantity:-1|total:-5", "quantity:1e9", "amount:1|date:x",
    "amount:-1", "a|b:c", "usd", "$", "XXX", "€", ";", "None", "\t", "\n", "٣", "²",
])  # fmt: skip
CELLS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 80), ODD), min_size=1, max_size=6)


def table(name):
    text = (SAMPLES / name).read_text(encoding="utf-8-sig")
    if name.endswith(".json"):
        return json.loads(text)
    return list(csv.reader(text.splitlines(keepends=True)))


def changed(name, cells):
    rows = table(name)
    if name.endswith(".json"):
        records = rows["data"]["dataList"]
        for at, place, text in cells:
            record = records[at % len(records)]
            record[list(record)[place % len(record)]] = text
        return json.dumps(rows).encode()
    for at, place, text in cells:
        row = rows[1 + at % (len(rows) - 1)]
        row[place % len(row)] = text
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def refusal(kind, item):
    try:
        DOORS[kind].model_validate(json.loads(json.dumps({"customer_id": "c", **item})))
    except ValidationError as error:
        places = (
            [each for each in fault["loc"] if isinstance(each, str)] for fault in error.errors()
        )
        return {"/" + "/".join(place[:2]) for place in places}
    return set()


@pytest.mark.parametrize("name", GIVEN)
def test_a_fact_fits_its_door_whatever_stands_in_the_cells(name):
    preset, parameters = GIVEN[name]

    @settings(max_examples=15)
    @given(CELLS)
    def check(cells):
        data = changed(name, cells)
        result = apply(data, build(preset, detect(data), parameters))
        for kind, item in result.facts:
            assert refusal(kind, item) <= AT_THE_DOOR, item
        assert {code for _, code in result.refusals} <= ROW_CODES.keys()
        rows = [row.row for each in result.outcomes for row in each.rows]
        assert sorted(rows) == list(range(1, len(rows) + 1))

    check()


WORDS = st.sampled_from(
    ["合计", "Total:", "退款成功", "45231.5", "1.23E+15", "'007", '="8"', "***1"]
)
CELL = ODD | WORDS | st.text(max_size=6)
ROWS = st.lists(st.lists(CELL, min_size=5, max_size=5), min_size=1, max_size=5)
COLUMNS = ["customer_id", "date", "amount", "order_id", "status", "price", "qty", "id", "refunded",
           "退款状态", "refund date", "付款时间", "email"]  # fmt: skip


@given(ROWS, st.permutations(COLUMNS))
def test_a_proposal_for_any_file_is_one_or_a_clear_error(rows, names):
    out = io.StringIO()
    csv.writer(out).writerows([names[:5], *rows])
    data = out.getvalue().encode("utf-8", "replace")
    try:
        proposal, _ = propose_for(data, FileForm(), Context("EUR", zone="UTC"))
    except (UnreadableFile, InvalidMapping):
        return
    assert (proposal.document is None) is any(each.required for each in proposal.questions)
    if proposal.document is not None:
        for kind, item in apply(data, proposal.document).facts:
            assert kind == "overrides" or refusal(kind, item) <= AT_THE_DOOR


def test_attributes_that_are_too_many_or_too_deep_are_left_out_with_a_warning():
    record = {"customer_id": "c", "a": "x" * 9_000, "b": "王" * 4_000, "c": "kept",
              "d": {"1": {"2": {"3": {"4": {"5": 6}}}}}, "e": {"1": [2]}}  # fmt: skip
    data = json.dumps(record).encode()
    document = parse({
        "name": "Customers",
        "facts": [{"fact": "customers", "fields": {"customer_id": {"column": "customer_id"}},
                   "rest": True}],
    })  # fmt: skip
    result = apply(data, document)
    (item,) = result.items("customers")
    assert item["attributes"] == {"a": "x" * 9_000, "c": "kept", "e": {"1": [2]}}
    assert {(column, code) for _, column, code in result.warnings} == {
        ("b", "out_of_range"), ("d", "out_of_range"),
    }  # fmt: skip
    assert refusal("customers", item) == set()
