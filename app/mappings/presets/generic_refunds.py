"""Money given back that stands beside an order, in files of nobody's layout, made into refunds."""

from collections.abc import Mapping
from typing import Any, Final

from app.mappings.presets.generic_parts import Find, time
from app.mappings.presets.header import Header, Said, constant, first_of, known
from app.mappings.presets.preset import Parameter

UNDATED: Final = Parameter(
    "undated_refunds",
    "choice",
    "Refunds stand beside their orders without a date: are they dated as their order, or left out "
    "with a warning, as is right where amounts are what is left after them?",
    default="at_order",
    choices=("at_order", "leave_out"),
    column="refunded_amount",
)
REFUND_IS: Final = Parameter(
    "refund_is",
    "choice",
    "Is the refund in a row that of the line, or that of the order, which all its rows repeat?",
    default="of_the_line",
    choices=("of_the_line", "of_the_order"),
    column="refunded_amount",
)
STATUSES: Final = Parameter(
    "refunded_statuses",
    "list",
    "Which states mean that the whole of an order was given back? If none is said, none was.",
    default=(),
    column="refund_status",
)


def refunds(
    header: Header, answers: Mapping[str, Any], find: Find, purchase: Said, *, lines: bool = False
) -> tuple[list[Said], list[Said]]:
    """Return the rules that make refunds of an order, and notices where they are left out."""
    column = find("refunded_amount")
    if column is None:
        return _by_status(header, answers, find, purchase), []
    name = column["column"]
    signs = [{"column": name, "sign": sign} for sign in ("positive", "negative")]
    there = {"column": name, "blank": False, "any": signs}
    dated = time(header, answers, "refunded_at")
    if answers["undated_refunds"] == "leave_out" and dated is None:
        text = "its refund has no date, and is left out: the purchase stays as it is"
        return [], [{"code": "undated_refund", "when": there, "text": text}]
    amount = {"column": name, "absolute": True, "round_to": 4}
    rule: Said = {"fact": "transactions", "when": there}
    fields = _refund(purchase, amount, dated)
    if lines and answers["refund_is"] == "of_the_line":
        rule["each"] = {"rows": True}
        order = purchase["transaction_id"]["column"]
        fields["transaction_id"] = {"join": [order, "@number"], "separator": ":r"}
    return [{**rule, "fields": fields}], []


def _by_status(
    header: Header, answers: Mapping[str, Any], find: Find, purchase: Said
) -> list[Said]:
    status, kept = find("refund_status"), answers["refunded_statuses"]
    if status is None or not kept:
        return []
    when = {"column": status["column"], "in": kept}
    fields = _refund(purchase, purchase["amount"], time(header, answers, "refunded_at"))
    return [{"fact": "transactions", "when": when, "fields": fields}]


def _refund(purchase: Said, amount: Said, dated: Said | None) -> Said:
    """Return the fields of a refund that names its purchase."""
    fields = {name: purchase[name] for name in ("customer_id", "currency") if name in purchase}
    order = purchase["transaction_id"]
    return known(
        **fields,
        kind=constant("refund"),
        transaction_id={**order, "prefix": "refund:"},
        refunds_transaction_id={name: value for name, value in order.items() if name != "numbered"},
        occurred_at=first_of(dated, purchase["occurred_at"]),
        amount=amount,
    )
