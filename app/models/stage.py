"""The ledger of moves between stages, and the policies that decide them."""

from sqlalchemy import BigInteger, Identity, Index, Integer, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identifier, Instant, Json


class StageTransition(Base):
    """One recorded move; a move that later facts disproved gets `voided_at`, and stays."""

    __tablename__ = "stage_transitions"
    __table_args__ = (
        Index(
            "uq_stage_transitions_live",
            "customer_id",
            "effective_at",
            unique=True,
            postgresql_where=text("voided_at IS NULL"),
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


class Policy(Base):
    """A version of the stages and their entry rules."""

    __tablename__ = "policies"

    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    document: Mapped[Json]
    created_at: Mapped[Instant]
