"""A mapping for a file that has none, and what remains to be asked."""

import csv
import io
from collections import Counter
from datetime import datetime
from decimal import Decimal

import pytest

from app.mappings.compiling import Context, compile_mapping
from app.mappings.detection import detect
from app.mappings.document import FileForm
from app.mappings.faults import InvalidMapping, UnreadableFile
from app.mappings.presets.evidence import counted_in, decimal_signs, forms_of
from app.mappings.presets.registry import build
from app.mappings.proposing import propose
from tests.mappings.files import SAMPLES, apply, total

ZONED = {"time_zone": "Europe/Berlin"}

HERE = Context("EUR", zone="Europe/Berlin")


def proposed(data, parameters=None, said=None):
    return propose(detect(data, said), HERE, parameters)


def file(*rows, delimiter=",", encoding="utf-8"):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue().encode(encoding)


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*.csv")))
def test_a_known_layout_is_proposed_and_asks_only_what_it_cannot_know(name):
    proposal = proposed((SAMPLES / name).read_bytes())
    required = {each.parameter for each in proposal.questions if each.required}
    assert (proposal.document is None) is bool(required)
    expected = set()
    if name.startswith(("zoho", "hubspot", "woo", "salesforce")):
        expected.add("time_zone")
    if name == "zoho_deals.csv":
        expected.add("won_stages")
        (stages,) = (each for each in proposal.questions if each.parameter == "won_stages")
        assert stages.choices[0] == "Closed Won"
    assert required == expected
    assert proposal.confidence >= 0.7


def test_answers_make_the_mapping():
    data = (SAMPLES / "zoho_deals.csv").read_bytes()
    answers = {"time_zone": "Europe/Oslo", "won_stages": ["Closed Won"]}
    proposal = proposed(data, answers)
    assert proposal.document.preset == proposal.preset == "zoho_deals"
    assert not {each.parameter for each in proposal.questions} & set(answers)
    with pytest.raises(InvalidMapping) as error:
        proposed(data, {**answers, "won_stages": "Closed Won"})
    assert error.value.faults[0].pointer == "/parameters/won_stages"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("preset", "order", "unknown_preset"), ("preset", ["orders"], "invalid"),
        ("columns", {"customer_id": ["c"]}, "invalid"), ("columns", ["c"], "invalid"),
        ("decimal_sign", "x", "invalid"), ("decimal_sign", [","], "invalid"),
        ("amount", 1, "invalid"), ("nothing", None, "unknown_parameter"),
    ],
)  # fmt: skip
def test_answers_that_are_none_are_refused_where_they_stand(name, value, code):
    rows = ("customer", "order", "date", "amount", "refunded"), ("c", "o", "2024-01-01", "5", "1")
    with pytest.raises(InvalidMapping) as error:
        proposed(file(*rows), {name: value})
    (fault,) = error.value.faults
    assert (fault.pointer, fault.code) == (f"/parameters/{name}", code)
    assert proposed(file(*rows), {"decimal_sign": None}).document is not None


def test_orders_of_a_chinese_shop_are_known_by_the_names_of_their_columns():
    data = file(
        ("订单编号", "会员号", "下单时间", "订单金额", "门店"),
        ("A1", "m1", "2024/03/01 10:00", "1,200.50", "一店"),
        ("A2", "m2", "2024/03/02 11:30", "80", "二店"),
        encoding="gb18030",
    )
    proposal = proposed(data)
    assert (proposal.preset, proposal.document.times.zone) == ("orders", "Europe/Berlin")
    result = apply(data, proposal.document)
    assert total(result.sales()) == Decimal("1280.50")
    assert result.sales()[0]["occurred_at"] == "2024-03-01T09:00:00Z"
    assert result.sales()[0]["channel"] == "一店"


@pytest.mark.parametrize(
    ("head", "row", "customer", "at", "amount"),
    [
        (("订单编号", "买家会员名", "买家实际支付金额", "订单状态", "订单付款时间"),
         ("8001", "阿明", "59.90", "交易成功", "2024-03-01 20:15:00"),
         "阿明", "2024-03-01T19:15:00Z", "59.90"),
        (("VBELN", "KUNNR", "ERDAT", "NETWR", "WAERK"),
         ("0090001", "0000100234", "20240301", "1250.00", "EUR"),
         "0000100234", "2024-02-29T23:00:00Z", "1250.00"),
        (("Date", "Time", "Name", "Gross", "From Email Address", "Transaction ID"),
         ("31/12/2024", "23:15:00", "Ann", "1,250.50", "Ann@Mail.example", "T1"),
         "ann@mail.example", "2024-12-31T22:15:00Z", "1250.50"),
        (("increment_id", "customer_email", "created_at", "grand_total"),
         ("1001", "B@mail.example", "2024-01-01 00:30:00", "12.5"),
         "b@mail.example", "2023-12-31T23:30:00Z", "12.5"),
        (("order_id", "customer_id", "order_purchase_timestamp", "payment_value"),
         ("e48", "9ef4", "2017-10-02 10:56:33", "18.12"),
         "9ef4", "2017-10-02T08:56:33Z", "18.12"),
    ],
)  # fmt: skip
def test_orders_of_many_systems_are_known_by_the_names_of_their_columns(
    head, row, customer, at, amount
):
    data = file(head, row)
    proposal = proposed(data)
    assert proposal.preset == "orders"
    assert not any(each.required for each in proposal.questions)
    (item,) = apply(data, proposal.document).sales()
    assert (item["customer_id"], item["occurred_at"]) == (customer, at)
    assert Decimal(item["amount"]["amount"]) == Decimal(amount)


def test_a_file_of_customers_needs_no_more_than_whose_it_is():
    data = file(("customerID", "tenure", "Contract"), ("7590-VHVEG", "1", "Month-to-month"))
    (item,) = apply(data, proposed(data).document).items("customers")
    assert item["attributes"] == {"tenure": "1", "Contract": "Month-to-month"}


def test_a_decimal_sign_is_told_by_values_or_asked_for():
    data = file(("Kunde", "Datum", "Betrag"), ("1", "31.12.2024", "1.250,50"),
                ("2", "01.02.2025", "80,00"), delimiter=";")  # fmt: skip
    proposal = proposed(data)
    (question,) = (each for each in proposal.questions if each.parameter == "decimal_sign")
    assert (question.assumed, question.required) == (",", False)
    assert total(apply(data, proposal.document).sales()) == Decimal("1330.50")
    data = file(("Kunde", "Datum", "Betrag"), ("1", "31.12.2024", "1.250"), delimiter=";")
    (question,) = (each for each in proposed(data).questions if each.required)
    assert (question.parameter, question.choices) == ("decimal_sign", (".", ","))
    for sign, amount in ((".", "1.25"), (",", "1250")):
        document = proposed(data, {"decimal_sign": sign}).document
        assert total(apply(data, document).sales()) == Decimal(amount)


@pytest.mark.parametrize(
    ("texts", "signs"),
    [
        (("12.50", "1,250.00"), (".",)),
        (("12,50", "1.250,00"), (",",)),
        (("1,250", "12.5"), (".",)),
        (("1.250.000,5",), (",",)),
        (("1,250,000",), (".",)),
        (("22.200000000000003",), (".",)),
        (("100", "-5", "€ 12"), (".",)),
        (("$ 1,299.00",), (".",)),
        (("1.250",), (".", ",")),
        (("12.50", "12,50"), (".", ",")),
        ((), (".",)),
    ],
)
def test_decimal_signs_that_amounts_may_have(texts, signs):
    assert decimal_signs(texts) == signs


def test_forms_of_times_are_told_from_values_where_only_one_fits():
    assert forms_of(("31/12/2024", "01/02/2024")) == ("%d/%m/%Y",)
    assert forms_of(("12/31/2024 1:05",)) == ("%m/%d/%Y %H:%M",)
    assert forms_of(("01/02/2024", "03/04/2024")) == ("%m/%d/%Y", "%d/%m/%Y")
    assert forms_of(("2024-01-01", "2024-01-01 10:00")) is None
    assert forms_of(("soon",)) == ()
    assert forms_of(("1704067200000",)) is None
    assert counted_in(("1704067200000",)) == "milliseconds"
    assert counted_in(("1704067200", "1704067201")) == "seconds"
    assert counted_in(("1704067200", "17040672000")) is None


def test_days_that_may_be_of_two_forms_are_asked_for():
    data = file(("customer", "date", "amount"), ("1", "01/02/2024", "5"))
    proposal = proposed(data)
    assert proposal.document is None
    (question,) = (each for each in proposal.questions if each.required)
    assert (question.parameter, question.choices) == (
        "date_patterns", (["%m/%d/%Y"], ["%d/%m/%Y"]),
    )  # fmt: skip
    said = proposed(data, {"date_patterns": question.choices[1]})
    assert apply(data, said.document).sales()[0]["occurred_at"] == "2024-01-31T23:00:00Z"


def test_counts_of_seconds_are_read_as_such():
    data = file(("customer", "timestamp", "amount"), ("1", "1704067200", "5"))
    sales = apply(data, proposed(data).document).sales()
    assert sales[0]["occurred_at"] == "2024-01-01T00:00:00Z"


def test_rows_of_one_order_are_lines_whose_amounts_are_added_up():
    data = file(("Order ID", "Order Date", "Customer ID", "Product ID", "Sales", "Quantity"),
                ("CA-1", "11/8/2016", "CG-1", "P-1", "261.96", "2"),
                ("CA-1", "11/8/2016", "CG-1", "P-2", "731.94", "3"),
                ("CA-2", "6/13/2016", "DV-1", "P-3", "14.62", "2"))  # fmt: skip
    proposal = proposed(data)
    assert proposal.preset == "order_lines"
    sales = apply(data, proposal.document).sales()
    assert [sale["amount"]["amount"] for sale in sales] == ["993.90", "14.62"]
    assert [line["unit_price"]["amount"] for line in sales[0]["items"]] == ["130.98", "243.98"]


def test_amounts_that_all_rows_of_an_order_repeat_are_asked_about():
    rows = [(f"o{n // 2}", "2024-01-01", "c", f"{n // 2 + 5}.00", "p") for n in range(8)]
    data = file(("order_id", "date", "customer_id", "amount", "sku"), *rows)
    proposal = proposed(data)
    assert [each.parameter for each in proposal.questions if each.required] == ["amount_is"]
    sales = apply(data, proposed(data, {"amount_is": "of_the_order"}).document).sales()
    assert total(sales) == 5 + 6 + 7 + 8


def test_statuses_that_seem_to_be_no_sales_are_asked_about():
    data = file(("order_id", "date", "customer_id", "amount", "status"),
                ("1", "2024-01-01", "c", "5", "done"),
                ("2", "2024-01-01", "c", "7", "Cancelled"))  # fmt: skip
    proposal = proposed(data)
    (question,) = (each for each in proposal.questions if each.required)
    assert (question.parameter, question.choices) == ("kept_statuses", ("done", "Cancelled"))
    result = apply(data, proposed(data, {"kept_statuses": ["done"]}).document)
    assert (total(result.sales()), result.filters) == (5, [(2, "not_a_sale")])


def test_a_column_of_words_for_purchases_and_refunds_tells_which_is_which():
    data = file(("order_id", "date", "customer_id", "amount", "type", "refunded_order_id"),
                ("1", "2024-01-01", "c", "5", "Sale", ""),
                ("2", "2024-01-02", "c", "-2", "Refund", "1"))  # fmt: skip
    result = apply(data, proposed(data).document)
    assert (total(result.sales()), total(result.sales("refund"))) == (5, 2)
    assert result.sales("refund")[0]["refunds"] == {"transaction_id": "1"}


def test_purchases_without_an_id_are_all_kept():
    rows = [("00001", "19970101", "1", "11.77")] * 3 + [("00002", "19970112", "1", "12.00")]
    text = " customer_id  date number_of_cds  dollar_value\r\n"
    data = (text + "".join(" " + "  ".join(row) + "\r\n" for row in rows)).encode()
    result = apply(data, proposed(data).document)
    assert total(result.sales()) == Decimal("47.31")
    assert len({item["transaction_id"] for item in result.sales()}) == 4


def test_a_file_without_header_is_read_by_names_that_are_said():
    data = b" 00004 0001 19970101  2   29.33\r\n 00004 0001 19970118  2   29.73\r\n"
    with pytest.raises(UnreadableFile) as error:
        detect(data)
    assert error.value.code == "missing_header"
    said = FileForm(columns=["customer", "sample", "date", "cds", "amount"])
    detected = detect(data, said)
    document = propose(detected, HERE).document
    document = document.model_copy(update={"file": said})
    assert len(document.facts) == 1
    assert propose(detected, HERE).preset == "orders"


def test_purchases_without_an_amount_are_asked_for_one():
    data = file(("date", "id"), ("2014-03-08 00:00:00", "0"), ("2014-05-21 00:00:00", "1"))
    nothing = proposed(data)
    assert (nothing.preset, nothing.document, nothing.confidence) == (None, None, 0.0)
    assert [each.required for each in nothing.questions] == [True]
    columns = {"preset": "orders", "columns": {"customer_id": "id"}}
    asked = [each.parameter for each in proposed(data, columns).questions if each.required]
    assert asked == ["amount"]
    answers = {**columns, "amount": "1"}
    assert total(apply(data, proposed(data, answers).document).sales()) == 2


def test_interactions_overdue_payments_stages_and_customers_are_known():
    calls = file(("customer_id", "event_time", "event_type", "note", "score"),
                 ("1", "2024-01-01 10:00", "call", "spoke", "7"))  # fmt: skip
    (item,) = apply(calls, proposed(calls).document).items("interactions")
    assert (item["kind"], item["text"], item["score"]) == ("call", "spoke", 7.0)
    overdue = file(("customer_id", "invoice_no", "due_date", "outstanding"),
                   ("1", "R-1", "2024-01-01", "120.50"))  # fmt: skip
    (item,) = apply(overdue, proposed(overdue).document).items("interactions")
    assert (item["kind"], item["interaction_id"]) == ("payment_overdue", "R-1")
    assert item["attributes"] == {"amount": 120.5}
    stages = file(("customer_id", "stage", "stage_since"), ("1", "VIP", "2024-01-01"))
    proposal = proposed(stages)
    assert proposal.preset == "stages"
    assert [each.choices for each in proposal.questions if each.required] == [("VIP",)]
    answered = proposed(stages, {"stages": {"VIP": "loyal"}})
    assert apply(stages, answered.document).items("overrides")[0]["stage"] == "loyal"
    people = file(("customer_id", "first_name", "last_name", "email", "shoe size"),
                  ("1", "Ann", "Lee", "a@b.example", "38"))  # fmt: skip
    (item,) = apply(people, proposed(people).document).items("customers")
    assert (item["name"], item["attributes"]) == ("Ann Lee", {"shoe size": "38"})


def test_computed_amounts_are_rounded_and_it_is_asked():
    data = file(("InvoiceNo", "InvoiceDate", "CustomerID", "TotalPrice"),
                ("1", "2010-12-01", "17850", "22.200000000000003"))  # fmt: skip
    proposal = proposed(data)
    assert {each.parameter: each.assumed for each in proposal.questions}["round_amounts"] is True
    assert total(apply(data, proposal.document).sales()) == Decimal("22.2")


def test_a_report_that_looks_like_a_known_layout_is_refused():
    data = file(("Opportunity Owner", "Account Name", "Opportunity Name", "Stage", "Close Date"),
                ("A", "B", "C", "Closed Won", "1/2/2024"))  # fmt: skip
    with pytest.raises(UnreadableFile) as error:
        proposed(data)
    assert error.value.code == "report_export"


def test_purchase_days_of_a_proposal_are_those_of_the_file():
    data = (SAMPLES / "retail_lines.csv").read_bytes()
    result = apply(data, proposed(data, {"time_zone": "Europe/London"}).document)
    days = Counter((item["customer_id"], datetime.fromisoformat(item["occurred_at"]).date())
                   for item in result.sales())  # fmt: skip
    assert len(days) == 3


@pytest.mark.parametrize(
    ("text", "encoding", "customer", "order", "amount"),
    [
        (("单据编号,日期,客户编码,物料编码,数量,含税单价,价税合计,币别\n"
         "XS1,2025/3/15,C1,M1,2,50.00,100.00,人民币\nXS1,2025/3/15,C1,M2,1,30.00,30.00,人民币\n"),
         "gb18030", "C1", "XS1", {"amount": "130.00", "currency": "CNY"}),
        ("订单号,订单日期,客户编码,客户名称,原币价税合计,币种\nSO1,2025-03-15,0001,启澜,113.00,RMB\n",
         "utf-8", "0001", "SO1", {"amount": "113.00", "currency": "CNY"}),
        ("Auftragsnummer;Kundennummer;Bestelldatum;Betrag (EUR)\n1001;K-1;31.12.2024;1.234,50 €\n",
         "cp1252", "K-1", "1001", {"amount": "1234.50"}),
        ("N° commande;Client;Date commande;Montant TTC\n7;Dupont;28/03/2025;1 234,50\n",
         "latin-1", "Dupont", "7", {"amount": "1234.50"}),
        ("Pedido;Cliente;Fecha;Importe\n1;Ana;28/03/2025;12,50\n",
         "utf-8", "Ana", "1", {"amount": "12.50"}),
    ],
)  # fmt: skip
def test_orders_of_other_lands_are_known_by_the_names_of_their_columns(
    text, encoding, customer, order, amount
):
    data = text.encode(encoding)
    detected = detect(data)
    found = propose(detected, Context("EUR"), ZONED)
    assert found.document is not None, found.questions
    (item,) = apply(data, found.document).sales()
    assert (item["customer_id"], item["transaction_id"], item["amount"]) == (
        customer, order, amount,
    )  # fmt: skip


def test_purchases_whose_columns_have_unknown_names_are_not_taken_for_customers():
    data = b"Bought,Customer ID,Total Collected\n2025-03-01,CU1,$10.80\n2025-03-02,CU2,$20.00\n"
    found = propose(detect(data), Context("USD"), ZONED)
    assert (found.preset, found.document) == ("customers", None)
    assert [each.parameter for each in found.questions if each.required] == ["preset"]
    said = propose(detect(data), Context("USD"), {**ZONED, "preset": "customers"})
    assert said.document is not None
    columns = {"occurred_at": "Bought", "amount": "Total Collected"}
    named = propose(detect(data), Context("USD"), {**ZONED, "columns": columns, "currency": "USD"})
    assert (named.preset, len(apply(data, named.document).sales())) == ("orders", 2)


@pytest.mark.parametrize(
    ("amount", "home", "assumed", "choices"),
    [("¥5.00", "EUR", None, ("CNY", "JPY")), ("£5.00", "EUR", "GBP", ("GBP",)),
     ("¥5.00", "CNY", None, ()), ("5.00", "EUR", None, ())],
)  # fmt: skip
def test_the_sign_beside_amounts_asks_for_their_currency_where_it_is_not_that_of_home(
    amount, home, assumed, choices
):
    data = f"order,customer,date,amount\n1,a,2025-03-01,{amount}\n".encode()
    found = propose(detect(data), Context(home), ZONED)
    (asked,) = [each for each in found.questions if each.parameter == "currency"]
    assert (asked.assumed, asked.choices, asked.required) == (assumed, choices, len(choices) > 1)
    assert (found.document is None) == asked.required
    if assumed is not None:
        assert found.document is not None
        assert found.document.amounts.currency == assumed


def test_an_amount_that_is_the_same_for_all_makes_purchases_of_a_log_without_one():
    data = b"date,id\n2014-03-08,0\n2014-05-21,1\n"
    answers = {**ZONED, "amount": "1", "columns": {"customer_id": "id"}}
    found = propose(detect(data), Context("EUR"), answers)
    assert found.preset == "orders"
    assert [item["amount"]["amount"] for item in apply(data, found.document).sales()] == ["1", "1"]


@pytest.mark.parametrize("preset", ["orders", "order_lines", "customers", "interactions"])
def test_a_list_without_objects_is_no_layout(preset):
    detected = detect(b"[]")
    with pytest.raises(InvalidMapping):
        compile_mapping(build(preset, detected, ZONED), detected, HERE)
