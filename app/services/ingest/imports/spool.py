"""Keeps a file in pieces in the database, so that any worker reads on from any byte of it."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator

from sqlalchemy import delete, func, insert, select, update

from app.errors import FieldError, PayloadTooLarge, ValidationFailed
from app.mappings.faults import FILE_CODES
from app.mappings.rows import LIMITS
from app.models import Import, ImportPiece
from app.postgres.db import Database, ReadSession, WriteSession
from app.services.ingest.imports.unpacking import Unpacker

PIECE = 1_000_000
"""Bytes of a piece, unpacked."""
_FAST = 1
_RATIO, _FREE = LIMITS.ratio, LIMITS.free
"""How many times its packed size a file may have, once it is larger than what is not looked at."""


async def store(
    database: Database, import_id: str, arriving: AsyncIterator[bytes], most: int
) -> tuple[int, list[str]]:
    """Store a file while it arrives; return its size unpacked, and how it was packed.

    Each piece is a transaction of its own: whoever sends slowly holds no connection.
    """
    unpacker, held, size = Unpacker(), bytearray(), 0
    async for plain in _unpacked(unpacker, arriving):
        held += plain
        size += len(plain)
        if size > most:
            raise PayloadTooLarge(f"The limit is {most} bytes, unpacked: send it in several files")
        if size > max(_FREE, _RATIO * unpacker.bytes_in):
            fault = FieldError("", "decompression_bomb", FILE_CODES["decompression_bomb"])
            raise ValidationFailed("The file cannot be read.", errors=[fault])
        while len(held) >= PIECE:
            await _write(database, import_id, size - len(held), bytes(held[:PIECE]))
            del held[:PIECE]
    if held:
        await _write(database, import_id, size - len(held), bytes(held))
    return size, unpacker.packed_with


async def _unpacked(unpacker: Unpacker, arriving: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what is in the pieces that arrive; to unpack takes time that is not the loop's."""
    async for packed in arriving:
        async for plain in _in_thread(unpacker.feed(packed)):
            yield plain
    async for plain in _in_thread(unpacker.finish()):
        yield plain


async def _in_thread(steps: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (plain := await asyncio.to_thread(next, steps, None)) is not None:
        yield plain


async def _write(database: Database, import_id: str, starts_at: int, plain: bytes) -> None:
    packed = await asyncio.to_thread(zlib.compress, plain, _FAST)
    async with database.writes() as session, session.begin():
        await session.execute(
            insert(ImportPiece).values(
                import_id=import_id, starts_at=starts_at, size=len(plain), packed=packed
            )
        )
        await session.execute(
            update(Import).where(Import.import_id == import_id).values(size=starts_at + len(plain))
        )


async def read(session: ReadSession, import_id: str, position: int, size: int) -> bytes:
    """Return bytes of a file from a position on: at least so many, or all that are left."""
    after = position + size
    first = (
        select(func.max(ImportPiece.starts_at))
        .where(ImportPiece.import_id == import_id, ImportPiece.starts_at <= position)
        .scalar_subquery()
    )
    pieces = await session.execute(
        select(ImportPiece.starts_at, ImportPiece.packed)
        .where(
            ImportPiece.import_id == import_id,
            ImportPiece.starts_at >= first,
            ImportPiece.starts_at < after,
        )
        .order_by(ImportPiece.starts_at)
    )
    begin, parts = position, []
    for starts_at, packed in pieces:
        begin = min(begin, starts_at)
        parts.append(zlib.decompress(packed))
    return b"".join(parts)[position - begin :]


async def head(session: ReadSession, import_id: str, size: int) -> bytes:
    """Return the first bytes of a file, by which it is known what it is."""
    return (await read(session, import_id, 0, size))[:size]


async def remove(session: WriteSession, import_id: str) -> None:
    """Remove a file that nobody will read."""
    await session.execute(delete(ImportPiece).where(ImportPiece.import_id == import_id))
