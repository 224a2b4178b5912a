"""Long work: the operation a caller follows, and the parts that workers claim."""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Instant, Json


class Operation(Base):
    """One piece of long work; at most one of a kind is open, but for imports and reports.

    While parts of it are put off, `waiting_since` and those beside it say since when, why, and when
    the next of them is tried again; the next part that is done takes them away.
    """

    __tablename__ = "operations"
    __table_args__ = (
        CheckConstraint(
            "state IN ('pending', 'running', 'succeeded', 'failed', 'cancelled')", name="state"
        ),
        Index(
            "uq_operations_one_open",
            "kind",
            unique=True,
            postgresql_where=text(
                "state IN ('pending', 'running') AND kind NOT IN ('import', 'report')"
            ),
        ),
        Index("ix_operations_created_at", "created_at", "operation_id"),
    )

    operation_id: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    request: Mapped[Json]
    context: Mapped[Json]
    slot: Mapped[str | None] = mapped_column(Text, unique=True)
    requested_by: Mapped[str | None] = mapped_column(Text)
    done: Mapped[int] = mapped_column(Integer)
    total: Mapped[int] = mapped_column(Integer)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[Instant]
    started_at: Mapped[Instant | None]
    finished_at: Mapped[Instant | None]
    waiting_since: Mapped[Instant | None]
    waiting_until: Mapped[Instant | None]
    waiting_for: Mapped[str | None] = mapped_column(Text)


class OperationPart(Base):
    """A part of an operation, claimed under a lease of the database's clock.

    `attempt` counts claims, and tells whose the part is. `failures` counts those that the part
    itself is at fault for; since `hindered_since` it has been put off for other reasons.
    """

    __tablename__ = "operation_parts"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'running', 'done')", name="state"),
        Index("ix_operation_parts_open", "part_id", postgresql_where=text("state <> 'done'")),
        Index("ix_operation_parts_operation_id", "operation_id"),
    )

    part_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    operation_id: Mapped[str] = mapped_column(Text(collation="C"))
    task: Mapped[str] = mapped_column(Text)
    arguments: Mapped[Json]
    state: Mapped[str] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(Integer)
    failures: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    lease_until: Mapped[Instant | None]
    not_before: Mapped[Instant | None]
    hindered_since: Mapped[Instant | None]
    outcome: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
