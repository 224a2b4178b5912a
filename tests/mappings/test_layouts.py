"""Layouts without a preset: proposed, and held against plain reading of the file."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from app.mappings.applying import Mapper, outcomes
from app.mappings.compiling import Context, compile_mapping
from app.mappings.detection import detect
from app.mappings.document import FileForm
from app.mappings.faults import UnreadableFile
from app.mappings.proposing import propose_for
from app.mappings.reading import read
from tests.mappings.files import Result, pieces

LAYOUTS = Path(__file__).with_name("layouts")
PLAIN, SPREADSHEET = "%Y-%m-%d %H:%M:%S", "days"
Row = dict[str, str]


class Layout(NamedTuple):
    """How a file is read by hand, and what has to be said of it."""

    customer: str
    order: str
    at: str
    amount: str
    refund: str = ""
    form: str = PLAIN
    zone: str = "Asia/Shanghai"
    encoding: str = "utf-8-sig"
    delimiter: str = ","
    titles: int = 0
    is_sale: Callable[[Row], bool] = bool
    asked: Mapping[str, Any] = MappingProxyType({})
    """What somebody has to say."""
    sum_of_lines: bool = False
    preset: str = "orders"
    decimal: str = "."


def kept(column: str, *texts: str) -> dict[str, Any]:
    return {
        "is_sale": lambda row: row[column] in texts,
        "asked": {"kept_statuses": list(texts)},
    }


KNOWN = {
    "taobao.csv": Layout(
        "买家会员名", "订单编号", "订单付款时间", "买家实际支付金额", "退款金额",
        encoding="gb18030", **kept("订单状态", "交易成功", "卖家已发货，等待买家确认"),
    ),
    "jd.csv": Layout(
        "下单帐号", "订单号", "付款确认时间", "应付金额", preset="order_lines",
        is_sale=lambda row: row["订单状态"] == "完成",
        asked={"kept_statuses": ["完成"], "amount_is": "of_the_order"},
    ),
    "youzan.csv": Layout(
        "买家手机号", "订单号", "付款时间", "订单实付金额", "订单已退款金额",
        is_sale=lambda row: row["付款时间"] != "",
        asked={"kept_statuses": ["交易完成", "交易关闭"]},
    ),
    "weimob.csv": Layout(
        "会员ID", "订单编号", "支付时间", "实付金额", "退款金额", encoding="gb18030", titles=3,
        is_sale=lambda row: row["订单编号"] != "合计", sum_of_lines=True, preset="order_lines",
    ),
    "pinduoduo.csv": Layout(
        "手机", "订单号", "支付时间", "用户实付金额(元)",
        **kept("订单状态", "已收货", "已发货，退款成功"),
    ),
    "woo_advanced.csv": Layout(
        "Email (Billing)", "Order Number", "Order Date", "Order Total Amount",
        "Order Refund Amount", "%Y-%m-%d %H:%M", "Europe/Berlin", preset="order_lines",
        is_sale=lambda row: row["Order Status"] == "Completed",
        asked={"kept_statuses": ["Completed"], "amount_is": "of_the_order",
               "refund_is": "of_the_order"},
    ),
    "magento.csv": Layout(
        "Customer Email", "ID", "Purchase Date", "Grand Total (Purchased)", "Total Refunded",
        "%b %d, %Y %I:%M:%S %p", "America/New_York",
        is_sale=lambda row: row["Status"] != "Canceled",
        asked={"kept_statuses": ["Complete", "Closed"], "currency": "USD"},
    ),
    "square.csv": Layout(
        "Customer ID", "Transaction ID", "Date", "Total Collected", form="%m/%d/%y",
        zone="America/New_York", asked={"currency": "USD"},
    ),
    "amazon.txt": Layout(
        "buyer-email", "order-id", "purchase-date", "item-price", form="%Y-%m-%dT%H:%M:%S%z",
        zone="America/Los_Angeles", delimiter="\t", sum_of_lines=True, preset="order_lines",
    ),
    "odoo.csv": Layout(
        "Customer", "Order Reference", "Order Date", "Total", zone="UTC",
        **kept("Status", "Sales Order"),
    ),
    "sap.csv": Layout(
        "Auftraggeber", "Verkaufsbeleg", "Belegdatum", "Nettowert", "Erstattet", "%d.%m.%Y",
        "Europe/Berlin", "cp1252", ";", 2, is_sale=lambda row: row["Verkaufsbeleg"] != "Summe",
        decimal=",",
    ),
    "excel_unicode.txt": Layout(
        "会员编号", "单号", "日期", "金额", form=SPREADSHEET, encoding="utf-16", delimiter="\t",
        is_sale=lambda row: row["会员编号"] != "总计",
    ),
}  # fmt: skip


def number(text: str, decimal: str) -> Decimal:
    sign = -1 if "-" in text else 1
    text = "".join(each for each in text if each.isdigit() or each == decimal)
    return sign * Decimal(text.replace(decimal, "."))


def instant(text: str, layout: Layout) -> datetime:
    text = text.strip()
    if layout.form == SPREADSHEET:
        at = datetime(1899, 12, 30) + timedelta(days=float(text))  # noqa: DTZ001
    else:
        at = datetime.strptime(text, layout.form)  # noqa: DTZ007
    return at if at.tzinfo else at.replace(tzinfo=ZoneInfo(layout.zone))


class Counted:
    """What a file amounts to: money and days by customer."""

    def __init__(self) -> None:
        self.bought, self.back = Counter[str](), Counter[str]()
        self.days: set[tuple[str, str]] = set()

    def add(self, customer: str, at: datetime, amount: Decimal, zone: str, kind: str) -> None:
        (self.back if kind == "refund" else self.bought)[customer] += amount  # type: ignore[assignment]
        if kind == "purchase":
            day = at.astimezone(ZoneInfo(zone)).date().isoformat()
            self.days.add((customer, day))

    def told(self) -> tuple[Any, ...]:
        return +self.bought, +self.back, self.days


def by_hand(name: str, layout: Layout) -> Counted:
    """Read a file with nothing of ours."""
    text = (LAYOUTS / name).read_bytes().decode(layout.encoding)
    lines = io.StringIO("".join(text.splitlines(keepends=True)[layout.titles :]), newline="")
    counted, seen = Counted(), set[str]()
    for row in csv.DictReader(lines, delimiter=layout.delimiter):
        if not layout.is_sale(row) or (row[layout.order] in seen and not layout.sum_of_lines):
            continue
        seen.add(row[layout.order])
        at, amount = instant(row[layout.at], layout), number(row[layout.amount], layout.decimal)
        customer = row[layout.customer].strip()
        customer = customer.lower() if "@" in customer else customer
        kind = "refund" if amount < 0 else "purchase"
        counted.add(customer, at, abs(amount), layout.zone, kind)
        back = abs(number(row[layout.refund], layout.decimal)) if layout.refund else Decimal(0)
        if name == "pinduoduo.csv" and row["售后状态"] == "退款成功":
            back = amount
        counted.add(customer, at, back, layout.zone, "refund")
    return counted


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_layout_is_proposed_and_comes_to_what_stands_in_it(name):
    layout, data = KNOWN[name], (LAYOUTS / name).read_bytes()
    here = Context("CNY" if layout.zone == "Asia/Shanghai" else "EUR", zone=layout.zone)
    first, _ = propose_for(data, FileForm(), here)
    assert {each.parameter for each in first.questions if each.required} == set(layout.asked)
    assert first.preset == layout.preset
    said, _ = propose_for(data, FileForm(), here, dict(layout.asked))
    assert said.document is not None
    told = {each.parameter: each.assumed for each in said.questions}
    assert told.get("/file/skip_lines", 0) == layout.titles
    detected = detect(data, said.document.file)
    plan = compile_mapping(said.document, detected, here)
    result = Result(outcomes(Mapper(plan), read(pieces(data), detected)))
    assert result.refusals == []
    counted = Counted()
    for item in result.items("transactions"):
        kind, amount = item.get("kind", "purchase"), Decimal(item["amount"]["amount"])
        at = datetime.fromisoformat(item["occurred_at"]).replace(tzinfo=UTC)
        counted.add(item["customer_id"], at, amount, layout.zone, kind)
    assert counted.told() == by_hand(name, layout).told()
    orders = {item["transaction_id"] for item in result.sales()}
    named = {item["refunds"]["transaction_id"] for item in result.sales("refund")
             if "refunds" in item}  # fmt: skip
    assert named <= orders
    assert bool(named) == bool(layout.refund or name == "pinduoduo.csv")
    assert ("total_line" in {code for _, code in result.filters}) == (
        name in ("weimob.csv", "sap.csv", "excel_unicode.txt")
    )


def test_every_layout_is_tried() -> None:
    assert {path.name for path in LAYOUTS.iterdir()} == {*KNOWN, "README.md"}


def test_a_header_below_a_title_is_refused_until_somebody_says_so() -> None:
    data = (LAYOUTS / "weimob.csv").read_bytes()
    with pytest.raises(UnreadableFile) as error:
        detect(data)
    assert (error.value.code, error.value.title_lines) == ("title_lines", 3)
    assert detect(data, FileForm(skip_lines=3)).columns[:2] == ("订单编号", "下单时间")
    # Of a file that only looks so, somebody may say that it does not.
    plain = b"a,,,\n1,2,3,4\n1,2,3,4\n1,2,3,4\n"
    assert detect(plain, FileForm(skip_lines=0)).columns == (
        "a",
        "column_2",
        "column_3",
        "column_4",
    )
