"""Many profiles in one write."""

from collections.abc import Sequence
from datetime import datetime

from pydantic_core import PydanticCustomError

from app.deployment import Deployment
from app.errors import BatchRejected, FieldError
from app.postgres.db import WriteSession
from app.schemas.common.shapes import Rejected
from app.schemas.common.warnings import Warnings
from app.schemas.customers import BulkProfile
from app.services.common import batches, threads
from app.services.common.batches import Outcome
from app.services.customers.customers import lock_or_create
from app.services.ingest import profile_drafts, profile_warnings, profiles
from app.services.ingest.profile_drafts import Claims
from app.services.ingest.profile_warnings import Contact


async def merge(
    session: WriteSession,
    deployment: Deployment,
    items: Sequence[BulkProfile | Rejected],
    *,
    atomic: bool,
    now: datetime,
    by: str,
) -> tuple[list[Outcome], Warnings]:
    """Merge each item into its customer, in order; a customer not known is made."""
    outcomes, warnings, written = await batches.rejections(items), Warnings(), list[Contact]()
    good = await _possible(items, outcomes, now)
    created = (
        await lock_or_create(session, [item.customer_id for _, item in good], now) if good else {}
    )
    stated = profiles.stated([(item.customer_id, item) for _, item in good])
    drafts = await profiles.drafts(session, created, stated, now)
    unseen = {customer_id for customer_id, new in created.items() if new}
    async for index, item in threads.in_turns(good):
        each = item.customer_id
        try:
            is_news = drafts[each].merge(item, by)
        except PydanticCustomError as error:
            fault = FieldError(f"/items/{index}/attributes", error.type, error.message())
            outcomes[index] = ("rejected", batches.validation_error([fault]))
            continue
        status = "updated" if is_news else "duplicate"
        outcomes[index] = ("created" if each in unseen else status, None)
        unseen.discard(each)
        profile_warnings.say_not_current(warnings, index, item, drafts[each], is_news=is_news)
        written.append((index, item, drafts[each]))
    if atomic and any(status == "rejected" for status, _ in outcomes):
        raise BatchRejected(errors=batches.faults(outcomes))
    await profile_warnings.say_unread(warnings, written, deployment)
    await profiles.write(session, deployment, list(drafts.values()), now)
    return outcomes, warnings


async def _possible(
    items: Sequence[BulkProfile | Rejected], outcomes: list[Outcome], now: datetime
) -> list[tuple[int, BulkProfile]]:
    """Return the items that may be written, and reject those that lie ahead or contradict."""
    good, claims = [], Claims()
    async for index, item in threads.in_turns(enumerate(items)):
        if isinstance(item, Rejected):
            continue
        fault = profile_drafts.fault_of(item, now) or claims.fault_of(item.customer_id, item)
        if fault is None:
            good.append((index, item))
        else:
            fault = FieldError(f"/items/{index}{fault.pointer}", fault.code, fault.detail)
            outcomes[index] = ("rejected", batches.validation_error([fault]))
    return good
