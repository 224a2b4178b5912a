"""Churn records: why customers left, as facts, and the revisions they replaced."""

from datetime import date

from sqlalchemy import BigInteger, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identifier, Instant, Json


class ChurnRecord(Base):
    """The revision in force of why a customer left, or says so before leaving.

    `occurred_on` is the day of `occurred_at` in the deployment's zone.
    """

    __tablename__ = "churn_records"
    __table_args__ = (Index("ix_churn_records_occurred_at", "customer_id", "occurred_at"),)

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    source: Mapped[Identifier] = mapped_column(primary_key=True)
    churn_record_id: Mapped[Identifier] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    occurred_at: Mapped[Instant]
    occurred_on: Mapped[date]
    reason: Mapped[str] = mapped_column(Text)
    competitor: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)
    received_at: Mapped[Instant]


class ChurnRecordRevision(Base):
    """A revision of a churn record that is not in force: replaced, late, or voided."""

    __tablename__ = "churn_record_revisions"
    __table_args__ = (
        Index(
            "ix_churn_record_revisions_voided",
            "customer_id",
            "source",
            "churn_record_id",
            postgresql_where=text("voided_at IS NOT NULL"),
        ),
    )

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    source: Mapped[Identifier] = mapped_column(primary_key=True)
    churn_record_id: Mapped[Identifier] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    content: Mapped[Json]
    received_at: Mapped[Instant]
    voided_at: Mapped[Instant | None]
    voided_by: Mapped[str | None] = mapped_column(Text)
    void_reason: Mapped[str | None] = mapped_column(Text)
