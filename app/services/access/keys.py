"""API keys: whose they are, and making, showing and changing them."""

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Float, case, cast, extract, func, or_, select

from app.errors import NotFound
from app.models import ApiKey
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.schemas.keys import ADMIN, SCOPES
from app.services.access import key_texts
from app.services.common.paging import PageRequest, Sort, fetch_responses


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, and what they may do.

    `lasts` is for how many seconds the key was still valid when it was recognised, by the clock of
    the database; None if it has no end.
    """

    key_id: str
    scopes: frozenset[str]
    expires_at: datetime | None
    name: str = ""
    rate_per_second: float | None = None
    burst: int | None = None
    lasts: float | None = None

    def may(self, scope: str) -> bool:
        return scope in self.scopes or ADMIN in self.scopes


def _left(end: Any) -> ColumnElement[float]:
    """Return the seconds until an instant, by the clock of the database."""
    return cast(extract("epoch", end - func.now()), Float)


VALID = ApiKey.revoked_at.is_(None) & or_(
    ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()
)
HAS_PREVIOUS = ApiKey.previous_secret_hash.is_not(None) & or_(
    ApiKey.previous_ends_at.is_(None), ApiKey.previous_ends_at > func.now()
)
_RECOGNISED = select(
    ApiKey.key_id,
    ApiKey.name,
    ApiKey.scopes,
    ApiKey.expires_at,
    ApiKey.rate_per_second,
    ApiKey.burst,
    ApiKey.secret_hash,
    ApiKey.previous_secret_hash,
    HAS_PREVIOUS.label("has_previous"),
    _left(ApiKey.expires_at).label("left"),
    _left(ApiKey.previous_ends_at).label("previous_left"),
).where(VALID)


async def recognise(session: ReadSession, key: str) -> Principal | None:
    """Return whose key this is, or None if it is not (or no longer) one."""
    parts = key_texts.read(key)
    if parts is None:
        return None
    key_id, secret = parts
    row = (await session.execute(_RECOGNISED.where(ApiKey.key_id == key_id))).one_or_none()
    if row is None:
        return None
    shown, ends = key_texts.hashed(secret), [row.left]
    if not hmac.compare_digest(row.secret_hash, shown):
        if not row.has_previous or not hmac.compare_digest(row.previous_secret_hash, shown):
            return None
        ends.append(row.previous_left)
    return Principal(
        row.key_id,
        frozenset(row.scopes),
        row.expires_at,
        row.name,
        row.rate_per_second,
        row.burst,
        min((left for left in ends if left is not None), default=None),
    )


async def create(
    session: WriteSession,
    name: str,
    scopes: Sequence[str],
    *,
    now: datetime,
    expires_at: datetime | None = None,
    rate_per_second: float | None = None,
    burst: int | None = None,
) -> str:
    """Make a key and return it; it cannot be shown again."""
    refuse_unknown(scopes)
    key_id, secret = key_texts.random_text(8), key_texts.random_text(32)
    session.add(
        ApiKey(
            key_id=key_id,
            name=name,
            secret_hash=key_texts.hashed(secret),
            scopes=sorted(set(scopes)),
            created_at=now,
            expires_at=expires_at,
            rate_per_second=rate_per_second,
            burst=burst,
        )
    )
    await session.flush()
    return key_texts.write(key_id, secret)


def refuse_unknown(scopes: Collection[str]) -> None:
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise ValueError(f"scopes must be some of {', '.join(SCOPES)}; unknown: {unknown}")


def id_of(key: str) -> str:
    """Return the id that is a part of a key."""
    return key.split("_")[1]


_STATE = case(
    (ApiKey.revoked_at.is_not(None), "revoked"),
    (ApiKey.expires_at <= func.now(), "expired"),
    else_="valid",
).label("state")
_PLAIN = (
    ApiKey.key_id,
    ApiKey.name,
    ApiKey.scopes,
    ApiKey.created_at,
    ApiKey.expires_at,
    ApiKey.revoked_at,
    ApiKey.last_used_at,
    ApiKey.rotated_at,
    ApiKey.rate_per_second,
    ApiKey.burst,
)
_SHOWN = (
    *_PLAIN,
    _STATE,
    HAS_PREVIOUS.label("previous_secret_valid"),
    case((HAS_PREVIOUS, ApiKey.previous_ends_at)).label("previous_ends_at"),
)
_BY_AGE = Sort((ApiKey.created_at, ApiKey.key_id), descending=True)


def to_response(row: AnyRow) -> dict[str, Any]:
    """Return a key as the API shows it."""
    names = (*(column.key for column in _PLAIN), "state", "previous_secret_valid")
    return {name: getattr(row, name) for name in (*names, "previous_ends_at")}


async def get(session: ReadSession, key_id: str) -> dict[str, Any]:
    """Return one key, without its secrets."""
    row = (await session.execute(select(*_SHOWN).where(ApiKey.key_id == key_id))).one_or_none()
    if row is None:
        raise unknown(key_id)
    return to_response(row)


async def search(session: ReadSession, page: PageRequest) -> dict[str, Any]:
    """Return a page of keys, newest first."""
    bound_to: Mapping[str, object] = {"list": "keys"}
    statement = select(*_SHOWN, *_BY_AGE.columns)
    return await fetch_responses(session, statement, page, _BY_AGE, bound_to, to_response)


async def listed(session: ReadSession) -> Sequence[AnyRow]:
    """Return all keys without their secrets, oldest first."""
    return (await session.execute(select(*_SHOWN).order_by(ApiKey.created_at))).all()


def unknown(key_id: str) -> NotFound:
    return NotFound(f"There is no key {key_id!r}.")
