"""What spreadsheets and reports do to files: known, told, asked for, and never silently taken."""

import csv
import io

import pytest

from app.mappings.compiling import Context, compile_mapping
from app.mappings.detection import detect
from app.mappings.document import FileForm
from app.mappings.faults import UnreadableFile
from app.mappings.proposing import propose_for
from app.mappings.reading import read, refusals_header
from tests.mappings.files import ORDERS, apply, mapped, pieces

HERE = Context("EUR", zone="Europe/Berlin")
HEAD = ("customer", "order", "at", "amount")
NAMES = ("customer", "order", "date", "amount")


def file(*rows, delimiter=","):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue().encode()


def proposed(data, answers=None):
    return propose_for(data, FileForm(), HERE, answers)


def assumed(found):
    return {each.parameter: each.assumed for each in found.questions}


def test_ids_that_a_spreadsheet_has_rounded_are_refused_and_told():
    rounded = ("1.23E+15", "1,23457E+17", "1E+16", "4e+20")
    data = file(HEAD, *(("c", each, "2024-01-01", "5") for each in (*rounded, "1E5", "2E10-X")),
                ("8.6E+11", "o-1", "2024-01-01", "5"))  # fmt: skip
    assert mapped(data, ORDERS).refusals == [(row, "digits_lost") for row in (1, 2, 3, 4, 7)]
    notes = " ".join(detect(data).notes)
    assert "'order' has numbers that a spreadsheet has rounded" in notes
    assert "'customer' has numbers that a spreadsheet has rounded" in notes
    # As an amount it is one.
    (item,) = mapped(file(HEAD, ("c", "o", "2024-01-01", "1.2E+3")), ORDERS).sales()
    assert item["amount"]["amount"] == "1200"


def test_long_ids_whose_last_digits_have_become_zeros_are_told():
    cut = file(HEAD, *(("c", f"20786543210987{n}000", "2024-01-01", "5") for n in (61, 62)))
    assert not detect(cut).notes  # as they may be: their 16th digit is none
    cut = file(HEAD, *(("c", f"{order}000", "2024-01-01", "5")
                       for order in (207865432109876, 207865432109877)))  # fmt: skip
    assert "end with zeros behind their 15th digit" in " ".join(detect(cut).notes)


def test_guards_of_ids_are_taken_off_and_told():
    rows = [("'00123", '="0042"', "2024-01-01", "5"), ("'tis", "o-2", "2024-01-01", "5")]
    data = file(HEAD, *rows)
    assert [(each["customer_id"], each["transaction_id"]) for each in mapped(data, ORDERS).sales()
            ] == [("00123", "0042"), ("'tis", "o-2")]  # fmt: skip
    assert sum("guarded for spreadsheets" in note for note in detect(data).notes) == 2


@pytest.mark.parametrize(
    ("text", "at"),
    [("45231", "2023-10-31T23:00:00Z"), ("45231.5", "2023-11-01T11:00:00Z"),
     ("45231,25", "2023-11-01T05:00:00Z"), ("45231.9999884259", "2023-11-01T22:59:59Z"),
     ("45231.99999999", "2023-11-01T23:00:00Z")],
)  # fmt: skip
def test_days_that_spreadsheets_count_are_known_and_asked_about(text, at):
    data = file(NAMES, ("c", "o", text, "5"))
    found, _ = proposed(data)
    assert assumed(found)["date_patterns"] == ["spreadsheet_days"]
    assert apply(data, found.document).sales()[0]["occurred_at"] == at


def test_days_counted_beside_written_ones_are_no_form_of_all():
    data = file(NAMES, ("c", "o-1", "45231", "5"), ("c", "o-2", "31.12.2024", "5"))
    found, _ = proposed(data)
    assert [each.parameter for each in found.questions if each.required] == ["date_patterns"]
    people = file(("customer_id", "birth_date", "name"), ("c", "29000", "Ann"))
    answers = {"date_patterns": ["spreadsheet_days"], "preset": "customers"}
    (item,) = apply(people, proposed(people, answers)[0].document).items("customers")
    assert item["birth_date"] == "1979-05-25"


@pytest.mark.parametrize("above", [1, 2, 5])
def test_a_title_is_passed_over_where_it_is_agreed_to(above):
    titles = [("Report of orders",), (), ("From:", "2024"), ("",), ("by Ann",)][:above]
    rows = [(f"c{n}", f"o{n}", "2024-01-01", "5") for n in range(4)]
    data = file(*titles, NAMES, *rows)
    with pytest.raises(UnreadableFile) as error:
        detect(data)
    assert (error.value.code, error.value.title_lines) == ("title_lines", above)
    found, detected = proposed(data)
    assert assumed(found)["/file/skip_lines"] == above
    assert found.document.file.skip_lines == above
    plan = compile_mapping(found.document, detected, HERE)
    first, *_ = read(pieces(data, 7), plan.detected)
    assert (first.row, first.line, list(first.fields)) == (1, above + 2, list(rows[0]))
    # The file of refused rows has the shape of the first one, with its title.
    again = refusals_header(detected) + "c9,o9,2024-01-01,5\r\n"
    (mended,) = read([again.encode()], detect(again.encode(), found.document.file))
    assert mended.fields[0] == "c9"


def test_lines_of_totals_are_no_facts():
    rows = [("c1", "o1", "2024-01-01", "5"), ("c2", "o2", "2024-01-02", "7")]
    for label in ("合计", "Total:", "GRAND TOTAL", "Summe"):
        data = file(NAMES, *rows, (label, "", "", "12"))
        found, _ = proposed(data)
        assert assumed(found)["total_words"] == [label.lower().rstrip(":")]
        result = apply(data, found.document)
        assert (len(result.sales()), result.filters) == (2, [(3, "total_line")])
    # Whoever is called so and has a day is a customer.
    data = file(NAMES, *rows, ("Total Energies", "o3", "2024-01-03", "12"))
    assert len(apply(data, proposed(data)[0].document).sales()) == 3
    people = file(("customer_id", "city"), ("c1", "Ulm"), ("合计", "1"))
    result = apply(people, proposed(people)[0].document)
    assert result.filters == [(2, "total_line")]


def test_lines_of_totals_may_have_too_few_fields():
    data = file(NAMES, ("c1", "o1", "2024-01-01", "5"), ("合计",), ("Total:", "1"), ("c2", "o2"))
    result = apply(data, proposed(data)[0].document)
    assert (result.filters, result.refusals) == (
        [(2, "total_line"), (3, "total_line")], [(4, "ragged")],
    )  # fmt: skip
    # A mapping that has no such filter makes nothing of them.
    assert mapped(file(HEAD, ("合计",)), ORDERS).refusals == [(1, "ragged")]


def test_a_line_of_totals_does_not_make_the_order_before_it_doubtful():
    names = (*NAMES, "product", "quantity", "unit_price")
    lines = [("c1", "o1", "2024-01-01", "5", each, "1", "5") for each in ("p1", "p2")]
    data = file(names, *lines, ("合计 o1",))
    found, _ = proposed(data, {"preset": "order_lines", "amount_is": "of_the_line"})
    result = apply(data, found.document)
    assert (len(result.sales()), result.refusals) == (1, [])


def test_customers_whose_ids_have_been_masked_are_asked_for():
    data = file(("手机", "订单号", "支付时间", "实付金额"), ("139****0001", "1", "2024-01-01", "5"))
    found, _ = proposed(data)
    assert [each.parameter for each in found.questions if each.required] == ["columns"]
    said, _ = proposed(data, {"columns": {"customer_id": "手机"}})
    assert said.document is not None


def test_more_given_back_than_an_order_has_asks_what_amounts_are():
    head = ("customer", "order", "date", "amount", "Refunded amount")
    data = file(head, ("c", "1", "2024-01-01", "5,50", "7,00"), delimiter=";")
    found, _ = proposed(data)
    (asked,) = [each for each in found.questions if each.required]
    assert (asked.parameter, asked.choices) == ("undated_refunds", ("at_order", "leave_out"))
    left, _ = proposed(data, {"undated_refunds": "leave_out"})
    result = apply(data, left.document)
    assert (len(result.facts), result.warnings) == (1, [(1, "Refunded amount", "undated_refund")])


def test_refunds_with_a_day_of_their_own_have_it():
    head = ("customer", "order", "date", "amount", "refund amount", "refund date")
    data = file(head, ("c", "1", "2024-01-01", "50", "20", "2024-02-01"),
                ("c", "2", "2024-01-05", "30", "30", ""))  # fmt: skip
    found, _ = proposed(data)
    assert "undated_refunds" not in assumed(found)
    assert [(each["occurred_at"], each["amount"]["amount"], each["refunds"]["transaction_id"])
            for each in apply(data, found.document).sales("refund")] == [
        ("2024-01-31T23:00:00Z", "20", "1"), ("2024-01-04T23:00:00Z", "30", "2"),
    ]  # fmt: skip
