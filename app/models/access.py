"""Who may call and who did what, answers kept for repeated requests, settings of the deployment."""

from typing import Any

from sqlalchemy import BigInteger, Double, Identity, Index, Integer, LargeBinary, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Instant, Json


class ApiKey(Base):
    """A key that callers show; only hashes of its secrets are kept.

    Two are live at once while callers go over from the previous one to the present one.
    """

    __tablename__ = "api_keys"

    key_id: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[Instant]
    expires_at: Mapped[Instant | None]
    revoked_at: Mapped[Instant | None]
    previous_secret_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    previous_ends_at: Mapped[Instant | None]
    rotated_at: Mapped[Instant | None]
    last_used_at: Mapped[Instant | None]
    rate_per_second: Mapped[float | None] = mapped_column(Double)
    burst: Mapped[int | None] = mapped_column(Integer)


class AuditEntry(Base):
    """One request or command that wrote, in the transaction of what it wrote; never edited.

    Entries are read in the order of their transactions, below those that still run: a number that
    is given out earlier may be committed later. Names of fields are kept, values are not.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_actor", "actor", "transaction_number", "entry_id"),
        # Each insert writes the index: to gather them would have one writer pay for thousands.
        Index(
            "ix_audit_entries_customer_ids",
            "customer_ids",
            postgresql_using="gin",
            postgresql_with={"fastupdate": "off"},
        ),
        Index("ix_audit_entries_recorded_at", "recorded_at", postgresql_using="brin"),
    )

    transaction_number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    entry_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    recorded_at: Mapped[Instant]
    actor: Mapped[str] = mapped_column(Text(collation="C"))
    actor_name: Mapped[str] = mapped_column(Text)
    operation: Mapped[str] = mapped_column(Text(collation="C"))
    request_id: Mapped[str | None] = mapped_column(Text)
    status: Mapped[int | None] = mapped_column(SmallInteger)
    customer_ids: Mapped[list[str]] = mapped_column(ARRAY(Text))
    customers: Mapped[int] = mapped_column(Integer)
    ids: Mapped[Json]
    fields: Mapped[list[str]] = mapped_column(ARRAY(Text))


class IdempotencyKey(Base):
    """The answer to a request that named a key, written in the transaction of its effect."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)

    key_id: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int | None] = mapped_column(SmallInteger)
    headers: Mapped[dict[str, str] | None] = mapped_column(JSONB(none_as_null=True))
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[Instant]


class Setting(Base):
    """One value of the deployment, or the pointer to what is active."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    value: Mapped[Any] = mapped_column(JSONB)
