"""Transactions as they arrive: in the deployment's terms, and recognisable when they come again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from app.days import from_day
from app.deployment import MONEY_UNIT, Deployment
from app.schemas.transactions import TransactionIn
from app.schemas.types import format_amount, format_instant

FUTURE_LIMIT = timedelta(hours=24)
_LARGEST = Decimal(10) ** 14

Name = tuple[str, str, str]


class Refused(Exception):
    """An item that does not fit this deployment, with the pointer to the fault."""

    def __init__(self, pointer: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer, self.code, self.detail = pointer, code, detail


@dataclass(frozen=True, slots=True)
class Incoming:
    """A transaction as it will be stored, and its place in the request."""

    index: int
    customer_id: str
    source: str
    transaction_id: str
    revision: int
    fingerprint: bytes
    kind: str
    occurred_at: datetime
    occurred_on: date
    amount: Decimal
    currency: str
    exchange_rate: Decimal | None
    value: Decimal
    refunds_source: str | None
    refunds_transaction_id: str | None
    margin: Decimal | None
    channel: str | None
    items: list[dict[str, Any]] | None
    received_at: datetime

    @property
    def name(self) -> Name:
        return self.customer_id, self.source, self.transaction_id


def normalise(index: int, item: TransactionIn, here: Deployment, now: datetime) -> Incoming:
    """Return an item as it will be stored; raise Refused where it does not fit."""
    if item.occurred_at > now + FUTURE_LIMIT:
        raise Refused("/occurred_at", "future", "must not lie more than 24 hours ahead")
    currency = item.currency or here.currency
    refunds = item.refunds
    lines = [line.model_dump(exclude_unset=True, mode="json") for line in item.items or ()]
    content: dict[str, Any] = {
        "kind": item.kind,
        "occurred_at": item.occurred_at,
        "amount": item.amount,
        "currency": currency,
        "exchange_rate": item.exchange_rate,
        "refunds_source": (refunds.source or item.source) if refunds else None,
        "refunds_transaction_id": refunds.transaction_id if refunds else None,
        "margin": item.margin,
        "channel": item.channel,
        "items": None if item.items is None else lines,
    }
    return Incoming(
        index=index,
        customer_id=item.customer_id,
        source=item.source,
        transaction_id=item.transaction_id,
        revision=item.revision,
        fingerprint=_fingerprint(content),
        occurred_on=from_day(here.calendar.day_of(item.occurred_at)),
        value=_value(item, currency, here),
        received_at=now,
        **content,
    )


def _value(item: TransactionIn, currency: str, here: Deployment) -> Decimal:
    """Return the amount in the deployment's currency: sums never mix currencies."""
    if currency == here.currency:
        if item.exchange_rate is not None and item.exchange_rate != 1:
            detail = f"must be absent or 1 for an amount in {here.currency}"
            raise Refused("/exchange_rate", "exchange_rate", detail)
        return item.amount
    if item.exchange_rate is None:
        detail = f"an amount in {currency} needs its rate to {here.currency}"
        raise Refused("/exchange_rate", "missing", detail)
    value: Decimal = item.amount * item.exchange_rate
    if value >= _LARGEST - MONEY_UNIT:
        raise Refused("/amount", "too_large", f"is too large in {here.currency}")
    return value.quantize(MONEY_UNIT)


def _fingerprint(content: Mapping[str, Any]) -> bytes:
    """Hash the normalised content, so that 12.5 and 12.50, or two spellings of a time, agree."""
    plain = [value if type(value) is str else _plain(value) for value in content.values()]
    return hashlib.blake2b(repr(plain).encode(), digest_size=16).digest()


def to_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, default=_plain, sort_keys=True, separators=(",", ":"))


def _plain(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, Decimal):
        return (
            format_amount(value) if value == value.quantize(MONEY_UNIT) else str(value.normalize())
        )
    return format_instant(value) if isinstance(value, datetime) else str(value)
