"""What is stored of a transaction, said item by item: the twin of the columns of a batch."""

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from app.schemas.ingest.transactions import TransactionIn


def row(item: TransactionIn, currency: str, zone: ZoneInfo) -> dict[str, Any]:
    """Return the columns of an item that fits, but for those of its identity."""
    own = item.amount.currency or currency
    rate = item.exchange_rate
    money = Decimal("0.0001")
    content: dict[str, Any] = {
        "kind": item.kind,
        "occurred_at": item.occurred_at.astimezone(UTC),
        "amount": item.amount.amount,
        "currency": own,
        "exchange_rate": rate,
        "refunds_source": item.refunds and (item.refunds.source or item.source),
        "refunds_transaction_id": item.refunds and item.refunds.transaction_id,
        "margin": item.margin and item.margin.amount,
        "channel": item.channel,
        "items": None if item.items is None else [_line(line, own) for line in item.items],
    }
    if item.attributes:
        content["attributes"] = item.attributes
    return {
        "attributes": None,
        **content,
        "fingerprint": fingerprint(content),
        "occurred_on": item.occurred_at.astimezone(zone).date(),
        "value": (item.amount.amount * (1 if rate is None else rate)).quantize(money),
    }


def _line(line: Any, currency: str) -> dict[str, Any]:
    said = line.model_dump(exclude_unset=True, exclude={"unit_price"})
    price = {"amount": _money(line.unit_price.amount), "currency": currency}
    return {**said, "unit_price": price}


def fingerprint(content: dict[str, Any]) -> bytes:
    """Hash the list of the values, each in one spelling."""
    plain = [_plain(value) for value in content.values()]
    return hashlib.blake2b(repr(plain).encode(), digest_size=16).digest()


def _plain(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, Decimal):
        exact = value == value.quantize(Decimal("0.0001"))
        return _money(value) if exact else str(value.normalize())
    if isinstance(value, dict):
        return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"))
    if isinstance(value, datetime):
        text = value.isoformat(timespec="microseconds")
        return text.removesuffix("+00:00").removesuffix(".000000") + "Z"
    return str(value)


def _money(value: Decimal) -> str:
    text = f"{value:.4f}"
    return text[:-2] if text.endswith("00") else text.rstrip("0")


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _canonical(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_canonical(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
