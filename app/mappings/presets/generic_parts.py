"""What mappings of files of nobody's layout are told, and how they find their columns."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from app.mappings.presets.evidence import TOTAL_WORDS
from app.mappings.presets.header import Header, Said
from app.mappings.presets.names import moment, named
from app.mappings.presets.preset import DECIMAL, Parameter, source

ZONE: Final = Parameter(
    "time_zone", "zone", "In which time zone are times without an offset, and days?", required=True
)
COLUMNS: Final = Parameter(
    "columns",
    "pairs",
    "Which columns are which fields, where their names do not tell (field: column)?",
    default={},
)
CURRENCY: Final = Parameter(
    "currency", "currency", "In which currency are amounts, if not the deployment's?"
)
PATTERNS: Final = Parameter(
    "date_patterns",
    "list",
    "Which forms do dates and times have, as of strptime, such as %d/%m/%Y %H:%M, if not those of "
    "ISO 8601? Counts are `seconds`, `milliseconds` or `spreadsheet_days`, such as 45231.5.",
    default=(),
)
ROUND: Final = Parameter(
    "round_amounts",
    "boolean",
    "Are amounts with more than four decimals, as computed ones have, rounded to four?",
    default=False,
)
NEGATIVE: Final = Parameter(
    "negative",
    "choice",
    "What is an order with a negative amount?",
    default="refund",
    choices=("refund", "reject"),
)
CONSTANT: Final = Parameter(
    "amount",
    "text",
    "What is the amount of a purchase, if the file has none?",
    choices=("1", "0"),
)
STATUSES: Final = Parameter(
    "kept_statuses",
    "list",
    "Which statuses mean that an order is a sale? If none is said, all are taken.",
    default=(),
    column="order_status",
)
AMOUNT_IS: Final = Parameter(
    "amount_is",
    "choice",
    "Is the amount in a row that of the line, or that of the order, which all its rows repeat, or "
    "is it not what was paid for the line, which is its price times its quantity?",
    default="of_the_line",
    choices=("of_the_line", "of_the_order", "price_times_quantity"),
)
WITHIN: Final = Parameter(
    "within",
    "count",
    "Within how many rows do the lines of an order stand, if they do not follow each other?",
)
TOTALS: Final = Parameter(
    "total_words",
    "list",
    "With which words do lines of totals begin, which are no rows of their own?",
    default=TOTAL_WORDS,
)
Find = Callable[..., Said | None]


def finder(header: Header, answers: Mapping[str, Any]) -> Find:
    """Return what makes the value of the column that is a field."""

    def find(field: str, **options: Any) -> Said | None:
        column = named(header, field, answers["columns"])
        return None if column is None else {"column": column, **options}

    return find


def customer(find: Find) -> Said | None:
    """Return whose a row is; e-mails are the same in any letters."""
    found = find("customer_id")
    if found is None:
        return None
    is_mail = "mail" in found["column"].casefold() or "邮箱" in found["column"]
    return {**found, "read_as": "lower" if is_mail else "whole_number_id"}


def time(header: Header, answers: Mapping[str, Any], field: str) -> Said | None:
    """Return the time that is a field, of one column or two."""
    columns = moment(header, field, answers["columns"])
    if not columns:
        return None
    value: Said = {"column": columns[0]} if len(columns) == 1 else {"join": columns}
    patterns = answers["date_patterns"]
    if patterns in (["seconds"], ["milliseconds"], ["spreadsheet_days"]):
        return {**value, "read_as": patterns[0]}
    return {**value, "patterns": list(patterns)} if patterns else value


def document(name: str, answers: Mapping[str, Any], **more: Any) -> Said:
    return {
        "name": name,
        "source": answers["source"],
        "times": {"zone": answers["time_zone"]},
        "amounts": {"decimal": answers["decimal_sign"], "currency": answers.get("currency")},
        "blanks": ["NULL", "null", "N/A", "n/a", "NaN", "nan", "None"],
        **more,
    }


def totals(header: Header, find: Find, answers: Mapping[str, Any], at: str) -> Said | None:
    """Return the condition that a row, which has no time, sums up others."""
    moment = find(at)
    labels = {
        *header.detected.columns[:1],
        *(value["column"] for value in map(find, _LABELS) if value),
    }
    words = answers["total_words"]
    if moment is None or not words:
        return None
    begins = [{"column": name, "starts_with": words} for name in sorted(labels)]
    return {"all": [{"column": moment["column"], "blank": True}, {"any": begins}]}


def no_sales(find: Find, answers: Mapping[str, Any]) -> Said | None:
    """Return the condition that the status of an order is none of those that are sales."""
    status, kept = find("order_status"), answers["kept_statuses"]
    return None if status is None or not kept else {"column": status["column"], "not_in": kept}


def not_paid(find: Find) -> Said | None:
    """Return the condition that an order has no time of a payment, where it is what is dated by."""
    at = find("occurred_at")
    if at is None or not any(word in at["column"].casefold() for word in _PAID):
        return None
    return {"column": at["column"], "blank": True}


def names(header: Header, answers: Mapping[str, Any]) -> Said | None:
    if (column := named(header, "name", answers["columns"])) is not None:
        return {"column": column}
    pair = [named(header, each, answers["columns"]) for each in ("first_name", "last_name")]
    found = [column for column in pair if column is not None]
    return {"join": found, "read_as": "person_name"} if found else None


_PAID: Final = ("paid", "payment", "付款", "支付")
_LABELS: Final = ("customer_id", "transaction_id")
PROFILE: Final = ("email", "phone", "country", "region", "city", "gender", "industry", "owner",
                   "acquisition_channel")  # fmt: skip
COMMON: Final = (ZONE, source("default"), DECIMAL, COLUMNS, PATTERNS)
