"""Locks of the whole deployment, each held to the end of a transaction."""

from sqlalchemy import text

from app.db import ReadSession, WriteSession

POLICY_VERSIONS = 4_252_021
POLICY_IN_FORCE = 4_252_023
"""Shared by all who write by the policy in force; alone with it, one may put another in force."""


async def hold(session: WriteSession, lock: int) -> None:
    """Hold a lock alone, waiting for it."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})


async def share(session: ReadSession, lock: int) -> None:
    """Hold a lock with others; what is read in later statements is what its holder left."""
    await session.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": lock})
