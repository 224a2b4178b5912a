"""Many profiles in one write."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic_core import PydanticCustomError
from sqlalchemy import Integer, bindparam, select, text, update

from app.db import WriteSession
from app.errors import BatchRejected, FieldError
from app.models import Customer
from app.schemas.common import BulkItemError, Rejected
from app.schemas.customers import BulkProfile
from app.services import batches
from app.services.customers import COLUMNS, PROFILE_FIELDS, merged, same, take


async def merge(
    session: WriteSession,
    items: Sequence[BulkProfile | Rejected],
    *,
    atomic: bool,
    now: datetime,
) -> list[tuple[str, BulkItemError | None]]:
    """Merge each item into its customer, in order; a customer not known is made."""
    outcomes = batches.rejections(items)
    good = [(index, item) for index, item in enumerate(items) if isinstance(item, BulkProfile)]
    created = await take(session, [item.customer_id for _, item in good], now) if good else {}
    before = await _profiles(session, list(created))
    after = {each: dict(profile) for each, profile in before.items()}
    unseen = {each for each, new in created.items() if new}
    for index, item in good:
        each = item.customer_id
        try:
            profile = merged(after[each], item)
        except PydanticCustomError as error:
            fault = FieldError(f"/items/{index}/attributes", error.type, error.message())
            outcomes[index] = ("rejected", batches.validation_error([fault]))
            continue
        status = "duplicate" if same(profile, after[each]) else "updated"
        outcomes[index] = ("created" if each in unseen else status, None)
        unseen.discard(each)
        after[each] = profile
    if atomic and any(status == "rejected" for status, _ in outcomes):
        raise BatchRejected(errors=batches.faults(outcomes))
    changed = {each: profile for each, profile in after.items() if not same(profile, before[each])}
    await _write(session, changed, created, now)
    return outcomes


async def _profiles(session: WriteSession, customer_ids: list[str]) -> dict[str, dict[str, Any]]:
    rows = await session.execute(
        select(*COLUMNS).where(Customer.customer_id == text("ANY(CAST(:customer_ids AS text[]))")),
        {"customer_ids": customer_ids},
    )
    return {
        row.customer_id: {field: getattr(row, field) for field in PROFILE_FIELDS} for row in rows
    }


async def _write(
    session: WriteSession,
    profiles: dict[str, dict[str, Any]],
    created: Mapping[str, bool],
    now: datetime,
) -> None:
    """Write profiles that changed; one made in this transaction keeps its first version."""
    if not profiles:
        return
    fields: dict[str, Any] = {field: bindparam(f"new_{field}") for field in PROFILE_FIELDS}
    version = Customer.profile_version + bindparam("step", type_=Integer)
    connection = await session.connection()
    await connection.execute(
        update(Customer.__table__)  # type: ignore[arg-type]  # the class maps one table
        .where(Customer.customer_id == bindparam("taken_id"))
        .values(**fields, profile_version=version, updated_at=now),
        [
            {
                "taken_id": each,
                "step": 0 if created[each] else 1,
                **{f"new_{field}": value for field, value in profile.items()},
            }
            for each, profile in profiles.items()
        ],
    )
