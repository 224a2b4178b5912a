"""Transactions as they come in and go out."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from app.schemas.common.fields import Source
from app.schemas.common.shapes import Page
from app.schemas.common.types import (
    Answer,
    Attributes,
    ExchangeRate,
    FactIdentifier,
    Money,
    MoneyIn,
    PaidMoneyIn,
    Shape,
    SignedMoneyIn,
    Text,
    Timestamp,
)
from app.schemas.common.warnings import WriteWarning
from app.schemas.ingest.facts import FactBatch, FactIn, FactOut, FactWritten

EXAMPLE: dict[str, Any] = {
    "customer_id": "c-1001",
    "transaction_id": "order-7731",
    "occurred_at": "2026-01-31T12:00:00Z",
    "amount": {"amount": "12.50", "currency": "EUR"},
}
REFUND_EXAMPLE: dict[str, Any] = {
    "customer_id": "c-1001",
    "transaction_id": "refund-12",
    "occurred_at": "2026-02-03T09:30:00+08:00",
    "kind": "refund",
    "amount": {"amount": "12.50", "currency": "EUR"},
    "refunds": {"transaction_id": "order-7731"},
}


TransactionKind = Literal["purchase", "refund"]


Unallocated = Literal["waiting", "excess", "any"]


class TransactionName(Shape):
    """The identity of a purchase of the same customer."""

    source: FactIdentifier | None = Field(
        None, description="system of the purchase; that of the refund if absent", examples=["shop"]
    )
    transaction_id: FactIdentifier = Field(
        description="id of the purchase in that system", examples=["order-7731"]
    )


class LineIn(Shape):
    """What was bought, and how much of it."""

    product_id: Text = Field(description="id of the product", examples=["sku-204"])
    category: Text | None = Field(None, description="category of the product", examples=["coffee"])
    quantity: Annotated[float, Field(strict=True, gt=0, le=1e9)] = Field(
        description="how many, in units of the product", examples=[2]
    )
    unit_price: MoneyIn = Field(description="price of one, in the currency of the transaction")


class TransactionIn(FactIn):
    """A purchase or a refund. Its identity is (customer_id, source, transaction_id), for ever."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE, REFUND_EXAMPLE]})

    transaction_id: FactIdentifier = Field(
        description="id of the transaction in its system", examples=["order-7731"]
    )
    kind: TransactionKind = Field("purchase", description="money taken, or money given back")
    amount: PaidMoneyIn = Field(
        description="what was paid, or given back; never negative: the kind says which"
    )
    exchange_rate: ExchangeRate | None = Field(
        None,
        description="units of the deployment's currency for one of the amount's; needed where "
        "the two differ",
    )
    refunds: TransactionName | None = Field(
        None, description="the purchase that a refund reduces, from the refund's own time on"
    )
    margin: SignedMoneyIn | None = Field(
        None,
        description="what is left of the amount after costs, in the same currency; a loss is "
        "negative",
    )
    channel: Text | None = Field(None, description="where it was sold", examples=["web"])
    items: Annotated[list[LineIn], Field(max_length=500)] | None = Field(
        None, description="its lines, at most 500"
    )
    attributes: Attributes | None = Field(
        None,
        description="free JSON: at most 16 KiB and 5 levels",
        examples=[{"coupon": "SPRING"}],
    )

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


class TransactionBatch(FactBatch[TransactionIn]):
    """Up to 1,000 transactions, applied as one write."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [EXAMPLE, REFUND_EXAMPLE], "mode": "partial"}]}
    )


class NamedTransaction(Answer):
    """The identity of a purchase of the same customer."""

    source: Source
    transaction_id: str = Field(
        description="id of the purchase in that system", examples=["order-7731"]
    )


class Line(Answer):
    """What was bought, and how much of it."""

    product_id: str = Field(description="id of the product", examples=["sku-204"])
    category: str | None = Field(None, description="category of the product", examples=["coffee"])
    quantity: float = Field(description="how many, in units of the product", examples=[2])
    unit_price: Money = Field(description="price of one, in the currency of the transaction")


class Allocation(Answer):
    """What a refund takes back from a purchase."""

    source: Source
    transaction_id: str = Field(
        description="id of the other one in that system: of the purchase, if this is a refund",
        examples=["order-7731"],
    )
    amount: Money = Field(description="what is taken back, in the currency of the purchase")
    effective_at: Timestamp = Field(description="since when it is")


class UnallocatedAmount(Answer):
    """What a refund takes back from no purchase."""

    amount: Money = Field(description="how much, in the currency of the refund")
    waits: bool = Field(
        description="whether it waits for the purchase that it names; else it exceeds what is left "
        "of purchases"
    )


class Transaction(FactOut):
    """The revision in force of a transaction."""

    kind: TransactionKind = Field(description="money taken, or money given back")
    transaction_id: str = Field(
        description="id of the transaction in its system", examples=["order-7731"]
    )
    amount: Money = Field(description="what was paid, or given back")
    exchange_rate: str | None = Field(
        description="units of the deployment's currency for one of the amount's; null if not given",
        examples=["1.0825"],
    )
    value: Money = Field(description="the amount in the deployment's currency")
    refunds: NamedTransaction | None = Field(
        description="the purchase that a refund reduces; null if it names none"
    )
    allocations: list[Allocation] = Field(
        description="of a refund, the purchases that it is set off against; of a purchase, the "
        "refunds that are set off against it"
    )
    unallocated: UnallocatedAmount | None = Field(
        description="what a refund takes back from no purchase; null if nothing"
    )
    margin: Money | None = Field(
        description="what is left of the amount after costs, in the same currency; a loss is "
        "negative"
    )
    channel: str | None = Field(description="where it was sold", examples=["web"])
    items: list[Line] | None = Field(description="its lines; null if none were given")
    attributes: dict[str, Any] = Field(
        description="free JSON of your own", examples=[{"coupon": "SPRING"}]
    )


class TransactionWritten(FactWritten):
    """What became of one transaction."""

    transaction: Transaction = Field(description="the revision in force")


class TransactionVoided(Answer):
    """What became of a transaction that was to be voided."""

    transaction: Transaction = Field(
        description="as it is now: voided, or a higher revision in force"
    )
    warnings: list[WriteWarning] = Field(description="what was accepted without full effect")


class TransactionPage(Page[Transaction]):
    """A page of transactions."""
