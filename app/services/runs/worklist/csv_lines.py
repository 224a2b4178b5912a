"""The worklist as lines of CSV, for whoever works it off in a spreadsheet."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from app.schemas.common.types import format_amount
from app.services.runs.query_lines import cell, row

COLUMNS: Final = (
    "customer_id", "name", "owner", "stage", "duty", "reasons", "why_en", "why_zh",
    "action_en", "action_zh", "since",
    "value_to_save", "next_actions", "last_contact_at", "last_contact_kind",
    "last_contact_channel", "phone", "email", "preferred_language", "consent",
)  # fmt: skip


def write(items: Iterable[Mapping[str, Any]]) -> bytes:
    """Return lines of a list, the header first."""
    return row(COLUMNS) + b"".join(row(list(map(cell, _values(item)))) for item in items)


def _values(item: Mapping[str, Any]) -> tuple[Any, ...]:
    first, contact, reach = item["reasons"][0], item["last_contact"] or {}, item["reach"]
    worth, at = item["value_to_save"], contact.get("occurred_at")
    action, consent = first["action"] or {}, reach["consent"]
    return (
        item["customer_id"], item["name"], item["owner"], item["stage"]["code"], first["duty"],
        [each["code"] for each in item["reasons"]], first["sentence"]["en"],
        first["sentence"]["zh"], action.get("en"), action.get("zh"), first["since"],
        worth and format_amount(worth["amount"]),
        [each["code"] for each in item["next_actions"]], at and at.isoformat(),
        contact.get("kind"), contact.get("channel"), reach["phone"], reach["email"],
        reach["preferred_language"], _plain(consent),
    )  # fmt: skip


def _plain(given: Any) -> Any:
    """Return what is free JSON as a text, unless it is one."""
    return json.dumps(given, ensure_ascii=False) if isinstance(given, (dict, list)) else given
