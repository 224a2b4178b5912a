"""Transactions, the revisions they replaced, and the summary kept of each customer's purchases."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identifier, Instant, Json, Money, MoneySum


class Transaction(Base):
    """The revision in force of a purchase or a refund.

    `amount` is in `currency`; `value` is the same in the deployment's currency;
    `occurred_on` is the day of `occurred_at` in the deployment's zone.
    """

    __tablename__ = "transactions"
    __table_args__ = (
        CheckConstraint("kind IN ('purchase', 'refund')", name="kind"),
        CheckConstraint("amount >= 0 AND value >= 0", name="not_negative"),
        Index("ix_transactions_occurred_at", "customer_id", "occurred_at"),
        Index("ix_transactions_at", "occurred_at"),
        Index("ix_transactions_received_at", "received_at"),
    )

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    source: Mapped[Identifier] = mapped_column(primary_key=True)
    transaction_id: Mapped[Identifier] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    kind: Mapped[str] = mapped_column(Text)
    occurred_at: Mapped[Instant]
    occurred_on: Mapped[date]
    amount: Mapped[Money]
    currency: Mapped[str] = mapped_column(Text)
    exchange_rate: Mapped[Decimal | None] = mapped_column(Numeric(20, 10))
    value: Mapped[Money]
    refunds_source: Mapped[Identifier | None]
    refunds_transaction_id: Mapped[Identifier | None]
    margin: Mapped[Decimal | None] = mapped_column(Numeric(18, 4))
    channel: Mapped[str | None] = mapped_column(Text)
    items: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    attributes: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    received_at: Mapped[Instant]


class TransactionRevision(Base):
    """A revision of a transaction not in force: replaced by a higher one, late, or voided."""

    __tablename__ = "transaction_revisions"
    __table_args__ = (
        Index(
            "ix_transaction_revisions_voided",
            "customer_id",
            "source",
            "transaction_id",
            postgresql_where=text("voided_at IS NOT NULL"),
        ),
    )

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    source: Mapped[Identifier] = mapped_column(primary_key=True)
    transaction_id: Mapped[Identifier] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    content: Mapped[Json]
    received_at: Mapped[Instant]
    voided_at: Mapped[Instant | None]
    voided_by: Mapped[str | None] = mapped_column(Text)
    void_reason: Mapped[str | None] = mapped_column(Text)


class RefundAllocation(Base):
    """How much a refund takes back from a purchase, from an instant on.

    `amount` is in the currency of the purchase; `value` is what it is less worth by it.
    """

    __tablename__ = "refund_allocations"
    __table_args__ = (
        Index("ix_refund_allocations_purchase", "customer_id", "purchase_source", "purchase_id"),
    )

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    refund_source: Mapped[Identifier] = mapped_column(primary_key=True)
    refund_id: Mapped[Identifier] = mapped_column(primary_key=True)
    purchase_source: Mapped[Identifier] = mapped_column(primary_key=True)
    purchase_id: Mapped[Identifier] = mapped_column(primary_key=True)
    effective_at: Mapped[Instant]
    effective_on: Mapped[date]
    amount: Mapped[Money]
    value: Mapped[Money]


class UnallocatedRefund(Base):
    """What a refund takes back from no purchase; it `waits` if the one it names is not known."""

    __tablename__ = "unallocated_refunds"

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    source: Mapped[Identifier] = mapped_column(primary_key=True)
    transaction_id: Mapped[Identifier] = mapped_column(primary_key=True)
    occurred_at: Mapped[Instant]
    amount: Mapped[Money]
    value: Mapped[Money]
    waits: Mapped[bool]


class PurchaseSummary(Base):
    """What the facts of a customer amount to.

    True for every instant in [`facts_until`, `next_fact_at`): later facts do not count yet.
    `revenue` is what refunds leave of purchases, `refund_excess` what they take back from none.
    A paid day is a purchase day with a positive net value. `gap_1` is the gap before the last
    purchase day, `gap_2` the one before that; `value_2` is the value of the last but one.
    Lives are counted by the silence that the policy of `policy_version` allows.
    """

    __tablename__ = "purchase_summaries"
    __table_args__ = (
        Index(
            "ix_purchase_summaries_next_fact_at",
            "next_fact_at",
            postgresql_where=text("next_fact_at IS NOT NULL"),
        ),
    )

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    facts: Mapped[int] = mapped_column(Integer)
    refunds: Mapped[int] = mapped_column(Integer)
    facts_until: Mapped[Instant | None]
    next_fact_at: Mapped[Instant | None]
    purchase_days: Mapped[int] = mapped_column(Integer)
    first_purchase_on: Mapped[date | None]
    last_purchase_on: Mapped[date | None]
    revenue: Mapped[MoneySum]
    first_day_value: Mapped[MoneySum]
    last_day_value: Mapped[MoneySum]
    paid_days: Mapped[int] = mapped_column(Integer)
    refund_excess: Mapped[MoneySum]
    sum_log_gaps: Mapped[float]
    lives: Mapped[int] = mapped_column(Integer)
    life_started_on: Mapped[date | None]
    life_purchase_days: Mapped[int] = mapped_column(Integer)
    gap_1: Mapped[int | None] = mapped_column(Integer)
    gap_2: Mapped[int | None] = mapped_column(Integer)
    gap_3: Mapped[int | None] = mapped_column(Integer)
    value_2: Mapped[MoneySum | None]
    value_3: Mapped[MoneySum | None]
    policy_version: Mapped[int] = mapped_column(Integer)
    derivation_version: Mapped[int] = mapped_column(Integer)


class PurchaseDay(Base):
    """The purchases of a customer with a long history on one day, after refunds.

    `value` is what refunds leave of them. `turns` are the instants at which the day became a
    purchase day and, where all was refunded, ceased to be one, by turns. Of whom there are rows
    for all purchases up to `facts_until` of the summary, a late fact reads these in place of facts.
    """

    __tablename__ = "purchase_days"

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    purchased_on: Mapped[date] = mapped_column(primary_key=True)
    purchases: Mapped[int] = mapped_column(Integer)
    value: Mapped[MoneySum]
    turns: Mapped[list[datetime]] = mapped_column(ARRAY(DateTime(timezone=True)))
