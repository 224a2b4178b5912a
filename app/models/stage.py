"""The ledger of transitions between stages, and the policies that decide them."""

from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identifier, Instant, Json

SUPERSEDED_WITHIN = timedelta(hours=1)
"""What stood no longer was superseded within one load of facts, and told nobody anything."""


class StageTransition(Base):
    """One recorded transition; one that later facts disproved gets `voided_at`, never edited."""

    __tablename__ = "stage_transitions"
    __table_args__ = (
        Index(
            "uq_stage_transitions_live",
            "customer_id",
            "effective_at",
            unique=True,
            postgresql_where=text("voided_at IS NULL"),
        ),
        Index(
            "ix_stage_transitions_effective_at",
            "effective_at",
            "customer_id",
            "transition_id",
            postgresql_where=text("voided_at IS NULL"),
        ),
        Index(
            "ix_stage_transitions_voided_at",
            "voided_at",
            postgresql_where=text("voided_at IS NOT NULL"),
        ),
        Index(
            "ix_stage_transitions_superseded",
            "customer_id",
            "transition_id",
            postgresql_where=text("voided_at - recorded_at < '01:00:00'::interval"),
        ),
    )

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    transition_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    from_stage: Mapped[str] = mapped_column(Text)
    to_stage: Mapped[str] = mapped_column(Text)
    effective_at: Mapped[Instant]
    recorded_at: Mapped[Instant]
    voided_at: Mapped[Instant | None]
    cause: Mapped[str] = mapped_column(Text)
    rule: Mapped[str] = mapped_column(Text)
    policy_version: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[str | None] = mapped_column(Text)
    evidence: Mapped[Json]
    derivation_version: Mapped[int] = mapped_column(Integer)


class StageOverride(Base):
    """An override: the stage that somebody set, which the ledger then follows.

    With `stands_until` rules do not overrule it before then, or before it was `released_at`. Who
    takes one back sets another, and that one is released the instant it is made.
    """

    __tablename__ = "stage_overrides"

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    override_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    stage: Mapped[str] = mapped_column(Text)
    set_at: Mapped[Instant]
    stands_until: Mapped[Instant | None]
    released_at: Mapped[Instant | None]
    reason: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)


class Policy(Base):
    """A version of the stages and their entry rules; never changed after it was written.

    `interaction_kinds` is what was then declared of the kinds that it looks at; versions from
    before there was anything to declare have none. A release may put a preset in other words.
    """

    __tablename__ = "policies"

    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    preset: Mapped[str | None] = mapped_column(Text, unique=True)
    document: Mapped[Json]
    interaction_kinds: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[Instant]
    created_by: Mapped[str | None] = mapped_column(Text)


class PolicyActivation(Base):
    """From when on a version was in force; the first one holds from the beginning of time.

    `writers_until` is the last instant that somebody may have told of by the policy before, known
    once all of those have ended; `settled_at` is when the stages of everybody followed.
    """

    __tablename__ = "policy_activations"

    activation_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(Integer)
    activated_at: Mapped[Instant]
    activated_by: Mapped[str | None] = mapped_column(Text)
    writers_until: Mapped[Instant | None]
    settled_at: Mapped[Instant | None]
