"""The scoring run that workers start by themselves: one per slot, however many workers."""

from datetime import datetime, timedelta

from app.days import EPOCH
from app.errors import Conflict, OperationRunning
from app.postgres.db import WriteSession
from app.services.common import deployment_settings
from app.services.runs import runs

_LAST_SLOT = "last_scoring_slot"


async def start_due(session: WriteSession, every: timedelta | None, now: datetime) -> None:
    """Start the run of the present slot unless it was started; a new database waits for the next.

    While another run is open the slot stays due. Of workers that look at the same moment one makes
    the operation of the slot, and the others find it.
    """
    if every is None:
        return
    slot = (now - EPOCH) // every
    name = f"{every.total_seconds():.0f}s/{slot}"
    last = await deployment_settings.get(session, _LAST_SLOT)
    if last == name:
        return
    if last is not None:
        try:
            await runs.submit_scheduled(session, name, now)
        except (OperationRunning, Conflict):
            return
    await deployment_settings.put(session, _LAST_SLOT, name)
