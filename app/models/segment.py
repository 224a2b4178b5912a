"""Segments: named rules in versions, and whom they had as members from when to when."""

from sqlalchemy import Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identifier, Instant, Json


class Segment(Base):
    """A segment, and which of its versions is in force; one that is retired has no members."""

    __tablename__ = "segments"

    code: Mapped[Identifier] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    retired_at: Mapped[Instant | None]
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]
    last_used_at: Mapped[Instant | None]


class SegmentVersion(Base):
    """What a segment was declared to be; never changed after it was written."""

    __tablename__ = "segment_versions"

    code: Mapped[Identifier] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    document: Mapped[Json]
    created_at: Mapped[Instant]
    created_by: Mapped[str | None] = mapped_column(Text)


class CustomerSegments(Base):
    """The codes of the segments that a customer is in, ascending; no row before the first.

    It is apart from `customers`, of which every fact writes a new version.
    """

    __tablename__ = "customer_segments"

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    codes: Mapped[list[str]] = mapped_column(ARRAY(Text))


class SegmentPeriod(Base):
    """From when to when a customer was found in a segment, by which version of it at first."""

    __tablename__ = "segment_periods"
    __table_args__ = (
        Index("ix_segment_periods_code", "code", "entered_at"),
        Index(
            "ix_segment_periods_open",
            "code",
            "customer_id",
            postgresql_where=text("left_at IS NULL"),
        ),
        Index(
            "ix_segment_periods_left",
            "code",
            "left_at",
            postgresql_where=text("left_at IS NOT NULL"),
        ),
    )

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    code: Mapped[Identifier] = mapped_column(primary_key=True)
    entered_at: Mapped[Instant] = mapped_column(primary_key=True)
    left_at: Mapped[Instant | None]
    version: Mapped[int] = mapped_column(Integer)
