"""The rows of scoring runs: what each run was, while it is kept."""

from sqlalchemy import select

from app.models import Run
from app.postgres.db import AnyRow, ReadSession


async def find(session: ReadSession, run_id: int) -> AnyRow | None:
    """Return a run, or None if it is no longer kept."""
    statement = select(*Run.__table__.columns).where(Run.run_id == run_id)
    return (await session.execute(statement)).one_or_none()


async def get(session: ReadSession, run_id: int) -> AnyRow:
    """Return a run that is kept."""
    row = await find(session, run_id)
    assert row is not None
    return row
