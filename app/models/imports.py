"""Files that are taken in: what was sent, how it is read, and which lines were refused."""

from typing import Any

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Counter, Identifier, Instant, Json


class Import(Base):
    """A file that was sent; once all of it is here, an operation of the same id reads it.

    `position` is how many of its bytes, unpacked, have been read; `checkpoint` is up to where they
    have been written, and `tally` what came of that. All change in the transaction of what they
    tell of.
    """

    __tablename__ = "imports"
    __table_args__ = (
        Index("ix_imports_created_at", "created_at", "import_id"),
        Index("ix_imports_source", "source", "created_at"),
    )

    import_id: Mapped[Identifier] = mapped_column(primary_key=True)
    created_at: Mapped[Instant]
    received_at: Mapped[Instant | None]
    created_by: Mapped[str] = mapped_column(Text)
    file_name: Mapped[str | None] = mapped_column(Text)
    source: Mapped[str | None] = mapped_column(Text(collation="C"))
    request: Mapped[Json]
    layout: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    mapping: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    size: Mapped[Counter]
    position: Mapped[Counter]
    checkpoint: Mapped[Json]
    tally: Mapped[Json]


class ImportPiece(Base):
    """A piece of a file, packed by itself: any worker goes on from any byte of it."""

    __tablename__ = "import_pieces"

    import_id: Mapped[Identifier] = mapped_column(primary_key=True)
    starts_at: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    size: Mapped[int] = mapped_column(Integer)
    packed: Mapped[bytes] = mapped_column(LargeBinary)


class ImportRejection(Base):
    """A line that was refused, as it was sent, and why."""

    __tablename__ = "import_rejections"

    import_id: Mapped[Identifier] = mapped_column(primary_key=True)
    line: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    field: Mapped[str | None] = mapped_column(Text)
    code: Mapped[str] = mapped_column(Text)
    detail: Mapped[str] = mapped_column(Text)
    raw: Mapped[bytes] = mapped_column(LargeBinary)


class Mapping(Base):
    """A version of a mapping from columns of files to what customers and facts are made of."""

    __tablename__ = "mappings"

    name: Mapped[Identifier] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    document: Mapped[Json]
    created_at: Mapped[Instant]
    created_by: Mapped[str | None] = mapped_column(Text)


class Source(Base):
    """What is known of a system that facts come from; of which kind it is may not be said yet."""

    __tablename__ = "sources"

    source: Mapped[Identifier] = mapped_column(primary_key=True)
    kind: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)
    trust_rank: Mapped[int] = mapped_column(Integer)
    consent_basis: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]
