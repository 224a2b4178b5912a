"""Each sample by its preset, against what its rows plainly say; and each trap that is known."""

import csv
import gzip
import io
import json
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app.mappings.compiling import parse
from app.mappings.detection import detect
from app.mappings.faults import InvalidMapping, UnreadableFile
from app.mappings.presets.registry import PRESETS, build, recognise
from app.schemas.customers import BulkProfile
from app.schemas.ingest.interactions import InteractionIn
from app.schemas.ingest.transactions import TransactionIn
from tests.mappings.files import SAMPLES, apply, by_preset, total

ZONED = {"time_zone": "Europe/Berlin"}
GIVEN = {
    "zoho_contacts.csv": ("zoho_contacts", ZONED),
    "zoho_accounts.csv": ("zoho_accounts", ZONED),
    "zoho_deals.csv": ("zoho_deals", {**ZONED, "won_stages": ["closed won"]}),
    "fxiaoke_accountobj.json": ("fxiaoke_accounts", {}),
    "fxiaoke_contactobj.json": ("fxiaoke_contacts", {}),
    "fxiaoke_salesorderobj.json": ("fxiaoke_orders", {}),
    "shopify_orders.csv": ("shopify_orders", {}),
    "woocommerce_orders.csv": ("woocommerce_orders", ZONED),
    "stripe_charges.csv": ("stripe_charges", {}),
    "stripe_refunds.csv": ("stripe_refunds", {}),
    "stripe_balance_itemized.csv": ("stripe_balance", {}),
    "hubspot_contacts.csv": ("hubspot_contacts", ZONED),
    "hubspot_deals.csv": ("hubspot_deals", {**ZONED, "company_currency": "USD"}),
    "salesforce_opportunities.csv": ("salesforce_opportunities", ZONED),
    "retail_lines.csv": ("order_lines", {"time_zone": "Europe/London"}),
}
DOORS = {"customers": BulkProfile, "transactions": TransactionIn, "interactions": InteractionIn}


def found(name, **more):
    preset, parameters = GIVEN[name]
    options = {key: more.pop(key) for key in ("currency", "now") if key in more}
    return by_preset(name, preset, **options, **{**parameters, **more})


def plain(name):
    """Return the rows as the standard library has them."""
    text = (SAMPLES / name).read_text(encoding="utf-8-sig")
    if name.endswith(".json"):
        return json.loads(text)["data"]["dataList"]
    return list(csv.DictReader(text.splitlines(keepends=True)))


def by_id(items, field="customer_id"):
    return {item[field]: item for item in items}


@pytest.mark.parametrize("name", GIVEN)
def test_a_sample_is_recognised_by_its_header(name):
    best, confidence = recognise(detect((SAMPLES / name).read_bytes()))[0]
    assert best.name == GIVEN[name][0]
    assert confidence >= 0.7


@pytest.mark.parametrize("name", GIVEN)
def test_every_row_has_one_outcome_and_every_fact_fits_its_door(name):
    result = found(name)
    rows = [row.row for each in result.outcomes for row in each.rows]
    assert sorted(rows) == list(range(1, len(rows) + 1))
    assert len(rows) == len(plain(name))
    assert result.facts
    for kind, item in result.facts:
        if kind == "transactions" and "customer_id" not in item:
            item = {**item, "customer_id": "of the purchase"}
        DOORS[kind].model_validate(json.loads(json.dumps(item)))


@pytest.mark.parametrize("name", GIVEN)
def test_a_mapping_survives_being_stored(name):
    data = (SAMPLES / name).read_bytes()
    document = build(GIVEN[name][0], detect(data), GIVEN[name][1])
    stored = json.loads(document.model_dump_json(by_alias=True, exclude_none=True))
    again = type(document).model_validate(stored)
    assert again == document
    assert apply(data, again).facts == apply(data, document).facts


@pytest.mark.parametrize("name", [each for each in GIVEN if each.endswith(".csv")])
def test_case_of_the_header_encoding_and_compression_change_nothing(name):
    data = (SAMPLES / name).read_bytes()
    head, rest = data.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)
    rest = rest.replace(head, head.upper())
    other = gzip.compress((head.upper() + b"\n" + rest).decode().encode("utf-16"))
    preset, parameters = GIVEN[name]
    ours = apply(data, build(preset, detect(data), parameters))
    theirs = apply(other, build(preset, detect(other), parameters))
    for items in (ours, theirs):
        for _, item in items.facts:
            item.pop("attributes", None)
    assert theirs.facts == ours.facts
    assert (theirs.refusals, theirs.filters) == (ours.refusals, ours.filters)


def test_zoho_contacts():
    result = found("zoho_contacts.csv")
    people = by_id(result.items("customers"))
    prefix = "5550000000000201"
    assert sorted(people) == [f"{prefix}{n:03}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 10)]
    assert result.filters == [(9, "test_record")]
    assert result.warnings == [(5, "Date of Birth", "not_a_time")]
    assert "birth_date" not in people[f"{prefix}005"]
    assert people[f"{prefix}001"]["birth_date"] == "1979-06-30"
    assert people[f"{prefix}001"]["phone"] == "+47 915 55 011"
    assert people[f"{prefix}001"]["parent_customer_id"] == "5550000000000301001"
    assert people[f"{prefix}003"]["name"] == "Puyol"
    assert people[f"{prefix}003"]["email"] == "Puyol@PUYOL.example"
    assert "acquisition_channel" not in people[f"{prefix}003"]
    assert '"la jefa"' in people[f"{prefix}003"]["attributes"]["Description"]
    assert people[f"{prefix}004"]["name"] == "顾澜"
    assert people[f"{prefix}005"]["owner"] == "Ines Quarto (inactive)"
    assert "email" not in people[f"{prefix}007"]
    assert people[f"{prefix}008"]["attributes"]["Email Opt Out"] == "true"
    assert people[f"{prefix}010"]["name"] == "José-María de la Fuente y Álvarez"
    assert people[f"{prefix}001"]["first_contact_at"] == "2024-01-09T07:31:12Z"
    assert "valid_from" not in people[f"{prefix}001"]


def test_profiles_hold_from_when_they_were_modified_where_that_is_said():
    people = found("zoho_contacts.csv", profiles_hold_from="modified").items("customers")
    assert people[0]["valid_from"] == "2025-02-11T16:02:40Z"


def test_zoho_accounts():
    result = found("zoho_accounts.csv")
    firms = result.items("customers")
    assert len(firms) == 8
    assert {firm["kind"] for firm in firms} == {"company"}
    assert firms[1]["attributes"]["Employees"] == 1150
    assert firms[1]["attributes"]["Annual Revenue"] == 120_000_000
    assert "Employees" not in firms[2].get("attributes", {})
    assert firms[6]["parent_customer_id"] == firms[4]["customer_id"]
    assert "name" not in firms[7]
    assert "industry" not in firms[5]
    assert [firm.get("country") for firm in firms[:4]] == ["Norway", "USA", "España", "中国"]


def test_zoho_deals():
    result = found("zoho_deals.csv", home_currency="EUR", exchange_rate_is="for_one_home")
    deals = plain("zoho_deals.csv")
    won = [deal for deal in deals if deal["Stage"] == "Closed Won" and deal["Amount"]]
    won = [deal for deal in won if deal["Account Name.id"] or deal["Contact Name.id"]]
    amounts = [Decimal(deal["Amount"].replace(",", "").strip("$ ")) for deal in won]
    assert total(result.sales()) == sum(amount for amount in amounts if amount > 0)
    assert total(result.sales("refund")) == -sum(amount for amount in amounts if amount < 0) == 750
    assert result.refusals == [(6, "blank"), (8, "blank")]
    assert result.filters == [(4, "not_won"), (7, "not_won"), (10, "not_won")]
    days = [item["occurred_at"][:10] for item in result.sales()]
    assert days == [
        datetime.strptime(deal["Closing Date"] + "Z", "%b %d, %Y%z").date().isoformat()
        for deal, amount in zip(won, amounts, strict=True)
        if amount > 0
    ]
    third = by_id(result.sales(), "transaction_id")["5550000000000400003"]
    assert third["amount"] == {"amount": "86400.00", "currency": "USD"}
    assert third["exchange_rate"] == "0.9259259259"
    second = by_id(result.sales(), "transaction_id")["5550000000000400002"]
    midnight = datetime(2025, 3, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert second["revision"] == midnight.timestamp()
    assert "exchange_rate" not in second


def test_the_direction_of_a_rate_is_not_guessed():
    assert not any("exchange_rate" in deal for deal in found("zoho_deals.csv").sales())
    theirs = found("zoho_deals.csv", home_currency="NOK", exchange_rate_is="home_for_one")
    assert not any("exchange_rate" in deal for deal in theirs.sales())


def test_fxiaoke_accounts():
    result = found("fxiaoke_accountobj.json")
    firms = by_id(result.items("customers"))
    rows = plain("fxiaoke_accountobj.json")
    assert list(firms) == [rows[n - 1]["_id"] for n in (1, 2, 3, 4, 5, 6, 8)]
    assert result.filters == [(7, "deleted"), (9, "not_in_force")]
    firm = [firms.get(row["_id"]) for row in rows]
    assert firm[0]["owner"] == "陆知夏"
    assert (firm[0]["country"], firm[0]["region"], firm[0]["city"]) == ("中国", "江苏省", "苏州市")
    assert (firm[0]["industry"], firm[0]["acquisition_channel"]) == ("制造业", "展会")
    assert firm[0]["attributes"]["field_Tags1__c__r"] == "冷链,出口"
    assert firm[1]["parent_customer_id"] == rows[0]["_id"]
    assert firm[1]["industry"] == "11"
    assert firm[2]["acquisition_channel"] == "老客户李总介绍"
    assert firm[2]["phone"] == "+86 21 5555 0102;021-55550103"
    assert [each and each["kind"] for each in firm[4:6]] == ["company", "person"]
    assert "owner" not in firm[7]
    assert firm[7]["attributes"]["high_seas_name"] == "华东公海"


def test_fxiaoke_contacts():
    result = found("fxiaoke_contactobj.json")
    people = result.items("customers")
    assert len(people) == 6
    assert result.filters == [(7, "deleted"), (8, "not_in_force")]
    assert people[0]["birth_date"] == "1984-06-30"
    assert people[4]["birth_date"] == "1979-06-30"
    assert (people[0]["gender"], people[0]["occupation"]) == ("女", "采购总监")
    assert people[2]["phone"] == "+86 19900000003"
    assert "parent_customer_id" not in people[5]


def test_fxiaoke_orders():
    result = found("fxiaoke_salesorderobj.json", currency="CNY")
    assert result.filters == [(6, "deleted"), (7, "not_in_force"), (9, "test_record")]
    sales = result.sales()
    assert len(sales) == 8
    rows = {int(row["_id"][-4:]): row for row in plain("fxiaoke_salesorderobj.json")[:10]}
    for item in sales:
        row = rows[int(item["transaction_id"][-4:])]
        if item["revision"] != 11:
            assert Decimal(item["amount"]["amount"]) == Decimal(
                row["order_amount"].replace(",", "")
            )
    twice = [item for item in sales if item["transaction_id"].endswith("d0002")]
    assert [item["revision"] for item in twice] == [12, 11]
    assert [item["amount"]["amount"] for item in twice] == ["128000.00", "120000.00"]
    foreign = next(item for item in sales if item["amount"]["currency"] == "EUR")
    assert foreign["exchange_rate"] == "7.75"
    assert result.warnings == [(4, "refund_amount", "undated_refund")]
    day = datetime.fromisoformat(sales[0]["occurred_at"]).astimezone(ZoneInfo("Asia/Shanghai"))
    assert (day.date(), day.hour) == (date(2025, 3, 1), 0)
    dated = found("fxiaoke_salesorderobj.json", undated_refunds="at_order").sales("refund")
    assert [(each["amount"]["amount"], each["refunds"]) for each in dated] == [
        ("5000.00", {"transaction_id": sales[3]["transaction_id"]})
    ]


@pytest.mark.parametrize("name", ["fxiaoke_contactobj.json", "fxiaoke_salesorderobj.json"])
def test_a_csv_with_the_names_of_fields_is_read_as_the_answer_is(name):
    records = plain(name)
    columns = dict.fromkeys(key for record in records for key in record)
    out = io.StringIO()
    writer = csv.DictWriter(out, [key for key in columns if key != "owner__r"] + ["owner__r"])
    writer.writeheader()
    for record in records:
        owner = record["owner__r"]["name"]
        writer.writerow({**record, "is_deleted": str(record["is_deleted"]), "owner__r": owner})
    preset, parameters = GIVEN[name]
    data = out.getvalue().encode("gb18030")
    theirs = apply(data, build(preset, detect(data), parameters))
    ours = found(name)
    for result in (ours, theirs):
        for _, item in result.facts:
            item.pop("attributes", None)
    assert theirs.facts == ours.facts
    assert (theirs.filters, theirs.warnings) == (ours.filters, ours.warnings)


def test_shopify_orders():
    result = found("shopify_orders.csv", currency="USD")
    rows = [row for row in plain("shopify_orders.csv") if row["Id"] and row["Email"]]
    paid = [row for row in rows if row["Financial Status"] not in ("voided", "pending")]
    sums = Counter()
    for row in paid:
        sums[row["Currency"]] += Decimal(row["Total"].replace(",", ""))
    assert {each: total(result.sales(), each) for each in sums} == sums
    given_back = sum(Decimal(row["Refunded Amount"]) for row in paid)
    assert total(result.sales("refund")) == given_back == 60
    assert {each["refunds"]["transaction_id"] for each in result.sales("refund")} == {
        "5001002", "5001003",
    }  # fmt: skip
    assert result.filters == [(5, "voided"), (6, "not_paid")]
    assert result.refusals == [(7, "blank")]
    assert {item["customer_id"] for item in result.sales()} == {
        "ann@example.com", "bob@example.com", "dee@example.com", "eve@example.com",
    }  # fmt: skip
    first = result.sales()[0]
    assert [(line["product_id"], line["quantity"], line["unit_price"]["amount"])
            for line in first["items"]] == [
        ("SKUTee", 2.0, "9.99"), ("SKUMug", 1.0, "10.00"),
    ]  # fmt: skip
    assert result.items("customers")[0]["phone"] == "+1 555 0100"
    at = [datetime.fromisoformat(row["Paid at"].replace(" +", "+").replace(" -", "-"))
          for row in paid]  # fmt: skip
    assert [item["occurred_at"] for item in result.sales()] == [
        each.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for each in at
    ]
    left = found("shopify_orders.csv", undated_refunds="leave_out")
    assert left.sales("refund") == []
    assert [row for row, _, code in left.warnings if code == "undated_refund"] == [3, 4]


def test_woocommerce_orders():
    result = found("woocommerce_orders.csv")
    rows = plain("woocommerce_orders.csv")
    kept = [row for row in rows if row["status"] in ("completed", "processing", "refunded")]
    kept = [row for row in kept if row["customer_note"] != "test order"]
    for currency in ("EUR", "JPY", "USD"):
        expected = sum(Decimal(row["order_total"]) for row in kept
                       if row["order_currency"] == currency)  # fmt: skip
        assert total(result.sales(), currency) == expected
    assert result.filters == [(6, "not_paid"), (7, "not_paid"), (8, "not_paid"), (9, "test_record")]
    assert [(each["transaction_id"], each["amount"]["amount"], each["occurred_at"])
            for each in result.sales("refund")] == [
        ("7003:r1", "120.00", "2025-02-09T14:30:00Z"),
        ("7004:r1", "30.00", "2025-02-20T09:00:00Z"),
    ]  # fmt: skip
    sales = result.sales()
    assert [sale["customer_id"] for sale in sales[:2]] == ["user:12", "nadia.fenn@mail.example"]
    assert result.items("customers")[0]["phone"] == "+49 30 5550 0101"
    assert result.items("customers")[4]["name"] == "森遥"
    firm = next(each for each in result.items("customers") if each["customer_id"] == "user:31")
    assert (firm["kind"], firm["name"]) == ("company", "Norrbrook Dental Group")
    trade = by_id(sales, "transaction_id")["7010"]
    assert trade["items"] == [
        {
            "product_id": "TRADE-12",
            "quantity": 12.0,
            "unit_price": {"amount": "108.25", "currency": "USD"},
        }
    ]
    assert [sale for sale in sales if sale["transaction_id"] == "7010"] == [trade, trade]
    assert by_id(sales, "transaction_id")["7011"]["amount"]["amount"] == "0.00"
    assert sales[1]["items"][0]["product_id"] == "503"


def test_several_refunds_of_one_order_have_ids_of_their_own():
    lines = (SAMPLES / "woocommerce_orders.csv").read_text().splitlines(keepends=True)
    cell = "amount:10.00|reason:a; b|date:2025-02-20 10:00:00;amount:20.00|reason:c"
    text = lines[0] + lines[4].replace(
        "amount:30.00|reason:one missing|date:2025-02-20 10:00:00", cell
    )
    data = text.encode()
    result = apply(data, build("woocommerce_orders", detect(data), ZONED))
    assert [(each["transaction_id"], each["amount"]["amount"], each["occurred_at"])
            for each in result.sales("refund")] == [
        ("7004:r1", "10.00", "2025-02-20T09:00:00Z"), ("7004:r2", "20.00", "2025-02-14T10:11:11Z"),
    ]  # fmt: skip


def test_stripe_charges_take_no_refund_that_the_file_of_refunds_has():
    result = found("stripe_charges.csv", currency="USD")
    rows = plain("stripe_charges.csv")
    kept = [row for row in rows if row["Status"] in ("Paid", "Refunded") and row["Mode"] == "Live"]
    for currency in ("usd", "eur", "jpy"):
        expected = sum(Decimal(row["Amount"].replace(",", "")) for row in kept
                       if row["Currency"] == currency)  # fmt: skip
        assert total(result.sales(), currency.upper()) == expected
    assert result.filters == [(6, "not_paid"), (8, "test_mode"), (9, "not_paid")]
    assert result.sales("refund") == []
    assert [row for row, _, code in result.warnings if code == "refund_elsewhere"] == [3, 4]
    third, fifth = (result.sales()[n] for n in (2, 4))
    assert third["exchange_rate"] == "1.08"
    assert fifth["customer_id"] == "h.mori@mail.example"
    assert fifth["amount"] == {"amount": "4500", "currency": "JPY"}
    assert result.sales()[0]["occurred_at"] == "2025-01-31T23:59:30Z"
    other = found("stripe_charges.csv", currency="EUR")
    assert not any("exchange_rate" in each for each in other.sales())


def test_stripe_charges_may_be_where_refunds_are_taken_from():
    result = found("stripe_charges.csv", currency="USD", refunds_from="charges")
    assert [(each["amount"]["amount"], each["exchange_rate"], each["occurred_at"])
            for each in result.sales("refund")] == [
        ("120.00", "1.09", "2025-03-09T15:30:00Z"), ("30.00", "1.085", "2025-03-20T10:00:00Z"),
    ]  # fmt: skip
    assert not result.warnings


def test_stripe_refunds():
    result = found("stripe_refunds.csv")
    assert result.filters == [(4, "pending"), (5, "failed"), (7, "canceled")]
    assert [(each["transaction_id"][-4:], each["amount"]["amount"], each["amount"]["currency"])
            for each in result.sales("refund")] == [
        ("0001", "120.00", "EUR"), ("0002", "20.00", "EUR"), ("0003", "10.00", "EUR"),
        ("0006", "99.00", "USD"), ("0008", "25.00", "USD"), ("0009", "0.001", "KWD"),
    ]  # fmt: skip
    assert all("customer_id" not in each for each in result.sales("refund"))
    assert result.sales("refund")[4]["refunds"] == {"transaction_id": "ch_3SAMPLE7777"}
    assert result.sales("refund")[0]["occurred_at"] == "2025-03-09T15:30:00Z"
    taken = found("stripe_refunds.csv", pending="take").sales("refund")
    assert {"amount": "500", "currency": "JPY"} in [each["amount"] for each in taken]


def test_stripe_balance_undoes_what_failed_by_a_later_revision():
    result = found("stripe_balance_itemized.csv", currency="USD")
    assert [row for row, _ in result.filters] == [4, 7]
    assert total(result.sales(), "USD") == 49
    assert total(result.sales(), "EUR") == 120
    refunds = [(each["transaction_id"], each["amount"]["amount"]) for each in
               result.sales("refund")]  # fmt: skip
    assert refunds == [
        ("re_3SAMPLE0001", "120.00"), ("du_SAMPLE01", "75.00"), ("du_SAMPLE01", "0"),
        ("re_3SAMPLE0005", "0"),
    ]  # fmt: skip
    dispute = [each for each in result.sales("refund") if each["transaction_id"] == "du_SAMPLE01"]
    assert dispute[0]["revision"] < dispute[1]["revision"] <= 2_147_483_647
    assert result.sales("refund")[0]["exchange_rate"] == "1.09"


def test_hubspot_contacts():
    result = found("hubspot_contacts.csv")
    people = by_id(result.items("customers"))
    assert list(people) == [f"contact:90000{n}00001" for n in (1, 2, 3, 4, 5, 6, 7, 9)]
    assert result.filters == [(8, "test_record")]
    assert result.warnings == [(6, "Date of birth", "not_a_time")]
    person = {key.removeprefix("contact:90000")[0]: each for key, each in people.items()}
    assert person["1"]["parent_customer_id"] == "company:80000001"
    assert person["2"]["owner"] == "Tomas Orlin (Deactivated)"
    assert "name" not in person["3"]
    assert person["4"]["name"] == "顾澜"
    assert person["6"]["first_contact_at"] == "2024-03-31T01:30:00Z"
    assert person["7"]["first_contact_at"] == "2024-10-27T00:30:00Z"
    assert person["1"]["attributes"]["Product interest"] == "Sensors;Loggers"


def test_hubspot_deals():
    now = datetime(2026, 11, 26, tzinfo=UTC)
    result = found("hubspot_deals.csv", currency="USD", now=now)
    assert result.filters == [(3, "not_won"), (4, "not_won"), (10, "not_won")]
    assert result.refusals == [(6, "blank"), (7, "blank"), (9, "in_future")]
    sales = by_id(result.sales(), "transaction_id")
    assert list(sales) == [f"deal:7000000{n}" for n in (1, 2, 5, 8)]
    assert sales["deal:70000001"]["customer_id"] == "company:80000001"
    assert sales["deal:70000005"]["customer_id"] == "contact:90000400001"
    assert sales["deal:70000005"]["exchange_rate"] == "0.138"
    assert sales["deal:70000001"]["exchange_rate"] == "1.08"
    assert sales["deal:70000002"]["occurred_at"] == "2025-03-27T23:00:00Z"
    assert total(result.sales(), "EUR") == Decimal("63500.00")


def test_salesforce_opportunities():
    result = found("salesforce_opportunities.csv")
    assert result.filters == [(4, "deleted"), (8, "not_won"), (10, "test_record")]
    assert result.refusals == [(6, "blank"), (7, "blank")]
    assert total(result.sales(), "EUR") == Decimal("60500.5")
    assert total(result.sales(), "USD") == 86_400
    assert total(result.sales("refund"), "GBP") == 750
    assert [each["transaction_id"] for each in result.sales()[:2]] == [
        "006SMPL00000aBcYDI", "006SMPL00000abCYDQ",
    ]  # fmt: skip
    assert [each["occurred_at"] for each in result.sales()[:2]] == [
        "2024-03-28T11:00:00Z", "2025-03-28T11:00:00Z",
    ]  # fmt: skip
    kept = found("salesforce_opportunities.csv", test_words=[]).sales()
    assert kept[-1]["revision"] == datetime(2024, 1, 1, tzinfo=UTC).timestamp()


def test_ids_of_salesforce_are_lengthened_by_their_capitals():
    text = (SAMPLES / "salesforce_opportunities.csv").read_text().replace("aBcYDI", "aBc")
    data = text.encode()
    sales = apply(data, build("salesforce_opportunities", detect(data), ZONED)).sales()
    assert sales[0]["transaction_id"].startswith("006SMPL00000aBc")
    assert len(sales[0]["transaction_id"]) == 18


def test_retail_lines():
    result = found("retail_lines.csv", currency="GBP")
    sums, days = Counter(), {}
    for row in plain("retail_lines.csv"):
        if row["InvoiceNo"] != "InvoiceNo" and row["CustomerID"]:
            sums[row["InvoiceNo"]] += Decimal(row["Quantity"]) * Decimal(row["UnitPrice"])
            days[row["InvoiceNo"]] = row["InvoiceDate"].replace(" ", "T") + "Z"
    bought = {key: each for key, each in sums.items() if each >= 0}
    assert {each["transaction_id"]: Decimal(each["amount"]["amount"])
            for each in result.sales()} == bought  # fmt: skip
    assert {each["transaction_id"]: -Decimal(each["amount"]["amount"])
            for each in result.sales("refund")} == {
        key: each for key, each in sums.items() if each < 0
    }  # fmt: skip
    assert all(days[each["transaction_id"]] == each["occurred_at"] for each in result.sales())
    assert result.filters == [(6, "no_customer"), (7, "repeated_header"), (11, "no_customer")]
    assert {each["customer_id"] for each in result.sales()} == {"17850", "13047", "17548"}
    assert result.warnings == [(4, "items", "negative")]


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ("Opportunity Owner,Account Name,Opportunity Name,Stage,Close Date,Amount", "Salesforce"),
        ("Date,Order #,N. Revenue (formatted),Status,Customer,Product(s),Items sold", "Analytics"),
        ("Deal Id,Deal Name,Amount,Stage,Sub-Pipeline,Closing Date,Account Name.id", "Bigin"),
        ("Contact Id,Last Name,Contact Name,Company Name.id", "Bigin"),
    ],
)
def test_layouts_that_look_alike_are_refused_with_a_hint(columns, word):
    data = (columns + "\n" + ",".join("x" * (columns.count(",") + 1)) + "\n").encode()
    answers = {**ZONED, "won_stages": ["x"]}
    for preset in ("salesforce_opportunities", "woocommerce_orders", "zoho_deals"):
        with pytest.raises(UnreadableFile) as error:
            build(preset, detect(data), answers if preset == "zoho_deals" else ZONED)
        assert error.value.code == "report_export"
        assert word in error.value.detail
        assert error.value.hint


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_says_what_it_must_be_told_and_refuses_what_is_no_answer(name):
    data = b"nothing,known\n1,2\n"
    wrong = {"unheard_of": 1, "decimal_sign": ";"}
    with pytest.raises(InvalidMapping) as error:
        build(name, detect(data), wrong)
    told = {fault.pointer: fault.code for fault in error.value.faults}
    assert told["/parameters/unheard_of"] == "unknown_parameter"
    assert told["/parameters/decimal_sign"] == "invalid"
    for parameter in PRESETS[name].parameters:
        if parameter.required:
            assert told[f"/parameters/{parameter.name}"] == "missing"


def test_accounts_and_contacts_of_salesforce():
    data = (
        b"Id,IsDeleted,Name,ParentId,BillingCountry,Industry,IsPersonAccount,PersonBirthdate,Site\n"
        b"001SMPL00000001YDA,false,Halvorsen AS,,Norway,Logistics,false,,HQ\n"
        b"001SMPL00000002YDA,false,Ann Lee,001SMPL00000001YDA,,,true,1980-02-30,\n"
        b"001SMPL00000003YDA,true,Gone,,,,false,,\n"
    )
    result = apply(data, build("salesforce_accounts", detect(data), ZONED))
    firm, person = result.items("customers")
    assert (firm["kind"], firm["country"], firm["attributes"]) == (
        "company", "Norway", {"Site": "HQ"},
    )  # fmt: skip
    assert (person["kind"], person["parent_customer_id"]) == ("person", firm["customer_id"])
    assert result.warnings == [(2, "PersonBirthdate", "not_a_time")]
    assert result.filters == [(3, "deleted")]
    data = (
        b"Id,AccountId,FirstName,LastName,Email,MobilePhone,Phone,Birthdate,MailingCountry\n"
        b"003SMPL00000001YDA,001SMPL00000001YDA,Sigrun,Halvorsen,s@h.example,,+47 1,1979-06-30,NO\n"
    )
    assert recognise(detect(data))[0][0].name == "salesforce_contacts"
    (person,) = apply(data, build("salesforce_contacts", detect(data), ZONED)).items("customers")
    assert (person["name"], person["phone"], person["birth_date"]) == (
        "Sigrun Halvorsen", "+47 1", "1979-06-30",
    )  # fmt: skip
    assert person["parent_customer_id"] == "001SMPL00000001YDA"


def test_the_page_of_mappings_names_every_preset_and_what_it_must_be_told():
    page = (Path(__file__).parents[2] / "docs/mappings.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    for name, preset in PRESETS.items():
        (line,) = (line for line in lines if f"`{name}`" in line.split("|")[1])
        for parameter in preset.parameters:
            if parameter.required and parameter.default is None:
                assert f"`{parameter.name}`" in line, name


def test_the_example_of_the_page_of_mappings_is_one():
    page = (Path(__file__).parents[2] / "docs/mappings.md").read_text(encoding="utf-8")
    document = parse(json.loads(page.split("```json")[1].split("```")[0]))
    text = "Kundennr;Kunde;Datum;Betrag;Ort\n7;Lee;31.12.2024 10:00;1.250,50;Ulm\n8;Test;;;\n"
    result = apply(text.encode("latin-1"), document)
    (item,) = result.sales()
    assert (item["customer_id"], item["amount"], item["attributes"]) == (
        "shop:7", {"amount": "1250.50", "currency": "EUR"}, {"Ort": "Ulm"},
    )  # fmt: skip
    assert result.filters == [(2, "test")]
