"""Takes a file in while it arrives, and starts the operation that reads it.

Nothing is read before all of it is here: a file that breaks off has written no fact.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, update

from app.deployment import Deployment
from app.mappings.detection import HEAD_BYTES
from app.mappings.document import MappingDocument
from app.models import Import
from app.postgres.db import Database, ReadSession, WriteSession
from app.services.common.stored_documents import stamped
from app.services.ingest.imports import orders, sources, spool, tallies
from app.services.ingest.imports.orders import ImportOrder
from app.services.operations import operations

IMPORT = "import"


async def take_in(
    session: WriteSession,
    database: Database,
    deployment: Deployment,
    arriving: AsyncIterator[bytes],
    order: ImportOrder,
    *,
    file_name: str | None,
    most: int,
    now: datetime,
    by: str,
) -> dict[str, Any]:
    """Store a file and start its import; return the operation.

    `session` is not used before the last byte is here: it would hold a connection meanwhile.
    """
    async with database.reads() as reading:
        order = await orders.check(ReadSession(reading), order)
    import_id = operations.new_id()
    await _begin(database, import_id, order, file_name=file_name, now=now, by=by)
    try:
        _, packed_with = await spool.store(database, import_id, arriving, most)
        document, layout = await _read(database, deployment, import_id, order, packed_with)
        return await _complete(session, import_id, order, document, layout, now, by)
    except BaseException:
        with contextlib.suppress(Exception):  # housekeeping removes what is left
            await _forget(database, import_id)
        raise


async def _begin(
    database: Database,
    import_id: str,
    order: ImportOrder,
    *,
    file_name: str | None,
    now: datetime,
    by: str,
) -> None:
    async with database.writes() as session, session.begin():
        await session.execute(
            insert(Import).values(
                import_id=import_id,
                created_at=now,
                created_by=by,
                file_name=file_name,
                source=order.source,
                request=stamped(order.model_dump(mode="json")),
                size=0,
                position=0,
                checkpoint=tallies.BEGINNING,
                tally=tallies.new(),
            )
        )


async def _read(
    database: Database,
    deployment: Deployment,
    import_id: str,
    order: ImportOrder,
    packed_with: list[str],
) -> tuple[MappingDocument, dict[str, Any]]:
    """Return the mapping of a file that is here, and how it is written.

    To find that out takes a while, in which no transaction is open: it would be ended as idle.
    """
    async with database.reads() as opened:
        reading = ReadSession(opened)
        head = await spool.head(reading, import_id, HEAD_BYTES)
        document = await orders.document_of(reading, order, head)
    detected, _ = await asyncio.to_thread(orders.plan_of, document, head, deployment)
    return document, orders.layout_of(detected, packed_with)


async def _complete(
    session: WriteSession,
    import_id: str,
    order: ImportOrder,
    document: MappingDocument,
    layout: dict[str, Any],
    now: datetime,
    by: str,
) -> dict[str, Any]:
    await session.execute(
        update(Import)
        .where(Import.import_id == import_id)
        .values(
            received_at=now,
            source=document.source,
            layout=layout,
            mapping=document.model_dump(mode="json", by_alias=True, exclude_none=True),
        )
    )
    await sources.note(session, document.source, now)
    row = await operations.submit(
        session, IMPORT, order, now=now, requested_by=by, operation_id=import_id
    )
    return operations.to_response(row)


async def _forget(database: Database, import_id: str) -> None:
    async with database.writes() as session, session.begin():
        await spool.remove(WriteSession(ReadSession(session)), import_id)
        await session.execute(delete(Import).where(Import.import_id == import_id))
