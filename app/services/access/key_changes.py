"""What becomes of keys: made on request, changed, rotated, revoked."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, func, or_, select, update

from app.errors import Conflict, FieldError, LastAdminKey, MissingScope, ValidationFailed
from app.models import ApiKey
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.schemas.keys import ADMIN, KeyPatch, KeyRequest, KeyRotation
from app.services.access import key_texts, keys
from app.services.access.keys import HAS_PREVIOUS, VALID, Principal

Which = Literal["previous", "current"]


async def database_time(session: ReadSession) -> datetime:
    """Return the time by which keys end: that of the database, which all processes share."""
    now: datetime = await session.scalar(select(func.now()))  # type: ignore[assignment]
    return now


async def create(session: WriteSession, asked: KeyRequest, by: Principal) -> dict[str, Any]:
    """Make a key of scopes that its maker has, and show it this once."""
    _refuse_widening(asked.scopes, by)
    now = await database_time(session)
    expires_at = asked.expires_at
    if asked.expires_in_days is not None:
        expires_at = now + timedelta(days=asked.expires_in_days)
    _check_end(expires_at, now, "/expires_at")
    _check_burst(asked.rate_per_second, asked.burst)
    key = await keys.create(
        session,
        asked.name,
        asked.scopes,
        now=now,
        expires_at=expires_at,
        rate_per_second=asked.rate_per_second,
        burst=asked.burst,
    )
    return {**await keys.get(session, keys.id_of(key)), "key": key}


def _refuse_widening(scopes: Collection[str], by: Principal) -> None:
    for scope in scopes:
        if not by.may(scope):
            detail = f"A key cannot give the scope {scope}, which it lacks itself."
            raise MissingScope(detail, missing_scope=scope)


def _check_end(end: datetime | None, now: datetime, pointer: str) -> None:
    if end is not None and end <= now:
        raise ValidationFailed(errors=[FieldError(pointer, "past", "must lie ahead")])


def _check_burst(rate_per_second: float | None, burst: int | None) -> None:
    if burst is not None and rate_per_second is None:
        detail = "counts for nothing without `rate_per_second`"
        raise ValidationFailed(errors=[FieldError("/burst", "burst", detail)])


async def change(
    session: WriteSession, key_id: str, asked: KeyPatch, by: Principal
) -> dict[str, Any]:
    """Merge a change into a key that was not revoked."""
    row = await _locked(session, key_id)
    given = asked.model_dump(include=asked.model_fields_set)
    if "scopes" in given:
        _refuse_widening(set(given["scopes"]) - set(row.scopes), by)
        given["scopes"] = sorted(set(given["scopes"]))
    if given.get("expires_at") != row.expires_at:
        _check_end(given.get("expires_at"), await database_time(session), "/expires_at")
    told = {"rate_per_second": row.rate_per_second, "burst": row.burst, **given}
    _check_burst(told["rate_per_second"], told["burst"])
    ends = given.get("expires_at", row.expires_at)
    sooner = ends is not None and (row.expires_at is None or ends < row.expires_at)
    if sooner or ADMIN not in given.get("scopes", row.scopes):
        await _refuse_last_admin(session, row)
    return await _write(session, key_id, given)


async def revoke(
    session: WriteSession, key_id: str, *, even_last_admin: bool = False
) -> dict[str, Any]:
    """End a key for good; processes that saw it lately obey it for at most ten seconds more."""
    row = await _locked(session, key_id, revoked=True)
    if row.revoked_at is not None:
        return await keys.get(session, key_id)
    if not even_last_admin:
        await _refuse_last_admin(session, row)
    return await _write(session, key_id, {"revoked_at": await database_time(session)})


async def rotate(session: WriteSession, key_id: str, asked: KeyRotation) -> dict[str, Any]:
    """Give a key a second secret, and show it this once; the one of before stays for a while."""
    row = await _locked(session, key_id)
    if row.has_previous:
        raise Conflict(
            f"Key {key_id} has two secrets already: remove the `previous` one, or the `current` "
            "one if it was lost."
        )
    now = await database_time(session)
    _check_end(asked.previous_ends_at, now, "/previous_ends_at")
    secret = key_texts.random_text(32)
    values = {
        "secret_hash": key_texts.hashed(secret),
        "previous_secret_hash": row.secret_hash,
        "previous_ends_at": asked.previous_ends_at,
        "rotated_at": now,
    }
    shown = await _write(session, key_id, values)
    return {**shown, "key": key_texts.write(key_id, secret)}


async def remove_secret(session: WriteSession, key_id: str, which: Which) -> dict[str, Any]:
    """End one of two secrets: that of before a rotation, or the new one, which takes it back."""
    row = await _locked(session, key_id)
    if not row.has_previous:
        raise Conflict(f"Key {key_id} has one secret: revoke the key, or rotate it first.")
    values: dict[str, Any] = {"previous_secret_hash": None, "previous_ends_at": None}
    if which == "current":
        values |= {"secret_hash": row.previous_secret_hash, "rotated_at": None}
    return await _write(session, key_id, values)


async def _locked(session: WriteSession, key_id: str, *, revoked: bool = False) -> AnyRow:
    """Return a key, and the admin keys locked before it: of two who end them, one sees the other.

    All are locked by one statement in one order, and read by a later one, which sees what the
    writers before this one have committed.
    """
    ours = or_(
        ApiKey.key_id == key_id, ApiKey.scopes.contains([ADMIN]) & ApiKey.revoked_at.is_(None)
    )
    await session.execute(
        select(ApiKey.key_id).where(ours).order_by(ApiKey.key_id).with_for_update()
    )
    columns = (*ApiKey.__table__.columns, HAS_PREVIOUS.label("has_previous"))
    row = (await session.execute(select(*columns).where(ApiKey.key_id == key_id))).one_or_none()
    if row is None:
        raise keys.unknown(key_id)
    if row.revoked_at is not None and not revoked:
        raise Conflict(f"Key {key_id} was revoked.")
    return row


async def _refuse_last_admin(session: ReadSession, row: AnyRow) -> None:
    """Refuse to end an admin key unless another one is valid for at least as long."""
    ended = await session.scalar(select(~VALID).where(ApiKey.key_id == row.key_id))
    if ADMIN not in row.scopes or ended:
        return
    as_long: ColumnElement[bool] = ApiKey.expires_at.is_(None)
    if row.expires_at is not None:
        as_long = or_(as_long, ApiKey.expires_at >= row.expires_at)
    others = select(func.count()).where(
        ApiKey.key_id != row.key_id, ApiKey.scopes.contains([ADMIN]), VALID, as_long
    )
    if not await session.scalar(others):
        raise LastAdminKey(
            f"No other key with the scope admin is valid as long as {row.key_id}: make one first."
        )


async def _write(session: WriteSession, key_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    if values:
        await session.execute(update(ApiKey).where(ApiKey.key_id == key_id).values(**values))
    return await keys.get(session, key_id)
