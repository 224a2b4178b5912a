"""Customers: the profile, and the stage that the ledger last recorded."""

from datetime import date

from sqlalchemy import CheckConstraint, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY
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
    `country` is a code of ISO 3166-1, or a text that could not be read as one. `phone_e164` is
    derived from `phone`.
    """

    __tablename__ = "customers"
    __table_args__ = (
        CheckConstraint("kind IN ('person', 'company')", name="kind"),
        Index("ix_customers_stage", "stage", "customer_id"),
        Index("ix_customers_owner", "owner", "customer_id"),
        Index("ix_customers_created_at", "created_at", "customer_id"),
        Index("ix_customers_updated_at", "updated_at", "customer_id"),
    )

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    version: Mapped[Counter]
    profile_version: Mapped[Counter]
    kind: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    phone: Mapped[str | None] = mapped_column(Text)
    phone_e164: Mapped[str | None] = mapped_column(Text)
    country: Mapped[str | None] = mapped_column(Text)
    region: Mapped[str | None] = mapped_column(Text)
    city: Mapped[str | None] = mapped_column(Text)
    preferred_language: Mapped[str | None] = mapped_column(Text)
    time_zone: Mapped[str | None] = mapped_column(Text)
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


class CustomerSearch(Base):
    """What a customer is found by, derived from the profile of now; no row if by the id alone.

    It is apart from `customers`, of which every fact writes a new version: not of its index.
    `terms` are beginnings of the words of the name, characters and pairs of Chinese, and `#` with
    pieces of phone numbers. In `words` and `numbers` what is longer is looked at again.
    """

    __tablename__ = "customer_search"
    __table_args__ = (
        Index("ix_customer_search_email", "email"),
        Index("ix_customer_search_terms", "terms", postgresql_using="gin"),
    )

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    email: Mapped[Identifier | None]
    words: Mapped[str] = mapped_column(Text)
    numbers: Mapped[str] = mapped_column(Text)
    terms: Mapped[list[str]] = mapped_column(ARRAY(Text))


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
