"""Customers: the profile, and the stage that the ledger last recorded."""

from datetime import date

from sqlalchemy import CheckConstraint, Index, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Counter, Identifier, Instant, Json


class Customer(Base):
    """A person or company, also one who has never bought.

    `version` grows with every write that touches the customer, and is the lock all writers
    take first; `profile_version` grows with the profile alone and is its ETag; `stage_version`
    grows with each recorded transition and each override, and is the ETag of the stage.

    The fields of the profile are what holds now by all that is known now. They hold from
    `profile_holds_from` on; before that, `profile_changes` say what did. A profile that was written
    once, without saying since when, holds from the beginning: it has no rows there, and
    `profile_holds_from` is null. `source` told of it first, `profile_actor` wrote it last.
    """

    __tablename__ = "customers"
    __table_args__ = (
        CheckConstraint("kind IN ('person', 'company')", name="kind"),
        Index("ix_customers_stage", "stage", "customer_id"),
        Index("ix_customers_owner", "owner", "customer_id"),
        Index("ix_customers_created_at", "created_at", "customer_id"),
        Index("ix_customers_name_prefix", func.lower(text("name")).collate("C")),
        Index("ix_customers_email_prefix", func.lower(text("email")).collate("C")),
        Index("ix_customers_phone_prefix", text('phone COLLATE "C"')),
    )

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    version: Mapped[Counter]
    profile_version: Mapped[Counter]
    kind: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    phone: Mapped[str | None] = mapped_column(Text)
    country: Mapped[str | None] = mapped_column(Text)
    region: Mapped[str | None] = mapped_column(Text)
    city: Mapped[str | None] = mapped_column(Text)
    gender: Mapped[str | None] = mapped_column(Text)
    birth_date: Mapped[date | None]
    occupation: Mapped[str | None] = mapped_column(Text)
    industry: Mapped[str | None] = mapped_column(Text)
    income_band: Mapped[str | None] = mapped_column(Text)
    parent_customer_id: Mapped[Identifier | None]
    owner: Mapped[str | None] = mapped_column(Text(collation="C"))
    acquisition_channel: Mapped[str | None] = mapped_column(Text)
    referred_by: Mapped[Identifier | None]
    first_contact_at: Mapped[Instant | None]
    contract_ends_on: Mapped[date | None]
    source: Mapped[str | None] = mapped_column(Text)
    attributes: Mapped[Json]
    profile_holds_from: Mapped[Instant | None]
    profile_actor: Mapped[str | None] = mapped_column(Text)
    stage: Mapped[str] = mapped_column(Text)
    stage_since: Mapped[Instant | None]
    stage_version: Mapped[Counter]
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]


class ProfileChange(Base):
    """What one write said of a profile that was written more than once: values by field.

    It is true since `valid_from`; null if the write did not say since when: then a first value of a
    field holds from the beginning, and another one since `recorded_at`. `version` is the
    `profile_version` that it made. Keys of the attributes are fields of their own.
    """

    __tablename__ = "profile_changes"

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    version: Mapped[Counter] = mapped_column(primary_key=True, autoincrement=False)
    valid_from: Mapped[Instant | None]
    recorded_at: Mapped[Instant]
    source: Mapped[Identifier]
    actor: Mapped[str | None] = mapped_column(Text)
    changes: Mapped[Json]
