"""Rules of the worklist: whom to call, and why."""

from sqlalchemy import Index, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Instant, Json


class WorklistRuleSet(Base):
    """A version of the rules of the worklist; the one that was activated last is in force.

    Without any in force, the ready set counts, which is stored nowhere.
    """

    __tablename__ = "worklist_rule_sets"
    __table_args__ = (Index("ix_worklist_rule_sets_activated_at", "activated_at"),)

    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    document: Mapped[Json]
    created_at: Mapped[Instant]
    created_by: Mapped[str] = mapped_column(Text)
    activated_at: Mapped[Instant | None]
    activated_by: Mapped[str | None] = mapped_column(Text)
