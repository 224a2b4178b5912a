"""Many profiles in one write."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic_core import PydanticCustomError
from sqlalchemy import select, text

from app.db import WriteSession
from app.deployment import Deployment
from app.errors import BatchRejected, FieldError
from app.models import Customer
from app.schemas.common.shapes import Rejected
from app.schemas.common.warnings import Warnings
from app.schemas.customers import BulkProfile
from app.services.common import batches
from app.services.common.batches import Outcome
from app.services.customers.customers import COLUMNS, lock_or_create
from app.services.ingest import profiles


async def merge(
    session: WriteSession,
    deployment: Deployment,
    items: Sequence[BulkProfile | Rejected],
    *,
    atomic: bool,
    now: datetime,
) -> tuple[list[Outcome], Warnings]:
    """Merge each item into its customer, in order; a customer not known is made."""
    outcomes, warnings = batches.rejections(items), Warnings()
    good = [(index, item) for index, item in enumerate(items) if isinstance(item, BulkProfile)]
    created = (
        await lock_or_create(session, [item.customer_id for _, item in good], now) if good else {}
    )
    before = await _profiles(session, list(created))
    after = {customer_id: dict(profile) for customer_id, profile in before.items()}
    unseen = {customer_id for customer_id, new in created.items() if new}
    for index, item in good:
        each = item.customer_id
        try:
            profile = profiles.merged(after[each], item)
        except PydanticCustomError as error:
            fault = FieldError(f"/items/{index}/attributes", error.type, error.message())
            outcomes[index] = ("rejected", batches.validation_error([fault]))
            continue
        status = "duplicate" if profiles.same(profile, after[each]) else "updated"
        outcomes[index] = ("created" if each in unseen else status, None)
        unseen.discard(each)
        after[each] = profile
    if atomic and any(status == "rejected" for status, _ in outcomes):
        raise BatchRejected(errors=batches.faults(outcomes))
    await profiles.write(session, deployment, before, after, created, now)
    return outcomes, warnings


async def _profiles(session: WriteSession, customer_ids: list[str]) -> dict[str, dict[str, Any]]:
    rows = await session.execute(
        select(*COLUMNS).where(Customer.customer_id == text("ANY(CAST(:customer_ids AS text[]))")),
        {"customer_ids": customer_ids},
    )
    return {row.customer_id: profiles.profile_of(row) for row in rows}
