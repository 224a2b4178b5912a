"""Rows through a mapping: what becomes of each, and where an import goes on."""

import csv
import io
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mappings.applying import Checkpoint, LeftOut, Mapped, Mapper, Rejected, outcomes
from app.mappings.compiling import Context, compile_mapping, parse
from app.mappings.detection import detect
from app.mappings.orders import MOST_ROWS
from app.mappings.reading import read
from tests.mappings.files import ORDERS, mapped, pieces, total

HEAD = "customer,order,at,amount\n"


def with_fields(**changes):
    (rule,) = ORDERS["facts"]
    return {**ORDERS, "facts": [{**rule, "fields": {**rule["fields"], **changes}}]}


def lines_of_orders(within=None, **more):
    document = with_fields(amount={"column": "amount", "across": "sum"})
    return {**document, "group": {"by": ["order"], "within": within}, **more}


def rows(*lines):
    return (HEAD + "".join(f"{line}\n" for line in lines)).encode()


def one(value, column="amount", **changes):
    """Return what becomes of a single row with one odd value."""
    values = {"customer": "c", "order": "o", "at": "2024-01-01", "amount": "1", column: value}
    out = io.StringIO()
    csv.writer(out).writerow(values.values())
    return mapped(rows(out.getvalue().strip("\r\n")), with_fields(**changes)).outcomes[0]


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("customer", " ", "blank"),
        ("order", "", "blank"),
        ("at", "", "blank"),
        ("amount", "", "blank"),
        ("amount", "1,5", "not_a_number"),
        ("amount", "-1", "negative"),
        ("amount", "1.00001", "too_precise"),
        ("amount", "100000000000000", "out_of_range"),
        ("amount", "=1+1", "formula"),
        ("customer", '=HYPERLINK("http://x")', "formula"),
        ("customer", "a/b", "identifier"),
        ("customer", ".", "identifier"),
        ("customer", "x" * 129, "identifier"),
        ("order", "a\tb", "identifier"),
        ("at", "2024-02-30", "not_a_time"),
    ],
)
def test_a_row_that_cannot_be_read_is_rejected_by_column_and_code(column, value, code):
    outcome = one(value, column)
    assert isinstance(outcome, Rejected)
    assert outcome.problem[:2] == (column, code)
    assert value.strip() == "" or value not in outcome.problem.detail
    assert outcome.rows[0].raw.startswith(("c,", value[:1], '"', " "))


@pytest.mark.parametrize(
    ("value", "customer"),
    [("'+49 1", "+49 1"), ("'=x", "=x"), ("'s Store", "'s Store"), ('="00123"', "00123"),
     ("#1", None), ("e\u0301", "é")],
)  # fmt: skip
def test_what_spreadsheets_put_before_a_text_is_taken_off(value, customer):
    outcome = one(value, "customer")
    if customer is None:
        assert isinstance(outcome, Rejected)
    else:
        assert outcome.facts[0].item["customer_id"] == customer


def test_facts_have_the_shape_of_their_door():
    (fact,) = mapped(rows("c,o,2024-07-01,12.50"), ORDERS).facts
    assert fact == (
        "transactions",
        {
            "customer_id": "c",
            "transaction_id": "o",
            "occurred_at": "2024-06-30T22:00:00Z",
            "amount": {"amount": "12.50"},
            "source": "shop",
        },
    )


def test_a_negative_amount_is_a_refund_where_that_is_said():
    (rule,) = ORDERS["facts"]
    document = {**ORDERS, "facts": [{**rule, "negative": "refund"}]}
    (item,) = mapped(rows("c,o,2024-01-01,-3.5"), document).items("transactions")
    assert (item["kind"], item["amount"]) == ("refund", {"amount": "3.5"})


def test_values_are_made_as_they_are_told():
    def value(text="X", column="amount", **made):
        made = {"column": column, **made} if "constant" not in made else made
        document = {
            **ORDERS,
            "blanks": ["-None-"],
            "facts": [
                {
                    "fact": "customers",
                    "fields": {"customer_id": {"column": "customer"}},
                    "attributes": {"it": made},
                }
            ],
        }
        (item,) = mapped(rows(f"c,o,2024-01-01,{text}"), document).items("customers")
        return item.get("attributes", {}).get("it")

    assert value("-None-") is None
    assert value("n/a", blanks=["n/a"]) is None
    assert value("zcrm_5", strip_prefix="zcrm_") == "5"
    assert value("5", prefix="company:") == "company:5"
    assert value("17850.0", read_as="whole_number_id") == "17850"
    assert value("YES", read_as="boolean") is True
    assert value("a;b ;", read_as="list", separator=";") == ["a", "b"]
    assert value("a;b", read_as="first_of_list", separator=";") == "a"
    assert value("B", translate={"b": "basic"}) == "basic"
    assert value("C", translate={"b": "basic", "*": "other"}) == "other"
    assert value("C", translate={"b": "basic"}, otherwise="keep") == "C"
    assert value("C", translate={"b": "basic"}, otherwise="blank") is None
    assert value("", default="none") == "none"
    assert value(constant=3) == 3
    assert value("1150", read_as="number") == 1150


def test_names_of_persons_follow_their_script():
    document = {
        **ORDERS,
        "facts": [
            {
                "fact": "customers",
                "fields": {
                    "customer_id": {"column": "customer"},
                    "name": {"join": ["order", "at"], "read_as": "person_name"},
                },
            }
        ],
    }
    data = rows("1,Ann,Smith,", "2,澜,顾,", "3,,Puyol,", "4,Lan,顾,")
    names = [item["name"] for item in mapped(data, document).items("customers")]
    assert names == ["Ann Smith", "顾澜", "Puyol", "Lan 顾"]


def test_filters_count_in_their_order_and_everything_else_is_kept():
    document = {
        **ORDERS,
        "filters": [
            {"code": "test", "when": {"column": "customer", "in": ["TEST"]}},
            {
                "code": "small",
                "when": {"any": [{"column": "amount", "sign": "zero"},
                                 {"column": "amount", "blank": True}]},
            },
        ],
    }  # fmt: skip
    result = mapped(rows("test,1,2024-01-01,0", "c,2,2024-01-01,0.00", "c,3,2024-01-01,",
                         "c,4,2024-01-01,5", ",,,", HEAD.strip()), document)  # fmt: skip
    assert [(each.rows[0].row, each.filter) for each in result.left_out] == [
        (1, "test"), (2, "small"), (3, "small"), (5, "small"), (6, "repeated_header"),
    ]  # fmt: skip
    assert len(result.facts) == 1
    assert mapped(rows(",,,"), ORDERS).filters == [(1, "blank_row")]


def test_lines_that_follow_each_other_are_one_order():
    data = rows("c,1,2024-01-01,1.10", "c,1,2024-01-02,2.20", "c,2,2024-01-01,5",
                "c,1,2024-01-01,7")  # fmt: skip
    result = mapped(data, lines_of_orders())
    assert [(len(each.rows), each.facts[0].item["amount"]["amount"]) for each in result.mapped] == [
        (2, "3.30"), (1, "5"), (1, "7"),
    ]  # fmt: skip


def test_lines_that_lie_apart_are_one_order_within_the_window():
    data = rows("c,1,2024-01-01,1", "c,2,2024-01-01,5", "c,1,2024-01-01,2", "c,3,2024-01-01,1",
                "c,1,2024-01-01,9")  # fmt: skip
    result = mapped(data, lines_of_orders(within=3))
    sums = [(item["transaction_id"], item["amount"]["amount"]) for item in result.sales()]
    assert sums == [("1", "3"), ("2", "5"), ("3", "1"), ("1", "9")]


def test_an_order_with_a_line_that_cannot_be_read_is_rejected_whole():
    data = rows("c,1,2024-01-01,1", "c,1,2024-01-01,x", "c,2,2024-01-01,5")
    result = mapped(data, lines_of_orders())
    assert result.refusals == [(1, "not_a_number"), (2, "not_a_number")]
    ragged = rows("c,1,2024-01-01,1", "c,1,2024-01-01", "c,1,2024-01-01,2", "c,2,2024-01-01,5")
    result = mapped(ragged, lines_of_orders())
    assert result.refusals == [(2, "ragged"), (1, "conflicting_lines"), (3, "conflicting_lines")]
    assert [item["transaction_id"] for item in result.sales()] == ["2"]


@pytest.mark.parametrize("within", [None, 10])
def test_a_line_that_cannot_be_read_rejects_the_order_that_it_names_wherever_it_stands(within):
    lines = ["c,A1,2024-01-01,5", "c,A1,2024-01-01", "c,B2,2024-01-01", "c,B2,2024-01-01,7",
             "c,C3,2024-01-01,9"]  # fmt: skip
    result = mapped(rows(*lines), lines_of_orders(within))
    assert [item["transaction_id"] for item in result.sales()] == ["C3"]
    assert sorted(result.refusals) == [
        (1, "conflicting_lines"), (2, "ragged"), (3, "ragged"), (4, "conflicting_lines"),
    ]  # fmt: skip


def test_an_order_without_end_is_rejected_and_not_held():
    many = MOST_ROWS + 100
    data = rows(*("c,1,2024-01-01,1" for _ in range(many)), "c,2,2024-01-01,5")
    result = mapped(data, lines_of_orders())
    assert Counter(code for _, code in result.refusals) == {"order_too_large": many}
    assert total(result.sales()) == 5


def test_ids_made_of_texts_are_told_apart_by_their_number():
    made = {"hash_of": ["customer", "at", "amount"]}
    data = rows("c,,2024-01-01,1", "c,,2024-01-01,1", "c,,2024-01-02,1", "ca,,2024-01-01,1")
    document = with_fields(transaction_id={**made, "numbered": True})
    ids = [item["transaction_id"] for item in mapped(data, document).sales()]
    assert len(set(ids)) == 4
    assert ids[1] == f"{ids[0]}.2"
    plain = [
        each["transaction_id"] for each in mapped(data, with_fields(transaction_id=made)).sales()
    ]
    assert plain[0] == plain[1] == ids[0]


def test_fields_of_json_are_found_within_objects_and_lists():
    data = (
        b'{"customer": {"id": 7}, "order": 1, "at": 1704067200, "paid": 12.50, "vip": true,'
        b' "lines": [{"sku": "a", "n": 2, "price": {"amount": "3.5"}}], "tags": ["x", "y"]}\n'
    )
    document = {
        "name": "Orders",
        "facts": [
            {
                "fact": "transactions",
                "fields": {
                    "customer_id": {"column": "customer.id", "prefix": "c"},
                    "transaction_id": {"column": "order"},
                    "occurred_at": {"column": "at", "read_as": "seconds"},
                    "amount": {"column": "paid"},
                },
                "lines": {
                    "each": {"list": "lines"},
                    "fields": {
                        "product_id": {"column": "@sku"},
                        "quantity": {"column": "@n"},
                        "unit_price": {"column": "@price.amount"},
                    },
                },
                "attributes": {"tags": {"column": "tags"}},
                "rest": True,
            }
        ],
    }
    (item,) = mapped(data, document).items("transactions")
    assert item == {
        "customer_id": "c7",
        "transaction_id": "1",
        "occurred_at": "2024-01-01T00:00:00Z",
        "amount": {"amount": "12.50"},
        "items": [{"product_id": "a", "quantity": 2.0, "unit_price": {"amount": "3.5"}}],
        "attributes": {"vip": True, "tags": ["x", "y"]},
        "source": "default",
    }


def test_stages_of_an_old_system_are_overrides_with_their_dates():
    document = {
        "name": "Stages",
        "times": {"zone": "Asia/Shanghai"},
        "facts": [
            {
                "fact": "overrides",
                "fields": {
                    "customer_id": {"column": "customer"},
                    "stage": {"column": "order", "translate": {"忠诚": "loyal", "流失": "churned"}},
                    "set_at": {"column": "at"},
                    "reason": {"constant": "imported"},
                },
            }
        ],
    }
    result = mapped(rows("1,忠诚,2024-05-01,", "2,未知,2024-05-01,"), document)
    assert result.facts == [
        (
            "overrides",
            {
                "customer_id": "1",
                "stage": "loyal",
                "set_at": "2024-04-30T16:00:00Z",
                "reason": "imported",
                "source": "default",
            },
        )
    ]
    assert result.refusals == [(2, "unknown_value")]


LINE = st.tuples(st.sampled_from("123"), st.sampled_from(["1", "2.5", "x", ""]), st.booleans())


@given(st.lists(LINE, max_size=25), st.sampled_from([0, None, 1, 3, 8]), st.booleans())
def test_an_import_goes_on_from_any_outcome_as_if_it_had_never_stopped(lines, within, numbered):
    text = [f"c,{order},2024-01-01,{amount}" + (",extra" if odd and amount == "x" else "")
            for order, amount, odd in lines]  # fmt: skip
    data = rows(*text)
    document = ORDERS if within == 0 else lines_of_orders(within)
    if numbered:
        (rule,) = document["facts"]
        made = {"hash_of": ["customer", "order"], "numbered": True}
        document = {
            **document,
            "facts": [{**rule, "fields": {**rule["fields"], "transaction_id": made}}],
        }
    detected = detect(data)
    plan = compile_mapping(parse(document), detected, Context("EUR"))

    def gone_on(checkpoint):
        mapper = Mapper(plan, checkpoint.skip)
        again = read(pieces(data), detected, skip=checkpoint.skip)
        for outcome in outcomes(mapper, again, checkpoint.drop):
            yield outcome, mapper.checkpoint

    first = list(gone_on(Checkpoint(0, 0)))
    whole = [outcome for outcome, _ in first]
    for done, (_, checkpoint) in enumerate(first, 1):
        second = list(gone_on(checkpoint))
        assert [outcome for outcome, _ in second] == whole[done:]
        for more, (_, later) in enumerate(second, 1):
            assert [outcome for outcome, _ in gone_on(later)] == whole[done + more :]
    seen = [row.row for outcome in whole for row in outcome.rows]
    assert sorted(seen) == list(range(1, len(lines) + 1))
    kept = sum((Decimal(fact.item["amount"]["amount"]) for each in whole
                if isinstance(each, Mapped) for fact in each.facts), Decimal(0))  # fmt: skip
    bad = {row.row for each in whole if not isinstance(each, Mapped) for row in each.rows}
    assert kept == sum(Decimal(amount) for n, (_, amount, _) in enumerate(lines, 1) if n not in bad)
    assert not any(isinstance(each, LeftOut) for each in whole)


def test_a_formula_is_left_out_of_attributes_and_rejects_what_is_needed():
    (rule,) = ORDERS["facts"]
    document = {**ORDERS, "facts": [{**rule, "rest": True}]}
    data = b"customer,order,at,amount,note\nc,1,2024-01-01,5,=A1+1\nc,=1,2024-01-01,5,x\n"
    result = mapped(data, document)
    assert result.warnings == [(1, "note", "formula")]
    assert [(each.rows[0].row, each.problem[:2]) for each in result.rejected] == [
        (2, ("order", "formula"))
    ]
    assert "attributes" not in result.sales()[0]


def test_a_rate_that_is_none_is_left_out_and_the_sale_kept():
    document = with_fields(
        currency={"constant": "USD"}, exchange_rate={"column": "order", "if_bad": None}
    )
    result = mapped(rows("c,0,2024-01-01,5", "c,1.5,2024-01-01,6"), document)
    assert result.warnings == [(1, "order", "out_of_range")]
    assert [item.get("exchange_rate") for item in result.sales()] == [None, "1.5"]


def test_a_kind_is_one_of_its_words():
    result = mapped(rows("c,Refund,2024-01-01,5", "c,gift,2024-01-01,6"),
                    with_fields(kind={"column": "order"}))  # fmt: skip
    assert [item["kind"] for item in result.sales("refund")] == ["refund"]
    assert result.refusals == [(2, "unknown_value")]


def test_a_row_that_makes_more_facts_than_anybody_wants_is_rejected_in_no_time():
    cell = "a" * 60_000
    parts = {"each": {"columns": ["at"], "split": "a", "pairs": "b"}}
    (rule,) = ORDERS["facts"]
    fields = {**rule["fields"], "occurred_at": {"constant": "2024-01-01"},
              "transaction_id": {"join": ["order", "@number"]}}  # fmt: skip
    document = {**ORDERS, "facts": [{**rule, **parts, "fields": fields}]}
    assert len(mapped(rows(f"c,1,{cell},5"), document).facts) == 1
    many = {"each": {"columns": ["at"], "split": ";"}}
    document = {**ORDERS, "facts": [{**rule, **many, "fields": fields}]}
    result = mapped(rows(f"c,1,{'1;' * 20_001},5", "c,2,1;2,5"), document)
    assert result.refusals == [(1, "order_too_large")]
    assert [item["transaction_id"] for item in result.sales()] == ["2 1", "2 2"]


def test_a_computed_number_beyond_all_bounds_is_none():
    document = {"name": "x", "facts": [{"fact": "interactions", "fields": {
        "customer_id": {"column": "customer"}, "interaction_id": {"column": "order"},
        "occurred_at": {"column": "at"}, "kind": {"constant": "visit"},
        "score": {"product": ["amount"] * 4},
    }}], "times": {"zone": "UTC"}}  # fmt: skip
    assert mapped(rows("c,1,2024-01-01,1e99"), document).refusals == [(1, "out_of_range")]
