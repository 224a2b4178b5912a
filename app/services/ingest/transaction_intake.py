"""Transactions as they arrive: in the deployment's currency."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np

from app.deployment import Deployment
from app.money import UNIT, to_units
from app.schemas.common.types import MoneyIn, format_amount
from app.schemas.ingest.transactions import LineIn, TransactionIn
from app.services.ingest import fact_intake
from app.services.ingest.fact_intake import Content, IncomingFacts, Intake, Refused

_LARGEST = Decimal(10) ** 14


def accept(index: int, item: TransactionIn, intake: Intake) -> datetime:
    """Return when it happened; raise Refused where it does not fit."""
    at = fact_intake.instant(item, intake)
    currency = item.amount.currency or intake.deployment.currency
    if item.margin is not None:
        _require_same(item.margin, currency, "/margin")
    for place, line in enumerate(item.items or ()):
        _require_same(line.unit_price, currency, f"/items/{place}/unit_price")
    fact_intake.look_ahead(index, at, intake)
    if item.exchange_rate is not None or currency != intake.deployment.currency:
        _value(item, intake.deployment)
    return at


def to_columns(
    intake: Intake,
    indexes: Sequence[int],
    items: Sequence[TransactionIn],
    times: Sequence[datetime],
) -> IncomingFacts:
    """Return accepted items as they will be stored."""
    return fact_intake.to_columns(
        intake,
        indexes,
        items,
        times,
        [item.kind for item in items],
        [item.transaction_id for item in items],
        _content(items, intake.deployment),
        derived="value",
        optional="attributes",
    )


def _content(items: Sequence[TransactionIn], deployment: Deployment) -> Content:
    """Return what accepted items say; `value` follows from the others."""
    home = deployment.currency
    amounts = np.array([to_units(item.amount.amount) for item in items], dtype=np.int64)
    values = amounts.copy()
    for row, item in enumerate(items):
        if item.exchange_rate is not None:
            values[row] = to_units(_value(item, deployment))
    refunds = [(item.refunds, item.source) for item in items]
    return {
        "amount": amounts,
        "currency": [item.amount.currency or home for item in items],
        "exchange_rate": [item.exchange_rate for item in items],
        "refunds_source": [named and (named.source or source) for named, source in refunds],
        "refunds_transaction_id": [named and named.transaction_id for named, _ in refunds],
        "margin": [item.margin and item.margin.amount for item in items],
        "channel": [item.channel for item in items],
        "items": [
            None if item.items is None else _lines(item.items, item.amount.currency or home)
            for item in items
        ],
        "attributes": [item.attributes or None for item in items],
        "value": values,
    }


def _require_same(money: MoneyIn, currency: str, pointer: str) -> None:
    """Refuse an amount that is not in the currency of the transaction."""
    if money.currency not in (None, currency):
        detail = f"must be {currency}, the currency of the amount"
        raise Refused(f"{pointer}/currency", "currency_mismatch", detail)


def _lines(lines: Sequence[LineIn], currency: str) -> list[dict[str, Any]]:
    """Return the lines as they are kept; their prices say their currency."""
    return [
        {
            **line.model_dump(exclude_unset=True, exclude={"unit_price"}),
            "unit_price": {"amount": format_amount(line.unit_price.amount), "currency": currency},
        }
        for line in lines
    ]


def _value(item: TransactionIn, deployment: Deployment) -> Decimal:
    """Return the amount in the deployment's currency: sums never mix currencies."""
    currency = item.amount.currency or deployment.currency
    if currency == deployment.currency:
        if item.exchange_rate is not None and item.exchange_rate != 1:
            detail = f"must be absent or 1 for an amount in {deployment.currency}"
            raise Refused("/exchange_rate", "exchange_rate", detail)
        return item.amount.amount
    if item.exchange_rate is None:
        detail = f"an amount in {currency} needs its rate to {deployment.currency}"
        raise Refused("/exchange_rate", "missing", detail)
    value: Decimal = item.amount.amount * item.exchange_rate
    if value >= _LARGEST - UNIT:
        raise Refused("/amount/amount", "too_large", f"is too large in {deployment.currency}")
    return value.quantize(UNIT)
