"""Transactions as they come in and go out."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from app.schemas.common import Batch, Page
from app.schemas.facts import FactIn, FactOut, FactWritten
from app.schemas.types import (
    AmountIn,
    AmountOut,
    Answer,
    Currency,
    ExchangeRate,
    Identifier,
    Shape,
    Text,
)

EXAMPLE: dict[str, Any] = {
    "customer_id": "c-1001",
    "transaction_id": "order-7731",
    "occurred_at": "2026-01-31T12:00:00Z",
    "amount": "12.50",
}
REFUND_EXAMPLE: dict[str, Any] = {
    "customer_id": "c-1001",
    "transaction_id": "refund-12",
    "occurred_at": "2026-02-03T09:30:00+08:00",
    "kind": "refund",
    "amount": "12.50",
    "refunds": {"transaction_id": "order-7731"},
}


class TransactionName(Shape):
    """The identity of a purchase of the same customer."""

    source: Identifier | None = Field(None, description="by default that of the refund")
    transaction_id: Identifier


class Line(Shape):
    """A line of a transaction, stored as given."""

    product_id: Text
    category: Text | None = None
    quantity: Annotated[float, Field(strict=True, gt=0, le=1e9)]
    unit_price: AmountIn


class TransactionIn(FactIn):
    """A purchase or a refund. Its identity is (customer_id, source, transaction_id), for ever."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE, REFUND_EXAMPLE]})

    transaction_id: Identifier = Field(examples=["order-7731"])
    kind: Literal["purchase", "refund"] = "purchase"
    amount: AmountIn = Field(description="not negative, for a refund too")
    currency: Currency | None = Field(None, description="by default the deployment's")
    exchange_rate: ExchangeRate | None = Field(
        None,
        description="units of the deployment's currency for one of this one's",
    )
    refunds: TransactionName | None = Field(
        None, description="the purchase that a refund reduces, from the refund's own time on"
    )
    margin: AmountIn | None = Field(None, description="an amount, not a rate")
    channel: Text | None = None
    items: Annotated[list[Line], Field(max_length=500)] | None = None

    @field_validator("refunds")
    @classmethod
    def _refund_names_another(
        cls, refunds: TransactionName | None, info: ValidationInfo
    ) -> TransactionName | None:
        known = info.data
        if refunds is None or not {"kind", "source", "transaction_id"} <= known.keys():
            return refunds
        if known["kind"] == "purchase":
            raise PydanticCustomError("refunds", "only a refund may name a purchase")
        named = (refunds.source or known["source"], refunds.transaction_id)
        if named == (known["source"], known["transaction_id"]):
            raise PydanticCustomError("refunds", "a refund cannot name itself")
        return refunds


class TransactionBatch(Batch[TransactionIn]):
    """Up to 1,000 transactions, applied as one write."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [EXAMPLE, REFUND_EXAMPLE], "mode": "partial"}]}
    )


class NamedTransaction(Answer):
    source: str
    transaction_id: str


class Transaction(FactOut):
    """The revision in force of a transaction."""

    transaction_id: str
    amount: AmountOut
    currency: str
    exchange_rate: str | None
    value: AmountOut = Field(description="the amount in the deployment's currency")
    refunds: NamedTransaction | None
    margin: AmountOut | None
    channel: str | None
    items: list[dict[str, object]] | None


class TransactionWritten(FactWritten):
    """What became of one transaction."""

    transaction: Transaction


class TransactionPage(Page[Transaction]):
    pass
