"""Policies as they are stored."""

from sqlalchemy import select

from app.db import ReadSession
from app.lifecycle import policy as policies
from app.models import Policy
from app.services import settings

_parsed: dict[int, policies.Policy] = {}


async def get(session: ReadSession, version: int) -> policies.Policy:
    """Return a version; a version never changes, so each is read once."""
    if version not in _parsed:
        document = await session.scalar(select(Policy.document).where(Policy.version == version))
        if document is None:
            raise LookupError(f"policy {version} is not stored")
        _parsed[version] = policies.parse(version, document)
    return _parsed[version]


async def active(session: ReadSession) -> policies.Policy:
    """Return the policy in force."""
    return await get(session, (await settings.pointers(session)).policy_version)


async def stage_names(session: ReadSession, version: int) -> list[tuple[str, dict[str, str]]]:
    """Return code and names of each stage, in order."""
    document = await session.scalar(select(Policy.document).where(Policy.version == version))
    return [(stage["code"], stage["name"]) for stage in (document or {}).get("stages", [])]
