"""Transactions as they arrive: in the deployment's currency."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from app.deployment import Deployment
from app.money import UNIT
from app.schemas.common.types import MoneyIn, format_amount
from app.schemas.ingest.transactions import TransactionIn
from app.services.ingest import fact_intake
from app.services.ingest.fact_intake import IncomingFact, Intake, Refused

_LARGEST = Decimal(10) ** 14


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingTransaction(IncomingFact):
    """A transaction as it will be stored."""

    amount: Decimal
    currency: str
    exchange_rate: Decimal | None
    value: Decimal
    refunds_source: str | None
    refunds_transaction_id: str | None
    margin: Decimal | None
    channel: str | None
    items: list[dict[str, Any]] | None
    attributes: dict[str, Any] | None = None


def normalise(index: int, item: TransactionIn, intake: Intake) -> IncomingTransaction:
    """Return an item as it will be stored; raise Refused where it does not fit."""
    deployment = intake.deployment
    currency = item.amount.currency or deployment.currency
    refunds = item.refunds
    content: dict[str, Any] = {
        "kind": item.kind,
        "occurred_at": fact_intake.instant(item, intake),
        "amount": item.amount.amount,
        "currency": currency,
        "exchange_rate": item.exchange_rate,
        "refunds_source": (refunds.source or item.source) if refunds else None,
        "refunds_transaction_id": refunds.transaction_id if refunds else None,
        "margin": None if item.margin is None else _same(item.margin, currency, "/margin"),
        "channel": item.channel,
        "items": _lines(item, currency),
    }
    if item.attributes:  # else the fingerprint is that of transactions stored without any
        content["attributes"] = item.attributes
    return IncomingTransaction(
        **fact_intake.common(index, item, content, intake),
        fact_id=item.transaction_id,
        value=_value(item, currency, deployment),
        **content,
    )


def _same(money: MoneyIn, currency: str, pointer: str) -> Decimal:
    """Return an amount that must be in the currency of the transaction."""
    if money.currency not in (None, currency):
        detail = f"must be {currency}, the currency of the amount"
        raise Refused(f"{pointer}/currency", "currency_mismatch", detail)
    return money.amount


def _lines(item: TransactionIn, currency: str) -> list[dict[str, Any]] | None:
    """Return the lines as they are kept; their prices say their currency."""
    if item.items is None:
        return None
    return [
        {
            **line.model_dump(exclude_unset=True, exclude={"unit_price"}),
            "unit_price": {
                "amount": format_amount(
                    _same(line.unit_price, currency, f"/items/{place}/unit_price")
                ),
                "currency": currency,
            },
        }
        for place, line in enumerate(item.items)
    ]


def _value(item: TransactionIn, currency: str, deployment: Deployment) -> Decimal:
    """Return the amount in the deployment's currency: sums never mix currencies."""
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
