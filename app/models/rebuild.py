"""What a rebuild found to differ between what was kept and what follows from the facts."""

from typing import Any

from sqlalchemy import Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identifier


class RebuildDifference(Base):
    """A value kept of a customer that was not what the facts say; null is what was not there."""

    __tablename__ = "rebuild_differences"
    __table_args__ = (
        Index("ix_rebuild_differences_operation_id", "operation_id", "customer_id", "field"),
    )

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    operation_id: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    field: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    kept: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    derived: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
