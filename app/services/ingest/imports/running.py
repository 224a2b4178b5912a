"""What a worker does of an import: the next chunk, again and again.

Facts, refused rows, totals and how far it has come are one commit, of a second at most. Facts are
known again by their ids, so that what is read twice after a crash has one effect.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from time import perf_counter
from typing import Any

from sqlalchemy import func, select, update

from app.deployment import Deployment
from app.mappings.applying import Outcome
from app.mappings.compiling import parse
from app.mappings.detection import HEAD_BYTES
from app.models import Import
from app.postgres.db import AnyRow, WriteSession
from app.services.ingest.imports import orders, spool, tallies, writing
from app.services.ingest.imports.chunks import OpenFile
from app.services.ingest.imports.doors import Writer
from app.services.ingest.imports.orders import ImportOrder
from app.services.operations.parts import Part

_OPEN: dict[str, OpenFile] = {}
"""Files that this worker is reading, by their import."""
_MOST_OPEN = 2


async def step(session: WriteSession, deployment: Deployment, part: Part, now: datetime) -> bool:
    """Read and write the next chunk; True if there are more."""
    statement = select(*Import.__table__.columns).where(Import.import_id == part.operation_id)
    row = (await session.execute(statement)).one()
    file = _OPEN.pop(row.import_id, None)
    if file is None or {"skip": file.skip, "drop": file.drop} != row.checkpoint:
        file = await _open(session, deployment, row)
    await _read_on(session, row.import_id, file)
    started = perf_counter()
    outcomes = file.take()
    if file.error is not None and not outcomes:
        raise orders.unreadable(file.error)
    tally: tallies.Tally = dict(row.tally)
    order = part.asked(ImportOrder)
    writer = Writer(session, deployment, now, row.created_by, order.exchange_rates)
    await _write(writer, row.import_id, outcomes, tally, dry_run=order.dry_run)
    await session.execute(
        update(Import)
        .where(Import.import_id == row.import_id)
        .values(
            checkpoint={"skip": file.skip, "drop": file.drop},
            position=func.greatest(Import.position, file.position),
            tally=tally,
        )
    )
    file.learn(perf_counter() - started)
    _remember(row.import_id, file)
    return not file.ended or file.error is not None


async def _write(
    writer: Writer,
    import_id: str,
    outcomes: Sequence[Outcome],
    tally: tallies.Tally,
    *,
    dry_run: bool,
) -> None:
    """Write a chunk; of a trial all is taken back but what is told of it."""
    if not dry_run:
        refused = await writing.write(writer, outcomes, tally)
    else:
        trial = await writer.session.begin_nested()
        try:
            refused = await writing.write(writer, outcomes, tally)
        finally:
            await trial.rollback()
            writer.session.info.pop(writing.WRITTEN, None)
    await writing.keep(writer, import_id, tally, refused)


async def _open(session: WriteSession, deployment: Deployment, row: AnyRow) -> OpenFile:
    """Open a file at what was committed last."""
    head = await spool.head(session, row.import_id, HEAD_BYTES)
    _, plan = orders.plan_of(parse(row.mapping), head, deployment)
    return OpenFile(plan, row.checkpoint["skip"], row.checkpoint["drop"])


async def _read_on(session: WriteSession, import_id: str, file: OpenFile) -> None:
    """Read until there is a chunk, or nothing left."""
    if not file.ended:
        await asyncio.to_thread(file.go_on)
    while file.wants_bytes:
        piece = await spool.read(session, import_id, file.position, spool.PIECE)
        await asyncio.to_thread(file.feed, piece)


def _remember(import_id: str, file: OpenFile) -> None:
    if file.ended and file.error is None:
        return
    _OPEN[import_id] = file
    while len(_OPEN) > _MOST_OPEN:
        del _OPEN[next(iter(_OPEN))]


async def result(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> dict[str, Any]:
    """Return the totals, to hold against the source."""
    del now
    statement = select(Import.tally).where(Import.import_id == part.operation_id)
    tally = await session.scalar(statement)
    assert tally is not None
    return tallies.result_of(tally, deployment.calendar.zone)
