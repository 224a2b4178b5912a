"""Exports of orders: Shopify and WooCommerce."""

from collections.abc import Mapping
from typing import Any, Final

from app.mappings.presets.header import (
    Header,
    Said,
    among,
    constant,
    either,
    filters,
    first_of,
    known,
    none_of,
    starts,
)
from app.mappings.presets.preset import (
    DECIMAL,
    UNDATED,
    Parameter,
    Preset,
    source,
    tests,
    zone,
)

_LOWER: Final = {"read_as": "lower"}


def shopify_orders(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of Shopify's orders: an order is as many rows as it has lines."""
    customer = header.value("Email", **_LOWER)
    order = header.value("Id", "Name")
    at = header.value("Paid at", "Created at")
    profile = known(
        customer_id=customer,
        name=header.value("Billing Name", "Shipping Name"),
        email=header.value("Email"),
        phone=header.value("Billing Phone", "Phone", "Shipping Phone"),
        country=header.value("Billing Country", "Shipping Country"),
        region=header.value("Billing Province", "Shipping Province"),
        city=header.value("Billing City", "Shipping City"),
    )
    purchase = known(
        customer_id=customer,
        transaction_id=order,
        occurred_at=at,
        amount=header.value("Total"),
        currency=header.value("Currency"),
        channel=header.value("Source"),
    )
    lines = known(
        product_id=header.value("Lineitem sku", "Lineitem name"),
        quantity=header.value("Lineitem quantity", read_as="number"),
        unit_price=header.value("Lineitem price"),
    )
    attributes = known(order_name=header.value("Name"), discount_code=header.value("Discount Code"))
    rules: list[Said] = [
        {"fact": "customers", "fields": profile},
        {
            "fact": "transactions",
            "fields": purchase,
            "lines": {"each": {"rows": True}, "fields": lines} if len(lines) == 3 else None,
            "attributes": attributes,
        },
    ]
    notices: list[Said] = []
    column = header.find("Refunded Amount")
    if column is not None:
        given_back = {"column": column, "sign": "positive"}
        if answers["undated_refunds"] == "at_order":
            refund = {
                **{name: purchase[name] for name in purchase if name != "channel"},
                "kind": constant("refund"),
                "transaction_id": {**(order or {}), "prefix": "refund:"},
                "refunds_transaction_id": order,
                "amount": {"column": column},
            }
            rules.append({"fact": "transactions", "when": given_back, "fields": refund})
        else:
            text = "its refund has no date, and is left out: the purchase stays gross"
            notices.append({"code": "undated_refund", "when": given_back, "text": text})
    status = header.find("Financial Status")
    left = filters(
        ("voided", among(status, ["voided"])),
        ("not_paid", none_of(status, answers["paid_statuses"])),
        ("test_record", starts(header.find("Lineitem name"), answers["test_words"])),
    )
    return {
        "name": "Orders of Shopify",
        "source": answers["source"],
        "amounts": {"decimal": answers["decimal_sign"]},
        "group": {"by": [header.find("Name")]},
        "filters": [{**each, "orders": True} for each in left],
        "notices": notices,
        "facts": rules,
    }


def woocommerce_orders(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of WebToffee's export of orders; refunds stand in a cell of the order."""
    customer = first_of(
        header.value("customer_id", "customer_user", blanks=["0"], prefix="user:"),
        header.value("billing_email", "customer_email", **_LOWER),
    )
    at = header.value("paid_date", "order_date")
    company = header.value("billing_company", translate={"*": "company"}, default="person")
    profile = known(
        customer_id=customer,
        kind=company,
        name=first_of(
            header.value("billing_company"),
            header.join("billing_first_name", "billing_last_name", read_as="person_name"),
        ),
        email=header.value("billing_email", "customer_email"),
        phone=header.value("billing_phone"),
        city=header.value("billing_city"),
        region=header.value("billing_state"),
        country=header.value("billing_country"),
    )
    money = known(currency=header.value("order_currency"))
    purchase = known(
        customer_id=customer,
        transaction_id=header.value("order_id"),
        occurred_at=at,
        amount=header.value("order_total"),
        **money,
    )
    attributes = known(
        order_number=header.value("order_number"), payment_method=header.value("payment_method")
    )
    rules: list[Said] = [
        {"fact": "customers", "fields": profile},
        {
            "fact": "transactions",
            "fields": purchase,
            "lines": _woo_lines(header),
            "attributes": attributes,
        },
    ]
    if header.has("refund_items"):
        rules.append(_woo_refunds(header, answers, customer, money))
    left = filters(
        ("not_paid", none_of(header.find("status"), answers["paid_statuses"])),
        ("test_record", either(starts(header.find("customer_note"), answers["test_words"]))),
    )
    return {
        "name": "Orders of WooCommerce",
        "source": answers["source"],
        "times": {"zone": answers["time_zone"]},
        "amounts": {"decimal": answers["decimal_sign"]},
        "filters": left,
        "facts": rules,
    }


def _woo_lines(header: Header) -> Said | None:
    if not any(name.casefold().startswith("line_item_") for name in header.detected.columns):
        return None
    return {
        "each": {"columns": ["line_item_*"], "pairs": "|"},
        "fields": {
            "product_id": {"columns": ["@sku", "@product_id", "@name"]},
            "quantity": {"column": "@quantity"},
            "total": {"column": "@total"},
        },
    }


def _woo_refunds(
    header: Header, answers: Mapping[str, Any], customer: Said | None, money: Said
) -> Said:
    order = header.find("order_id") or ""
    return {
        "fact": "transactions",
        "each": {
            "columns": [header.find("refund_items")],
            "split": answers["refund_separator"],
            "pairs": "|",
        },
        "fields": known(
            customer_id=customer,
            kind=constant("refund"),
            transaction_id={"join": [order, "@number"], "separator": ":r"},
            refunds_transaction_id={"column": order},
            occurred_at={"columns": ["@date", *header.all("paid_date", "order_date")]},
            amount={"column": "@amount", "absolute": True},
            **money,
        ),
    }


PRESETS: Final = (
    Preset(
        "shopify_orders",
        "Orders of Shopify, CSV",
        ("customers", "transactions"),
        (("Name",), ("Email",), ("Financial Status",), ("Total",), ("Created at", "Paid at")),
        shopify_orders,
        (
            source("shopify"),
            DECIMAL,
            tests(),
            Parameter(
                "undated_refunds",
                UNDATED.type,
                UNDATED.question,
                default="at_order",
                choices=UNDATED.choices,
            ),
            Parameter(
                "paid_statuses",
                "list",
                "Which financial statuses mean that an order is a sale?",
                default=("paid", "partially_paid", "partially_refunded", "refunded"),
                column="Financial Status",
            ),
        ),
        ("Lineitem name", "Lineitem price", "Fulfillment Status", "Billing Name", "Subtotal"),
        "refunds have no date of their own",
    ),
    Preset(
        "woocommerce_orders",
        "Orders of WooCommerce, CSV of WebToffee's export",
        ("customers", "transactions"),
        (
            ("order_id",),
            ("status",),
            ("order_total",),
            ("paid_date", "order_date"),
            ("billing_email", "customer_email"),
        ),
        woocommerce_orders,
        (
            zone(),
            source("woocommerce"),
            DECIMAL,
            tests("test order"),
            Parameter(
                "paid_statuses",
                "list",
                "Which statuses mean that an order is a sale?",
                default=("completed", "processing", "refunded", "wc-completed", "wc-processing",
                         "wc-refunded"),
                column="status",
            ),
            Parameter(
                "refund_separator", "text", "What parts several refunds in one cell?", default=";"
            ),
        ),
        ("order_number", "order_currency", "customer_user", "refund_items", "line_item_1"),
        "how several refunds stand in one cell",
    ),
)  # fmt: skip
