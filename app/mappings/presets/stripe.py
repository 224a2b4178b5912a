"""Stripe: payments, refunds, and the itemised report of the balance. All times are UTC."""

from collections.abc import Mapping
from typing import Any, Final

from app.mappings.presets.header import (
    Header,
    Said,
    among,
    constant,
    filters,
    first_of,
    known,
    none_of,
)
from app.mappings.presets.preset import DECIMAL, Parameter, Preset, source

_UTC: Final = {"zone": "UTC"}
_CREATED: Final = ("Created date (UTC)", "Created (UTC)", "Created date", "Created")
EXPONENTS: Final = {"ISK": 2, "UGX": 2, "MGA": 0}
"""Where the smallest units of Stripe are not those of ISO 4217."""


def charges(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of payments: those that are captured are purchases, gross."""
    customer = first_of(
        header.value("Customer ID"), header.value("Customer Email", read_as="lower")
    )
    profile = known(
        customer_id=customer,
        name=header.value("Customer Name", "Customer Description", "Card Name"),
        email=header.value("Customer Email"),
    )
    money = known(
        currency=header.value("Currency"),
        exchange_rate=_ratio(header, "Converted Amount", "Amount"),
    )
    purchase = known(
        customer_id=customer,
        transaction_id=header.value("id"),
        occurred_at=header.value(*_CREATED),
        amount=header.value("Amount"),
        **money,
    )
    attributes = known(
        description=header.value("Description"),
        payment_intent=header.value("PaymentIntent ID"),
        invoice=header.value("Invoice ID"),
    )
    rules: list[Said] = [
        {"fact": "customers", "fields": profile},
        {"fact": "transactions", "fields": purchase, "attributes": attributes},
    ]
    notices: list[Said] = []
    column = header.find("Amount Refunded")
    if column is not None:
        given_back = {"column": column, "sign": "positive"}
        if answers["refunds_from"] == "charges":
            rules.append(_refund_of_charge(header, column, given_back, customer))
        else:
            text = "money of it was given back: import the file of refunds, which has when"
            notices.append({"code": "refund_elsewhere", "when": given_back, "text": text})
    if header.has("Disputed Amount"):
        rules.append(_lost_dispute(header, customer))
    left = filters(
        ("test_mode", among(header.find("Mode"), ["Test"])),
        ("not_paid", none_of(header.find("Status"), answers["paid_statuses"])),
        ("not_captured", among(header.find("Captured"), ["false", "0", "no"])),
    )
    return _document("Payments of Stripe", answers, left, rules, notices,
                     rates_to_column=header.find("Converted Currency"))  # fmt: skip


def _ratio(header: Header, above: str, below: str) -> Said | None:
    names = [header.find(above), header.find(below)]
    return None if None in names else {"ratio": names, "absolute": True}


def _refund_of_charge(header: Header, column: str, given_back: Said, customer: Said | None) -> Said:
    fields = known(
        customer_id=customer,
        kind=constant("refund"),
        transaction_id=header.value("id", prefix="refund:"),
        refunds_transaction_id=header.value("id"),
        occurred_at=header.value("Refunded date (UTC)", *_CREATED),
        amount={"column": column},
        currency=header.value("Currency"),
        exchange_rate=_ratio(header, "Converted Amount Refunded", column),
    )
    return {"fact": "transactions", "when": given_back, "fields": fields}


def _lost_dispute(header: Header, customer: Said | None) -> Said:
    fields = known(
        customer_id=customer,
        kind=constant("refund"),
        transaction_id=header.value("id", prefix="dispute:"),
        refunds_transaction_id=header.value("id"),
        occurred_at=header.value("Dispute Date (UTC)", *_CREATED),
        amount=header.value("Disputed Amount", absolute=True),
        currency=header.value("Currency"),
        exchange_rate=_ratio(header, "Converted Amount", "Amount"),
    )
    return {
        "fact": "transactions",
        "when": among(header.find("Dispute Status"), ["lost"]),
        "fields": fields,
    }


def _document(
    name: str,
    answers: Mapping[str, Any],
    left: list[Said],
    rules: list[Said],
    notices: list[Said],
    **amounts: Any,
) -> Said:
    return {
        "name": name,
        "source": answers["source"],
        "times": _UTC,
        "amounts": {"decimal": answers["decimal_sign"], "exponents": EXPONENTS, **amounts},
        "filters": left,
        "notices": notices,
        "facts": rules,
    }


def refunds(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of refunds: the charge that one names tells its customer."""
    fields = known(
        kind=constant("refund"),
        transaction_id=header.value("id"),
        refunds_transaction_id=header.value("charge"),
        occurred_at=header.value("created", read_as="seconds"),
        amount=header.value("amount", read_as="minor_units"),
        currency=header.value("currency"),
    )
    attributes = known(reason=header.value("reason"), description=header.value("description"))
    rule = {
        "fact": "transactions",
        "fields": fields,
        "customer_of_purchase": True,
        "attributes": attributes,
    }
    status = header.find("status")
    pending = () if answers["pending"] == "take" else ("pending", "requires_action")
    left = filters(
        ("failed", among(status, ["failed"])),
        ("canceled", among(status, ["canceled", "cancelled"])),
        ("pending", among(status, pending)),
    )
    return _document("Refunds of Stripe", answers, left, [rule], [])


def balance(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of the report `balance_change_from_activity.itemized`.

    A refund that failed and a dispute that was won are undone by a later revision of nothing.
    """
    category = header.find("reporting_category") or ""
    customer = header.value("customer_id")
    common = known(
        customer_id=customer,
        transaction_id=header.value("source_id"),
        occurred_at=header.value("created_utc", "created"),
        revision=header.value("created_utc", "created", read_as="time"),
        currency=header.value("customer_facing_currency", "currency"),
        exchange_rate=_ratio(header, "gross", "customer_facing_amount"),
    )
    amount = header.value("customer_facing_amount", "gross", absolute=True)
    refund = {"kind": constant("refund"), "refunds_transaction_id": header.value("charge_id")}
    purchase = {"fact": "transactions", "when": among(category, ["charge", "payment"]),
                "fields": known(**common, amount=amount)}  # fmt: skip
    back = {"fact": "transactions", "when": among(category, ["refund", "dispute"]),
            "fields": known(**common, **refund, amount=amount)}  # fmt: skip
    undone = {
        "fact": "transactions",
        "when": among(category, ["refund_failure", "dispute_reversal"]),
        "fields": known(**common, **refund, amount=constant("0")),
    }
    kept = ["charge", "payment", "refund", "dispute", "refund_failure", "dispute_reversal"]
    left = filters(("not_a_sale", none_of(category, kept)))
    return _document("Balance of Stripe", answers, left, [purchase, back, undone], [],
                     rates_to_column=header.find("currency"))  # fmt: skip


_COMMON: Final = (source("stripe"), DECIMAL)
PRESETS: Final = (
    Preset(
        "stripe_charges",
        "Payments of Stripe, CSV of the dashboard",
        ("customers", "transactions"),
        (("id",), _CREATED, ("Amount",), ("Currency",), ("Status",),
         ("Customer ID", "Customer Email")),
        charges,
        (
            *_COMMON,
            Parameter("refunds_from", "choice",
                      "Are refunds taken from their own file, or from the sum in this one?",
                      default="refunds_file", choices=("refunds_file", "charges")),
            Parameter("paid_statuses", "list", "Which statuses mean that a payment is a sale?",
                      default=("Paid", "Refunded", "Partially refunded", "Succeeded"),
                      column="Status"),
        ),
        ("Captured", "Amount Refunded", "PaymentIntent ID", "Converted Amount", "Fee"),
        "the date of a charge that was refunded twice",
    ),
    Preset(
        "stripe_refunds",
        "Refunds of Stripe",
        ("transactions",),
        (("id",), ("charge",), ("amount",), ("created",), ("currency",), ("status",)),
        refunds,
        (
            *_COMMON,
            Parameter("pending", "choice", "Are refunds that are pending taken?",
                      default="leave_out", choices=("leave_out", "take")),
        ),
        ("balance_transaction", "payment_intent", "reason", "failure_reason"),
        "that a CSV has exactly these columns",
    ),
    Preset(
        "stripe_balance",
        "Itemised balance report of Stripe",
        ("transactions",),
        (("balance_transaction_id",), ("reporting_category",), ("source_id",), ("gross",),
         ("created_utc", "created"), ("customer_id",)),
        balance,
        _COMMON,
        ("charge_id", "customer_facing_amount", "customer_facing_currency", "net"),
    ),
)  # fmt: skip
