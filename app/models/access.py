"""API keys, the answers kept for repeated requests, and the settings of the deployment."""

from typing import Any

from sqlalchemy import Index, LargeBinary, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Instant


class ApiKey(Base):
    """A key that callers show; only a hash of its secret is kept."""

    __tablename__ = "api_keys"

    key_id: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[Instant]
    expires_at: Mapped[Instant | None]
    revoked_at: Mapped[Instant | None]


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
