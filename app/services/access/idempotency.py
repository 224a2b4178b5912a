"""Requests that may be sent again: claimed in the transaction of their effect.

A second request with the same key waits on the first one's row, then finds its answer; if the
first failed, its claim was rolled back with everything else, and the second does the work.
"""

from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from app.errors import IdempotencyInProgress, IdempotencyKeyReused
from app.models import IdempotencyKey
from app.postgres.db import WriteSession

LOCK_NOT_AVAILABLE = "55P03"


@dataclass(frozen=True, slots=True)
class Claim:
    """A request's claim on its key."""

    key_id: str
    idempotency_key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Replay:
    """The stored answer to a request seen before."""

    status: int
    headers: dict[str, str]
    body: bytes


async def claim(session: WriteSession, claimed: Claim) -> Replay | None:
    """Claim the key for this request, or return the answer that the first one got.

    How long it is kept, the clock of the database decides, as it does when it is removed.
    """
    try:
        mine = await session.scalar(
            insert(IdempotencyKey)
            .values(
                key_id=claimed.key_id,
                idempotency_key=claimed.idempotency_key,
                fingerprint=claimed.fingerprint,
                created_at=func.now(),
            )
            .on_conflict_do_nothing()
            .returning(IdempotencyKey.key_id)
        )
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE:
            raise IdempotencyInProgress from None
        raise
    return None if mine is not None else await _replay(session, claimed)


async def _replay(session: WriteSession, claimed: Claim) -> Replay:
    row = (
        await session.execute(
            select(
                IdempotencyKey.fingerprint,
                IdempotencyKey.status,
                IdempotencyKey.headers,
                IdempotencyKey.body,
            ).where(
                IdempotencyKey.key_id == claimed.key_id,
                IdempotencyKey.idempotency_key == claimed.idempotency_key,
            )
        )
    ).one_or_none()
    if row is None or row.status is None:
        raise IdempotencyInProgress
    if row.fingerprint != claimed.fingerprint:
        raise IdempotencyKeyReused
    return Replay(row.status, row.headers, row.body)


async def store(session: WriteSession, claimed: Claim, answer: Replay) -> None:
    """Keep the answer, to be committed with the effect."""
    await session.execute(
        update(IdempotencyKey)
        .where(
            IdempotencyKey.key_id == claimed.key_id,
            IdempotencyKey.idempotency_key == claimed.idempotency_key,
        )
        .values(status=answer.status, headers=answer.headers, body=answer.body)
    )
