"""Files of nobody's layout: their columns are told, or known by their names."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from app.mappings.presets.evidence import KINDS, are_kinds
from app.mappings.presets.generic_parts import (
    AMOUNT_IS,
    COMMON,
    CONSTANT,
    CURRENCY,
    NEGATIVE,
    PROFILE,
    ROUND,
    STATUSES,
    TOTALS,
    WITHIN,
    Find,
    customer,
    document,
    finder,
    names,
    no_sales,
    not_paid,
    time,
    totals,
)
from app.mappings.presets.generic_refunds import REFUND_IS, UNDATED, refunds
from app.mappings.presets.generic_refunds import STATUSES as REFUNDED
from app.mappings.presets.header import (
    Header,
    Said,
    among,
    constant,
    either,
    filters,
    known,
)
from app.mappings.presets.names import moment, named
from app.mappings.presets.preset import Preset


def customers(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of customers, one a row."""
    find = finder(header, answers)
    fields = known(
        customer_id=customer(find),
        name=names(header, answers),
        **{name: find(name) for name in PROFILE},
        birth_date=time(header, answers, "birth_date"),
        first_contact_at=time(header, answers, "first_contact_at"),
    )
    rule = {"fact": "customers", "fields": fields, "rest": True}
    words = [word + sign for word in answers["total_words"] for sign in ("", ":", "：")]
    labels = {*header.detected.columns[:1], (find("customer_id") or {"column": ""})["column"]} - {
        ""
    }
    left = filters(("total_line", either(*(among(name, words) for name in sorted(labels)))))
    return document("Customers", answers, filters=left, facts=[rule])


def _kind(header: Header, find: Find) -> Said | None:
    """Return what tells refunds from purchases, where a column has words for nothing else."""
    kind = find("kind")
    if kind is None or not are_kinds(header.values(kind["column"])):
        return None
    return {**kind, "translate": dict(KINDS)}


def orders(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of orders, one a row; without an id they are told apart by their texts."""
    find = finder(header, answers)
    amount = find("amount", round_to=4 if answers["round_amounts"] else None)
    if amount is None and answers["amount"] is not None:
        amount = constant(answers["amount"])
    columns = answers["columns"]
    texts = [named(header, each, columns) for each in ("customer_id", "amount")]
    texts += moment(header, "occurred_at", columns)
    hashed = [name for name in texts if name is not None]
    identity = find("transaction_id", read_as="whole_number_id") or _plain_id(header, texts)
    if identity is None and hashed:
        identity = {"hash_of": hashed, "numbered": True}
    fields = known(
        customer_id=customer(find),
        transaction_id=identity,
        occurred_at=time(header, answers, "occurred_at"),
        kind=_kind(header, find),
        amount=amount,
        currency=find("currency"),
        refunds_transaction_id=find("refunded", read_as="whole_number_id"),
        channel=find("channel"),
    )
    rule = {
        "fact": "transactions",
        "fields": fields,
        "negative": answers["negative"],
        "rest": True,
    }
    left = filters(
        ("total_line", totals(header, find, answers, "occurred_at")),
        ("not_a_sale", no_sales(find, answers)),
        ("not_paid", not_paid(find)),
    )
    given_back, notices = refunds(header, answers, find, fields) if identity else ([], [])
    facts = [rule, *given_back]
    return document("Orders", answers, filters=left, notices=notices, facts=facts)


def _plain_id(header: Header, others: Sequence[str | None]) -> Said | None:
    """Return a column that is called `id` where it is another thing in every row."""
    column = header.find("id") if header.has("id") else None
    if column is None or column in others:
        return None
    place = header.detected.columns.index(column)
    ids = [row[place].strip() for row in header.detected.sample]
    is_one = all(ids) and len(set(ids)) == len(ids)
    return {"column": column, "read_as": "whole_number_id"} if is_one else None


def _sum_of_lines(find: Find, answers: Mapping[str, Any]) -> Said | None:
    """Return the amount of an order by the amounts, or prices and quantities, of its lines."""
    quantity, price, amount = find("quantity"), find("unit_price"), find("amount")
    if answers["amount_is"] == "of_the_order" and amount is not None:
        return amount
    by_price = amount is None or answers["amount_is"] == "price_times_quantity"
    if by_price and quantity is not None and price is not None:
        factors = [quantity["column"], price["column"]]
        return {"product": factors, "across": "sum", "round_to": 4}
    return find("amount", across="sum", round_to=4)


def order_lines(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of lines of orders: the amount of an order is the sum of its lines.

    A line without a customer is left out; an order whose sum is negative is a refund.
    """
    find = finder(header, answers)
    columns = answers["columns"]
    order = named(header, "transaction_id", columns)
    owner = named(header, "customer_id", columns)
    fields = known(
        customer_id=customer(find),
        transaction_id=find("transaction_id", read_as="whole_number_id"),
        occurred_at=time(header, answers, "occurred_at"),
        amount=_sum_of_lines(find, answers),
        currency=find("currency"),
        channel=find("channel"),
    )
    lines = known(
        product_id=find("product_id"),
        category=find("category"),
        quantity=find("quantity"),
        unit_price=find("unit_price"),
        total=None if find("unit_price") or answers["amount_is"] != "of_the_line"
        else find("amount"),
    )  # fmt: skip
    is_whole = {"product_id", "quantity"} <= set(lines) and {"unit_price", "total"} & set(lines)
    rule = {
        "fact": "transactions",
        "fields": fields,
        "negative": answers["negative"],
        "lines": {"each": {"rows": True}, "fields": lines} if is_whole else None,
    }
    no_customer = None if owner is None else {"column": owner, "blank": True}
    left = filters(
        ("total_line", totals(header, find, answers, "occurred_at")),
        ("no_customer", no_customer),
        ("not_a_sale", no_sales(find, answers)),
        ("not_paid", not_paid(find)),
    )
    by = [column for column in (order, owner) if column is not None]
    group = {"by": by, "within": answers["within"]}
    given_back, notices = refunds(header, answers, find, fields, lines=True) if order else ([], [])
    facts = [rule, *given_back]
    return document(
        "Lines of orders", answers, filters=left, notices=notices, group=group, facts=facts
    )


PRESETS: Final = (
    Preset(
        "order_lines",
        "Lines of orders, such as raw retail lines",
        ("transactions",),
        (("transaction_id",), ("customer_id",), ("occurred_at",), ("unit_price", "amount")),
        order_lines,
        (
            *COMMON,
            CURRENCY,
            NEGATIVE,
            STATUSES,
            AMOUNT_IS,
            WITHIN,
            TOTALS,
            UNDATED,
            REFUND_IS,
            REFUNDED,
        ),
        generic=True,
    ),
    Preset(
        "orders",
        "Orders, one a row",
        ("transactions",),
        (("customer_id",), ("occurred_at",), ("amount",)),
        orders,
        (*COMMON, CURRENCY, NEGATIVE, STATUSES, ROUND, CONSTANT, TOTALS, UNDATED, REFUNDED),
        generic=True,
    ),
    Preset(
        "customers",
        "Customers, one a row",
        ("customers",),
        (("customer_id",),),
        customers,
        (*COMMON, replace(TOTALS, default=())),
        generic=True,
    ),
)
