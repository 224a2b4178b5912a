"""API keys: making, listing, revoking and recognising them."""

import hashlib
import hmac
import math
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update

from app.db import AnyRow, ReadSession, WriteSession
from app.models import ApiKey

ADMIN = "admin"
SCOPES = (
    "customers:read",
    "customers:write",
    "transactions:write",
    "interactions:write",
    "scores:read",
    "models:write",
    "policies:write",
    "rebuilds:write",
    "reports:read",
    "operations:read",
    ADMIN,
)
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, and what they may do."""

    key_id: str
    scopes: frozenset[str]
    seconds_left: float
    """Until the key expires, when it was recognised, by the clock of the database."""

    def may(self, scope: str) -> bool:
        return scope in self.scopes or ADMIN in self.scopes


async def create(
    session: WriteSession,
    name: str,
    scopes: Sequence[str],
    *,
    now: datetime,
    expires_at: datetime | None = None,
) -> str:
    """Make a key and return it; it cannot be shown again."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise ValueError(f"scopes must be some of {', '.join(SCOPES)}; unknown: {unknown}")
    key_id, secret = _random(8), _random(32)
    session.add(
        ApiKey(
            key_id=key_id,
            name=name,
            secret_hash=_hash(secret),
            scopes=sorted(set(scopes)),
            created_at=now,
            expires_at=expires_at,
        )
    )
    await session.flush()
    return f"clm_{key_id}_{secret}"


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _hash(secret: str) -> bytes:
    # 190 random bits cannot be guessed, so a slow hash would protect nothing.
    return hashlib.sha256(secret.encode()).digest()


_SECONDS_LEFT = func.extract("epoch", ApiKey.expires_at - func.clock_timestamp())


async def recognise(session: ReadSession, key: str) -> Principal | None:
    """Return whose key this is, or None if it is not (or no longer) one."""
    parts = key.split("_")
    if len(parts) != 3 or parts[0] != "clm" or not key.isascii():
        return None
    row = (
        await session.execute(
            select(
                ApiKey.key_id,
                ApiKey.secret_hash,
                ApiKey.scopes,
                ApiKey.revoked_at,
                _SECONDS_LEFT.label("seconds_left"),
            ).where(ApiKey.key_id == parts[1])
        )
    ).one_or_none()
    if row is None or not hmac.compare_digest(row.secret_hash, _hash(parts[2])):
        return None
    left = math.inf if row.seconds_left is None else float(row.seconds_left)
    if row.revoked_at is not None or left <= 0:
        return None
    return Principal(row.key_id, frozenset(row.scopes), left)


async def listed(session: ReadSession) -> Sequence[AnyRow]:
    """Return all keys without their secrets, oldest first."""
    rows = await session.execute(
        select(
            ApiKey.key_id,
            ApiKey.name,
            ApiKey.scopes,
            ApiKey.created_at,
            ApiKey.expires_at,
            ApiKey.revoked_at,
        ).order_by(ApiKey.created_at)
    )
    return rows.all()


async def revoke(session: WriteSession, key_id: str, now: datetime) -> bool:
    """Revoke a key; processes that saw it lately obey it for at most ten seconds more."""
    revoked = await session.scalar(
        update(ApiKey)
        .where(ApiKey.key_id == key_id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(ApiKey.key_id)
    )
    return revoked is not None
