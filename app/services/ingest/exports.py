"""All customers, transactions or interactions, as lines; of facts those that are in force.

A line of JSON is an item of the bulk that writes it: what is exported can be written elsewhere.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Final

from app.postgres.db import Database
from app.schemas.common import personal
from app.services.common.copied_lines import Form, copied, no_formula

_MASKED = ("name", "email", "phone", "birth_date")
_TEXTS = frozenset({
    "name", "email", "phone", "country", "region", "city", "gender", "occupation", "industry",
    "income_band", "owner", "acquisition_channel", "channel", "campaign", "text", "customer_id",
    "source", "transaction_id", "interaction_id", "refunds_source", "refunds_transaction_id",
    "parent_customer_id", "referred_by", "items", "attributes",
})  # fmt: skip
"""Texts of callers."""
_KEYS: Final[Mapping[str, str]] = {
    "customers": "customer_id",
    "transactions": "customer_id, source, transaction_id",
    "interactions": "customer_id, source, interaction_id",
}
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "customers": (
        "customer_id", "kind", "name", "email", "phone", "country", "region", "city",
        "preferred_language", "time_zone", "gender", "birth_date", "occupation", "industry",
        "income_band", "parent_customer_id", "owner", "acquisition_channel", "referred_by",
        "first_contact_at", "contract_ends_on", "attributes", "source",
    ),
    "transactions": (
        "customer_id", "source", "transaction_id", "revision", "kind", "occurred_at", "amount",
        "currency", "exchange_rate", "refunds_source", "refunds_transaction_id", "margin",
        "channel", "items", "attributes",
    ),
    "interactions": (
        "customer_id", "source", "interaction_id", "revision", "kind", "occurred_at", "channel",
        "campaign", "outcome", "score", "text", "attributes",
    ),
}  # fmt: skip
_OF_CSV: Final[Mapping[str, tuple[str, ...]]] = {
    "customers": (*COLUMNS["customers"], "stage", "stage_since", "created_at"),
    "transactions": (*COLUMNS["transactions"], "value", "received_at"),
    "interactions": (*COLUMNS["interactions"], "received_at"),
}
"""Beside what was said, what is known of it; a program asks for that elsewhere."""
_FREE = ("items", "attributes")
_INSTANTS = ("occurred_at", "first_contact_at", "stage_since", "created_at", "received_at")
_DECIMALS = ("amount", "exchange_rate", "margin", "value")


def open_lines(database: Database, what: str, form: Form) -> AsyncGenerator[bytes]:
    """Return everything of a kind in the order of ids; nothing is read before it is asked for."""
    columns = _csv(what) if form == "text/csv" else _json(what)
    query = f"SELECT {columns} FROM {what} ORDER BY {_KEYS[what]}"  # noqa: S608  # ours
    return copied(database, form, query, [])


def _csv(what: str) -> str:
    return ", ".join(f"{_cell(what, name)} AS {name}" for name in _OF_CSV[what])


def _cell(what: str, name: str) -> str:
    value = _value(what, name)
    if name in _FREE:
        value = f"CAST({value} AS text)"
    return no_formula(value) if name in _TEXTS else value


def _value(what: str, name: str) -> str:
    if what == "customers" and not personal.is_shown():
        if name in _MASKED:
            return "CAST(NULL AS text)"
        if name == "country":
            return "CASE WHEN country ~ '^[A-Z]{2}$' THEN country END"
        if name == "attributes":
            return "CAST('{}' AS jsonb)"
    if name in _INSTANTS:
        return f'to_char({name}, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')'
    return f"CAST(trim_scale({name}) AS text)" if name in _DECIMALS else name


def _json(what: str) -> str:
    told = {name: _value(what, name) for name in COLUMNS[what] if name not in _FREE}
    if what == "transactions":
        for name in ("amount", "margin"):
            money = f"jsonb_build_object('amount', {told[name]}, 'currency', currency)"
            told[name] = f"CASE WHEN {name} IS NOT NULL THEN {money} END"
        told["refunds"] = (
            "CASE WHEN refunds_transaction_id IS NOT NULL THEN jsonb_build_object('source',"
            " refunds_source, 'transaction_id', refunds_transaction_id) END"
        )
        for name in ("currency", "refunds_source", "refunds_transaction_id"):
            del told[name]
    pairs = ", ".join(f"'{name}', {value}" for name, value in told.items())
    # Free JSON keeps its nulls.
    free = "".join(
        f" || CASE WHEN {name} IS NULL THEN CAST('{{}}' AS jsonb)"
        f" ELSE jsonb_build_object('{name}', {_value(what, name)}) END"
        for name in _FREE
        if name in COLUMNS[what]
    )
    return f"jsonb_strip_nulls(jsonb_build_object({pairs})){free}"
