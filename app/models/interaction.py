"""Interactions, their revisions, how many fell on each day, and what their kinds are."""

from datetime import date
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Float,
    Index,
    Integer,
    LargeBinary,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identifier, Instant, Json


class Interaction(Base):
    """The revision in force of a dated fact that is no transaction.

    `occurred_on` is the day of `occurred_at` in the deployment's zone.
    """

    __tablename__ = "interactions"
    __table_args__ = (
        Index("ix_interactions_occurred_at", "customer_id", "occurred_at"),
        Index(
            "ix_interactions_score",
            "customer_id",
            "kind",
            "occurred_at",
            postgresql_where=text("score IS NOT NULL"),
        ),
        Index(
            "ix_interactions_complaints",
            "customer_id",
            "occurred_on",
            postgresql_where=text("kind = 'complaint'"),
        ),
    )

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    source: Mapped[Identifier] = mapped_column(primary_key=True)
    interaction_id: Mapped[Identifier] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    occurred_at: Mapped[Instant]
    occurred_on: Mapped[date]
    kind: Mapped[str] = mapped_column(Text(collation="C"))
    channel: Mapped[str | None] = mapped_column(Text)
    campaign: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str | None] = mapped_column(Text)
    score: Mapped[float | None] = mapped_column(Float(53))
    text: Mapped[str | None] = mapped_column(Text)
    attributes: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    received_at: Mapped[Instant]


class InteractionRevision(Base):
    """A revision of an interaction not in force: replaced by a higher one, late, or voided."""

    __tablename__ = "interaction_revisions"
    __table_args__ = (
        Index(
            "ix_interaction_revisions_voided",
            "customer_id",
            "source",
            "interaction_id",
            postgresql_where=text("voided_at IS NOT NULL"),
        ),
    )

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    source: Mapped[Identifier] = mapped_column(primary_key=True)
    interaction_id: Mapped[Identifier] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    content: Mapped[Json]
    received_at: Mapped[Instant]
    voided_at: Mapped[Instant | None]
    voided_by: Mapped[str | None] = mapped_column(Text)
    void_reason: Mapped[str | None] = mapped_column(Text)


class InteractionDay(Base):
    """How many interactions of a kind a customer had on a day; no row says none."""

    __tablename__ = "interaction_days"

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    occurred_on: Mapped[date] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(Integer)


class InteractionKind(Base):
    """What a kind of interactions is: declared, shared by all customers.

    `scale` has `min`, `max` and `good_from`; a kind without one takes no answers of surveys.
    """

    __tablename__ = "interaction_kinds"
    __table_args__ = (
        CheckConstraint("phase IN ('presale', 'sale', 'aftersale', 'none')", name="phase"),
    )

    kind: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    name: Mapped[dict[str, str] | None] = mapped_column(JSONB(none_as_null=True))
    phase: Mapped[str] = mapped_column(Text)
    contact: Mapped[bool]
    scale: Mapped[dict[str, float] | None] = mapped_column(JSONB(none_as_null=True))
    outcomes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    version: Mapped[int] = mapped_column(Integer)
    updated_at: Mapped[Instant]
