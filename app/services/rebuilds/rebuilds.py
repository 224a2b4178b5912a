"""A rebuild: everybody, or some, derived anew from the facts in parts, and compared.

Customers are compared without being locked; only of those who differ then is it made sure under
the lock, since a writer may have come between two statements.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text

from app.deployment import Deployment
from app.errors import Conflict, FieldError, NotFound, OperationRunning, ValidationFailed
from app.lifecycle.version import DERIVATION_VERSION
from app.models import Customer, RebuildDifference
from app.postgres.db import AnyRow, ReadSession, WriteSession, copy_rows
from app.schemas.rebuilds import RebuildRequest
from app.services.common import deployment_settings
from app.services.common.paging import PageRequest, Sort, fetch_responses
from app.services.common.stored_documents import Section
from app.services.customer_base import populations
from app.services.customers import customers
from app.services.operations import operations, parts
from app.services.operations.parts import Part
from app.services.stages import derivation, derived_state

REBUILD = "rebuild"
DERIVE = "derive_anew"
DERIVE_PART = 200
_DIGESTS = 2**128
_SHOWN = [
    RebuildDifference.customer_id,
    RebuildDifference.field,
    RebuildDifference.kept,
    RebuildDifference.derived,
]
_BY_CUSTOMER = Sort((RebuildDifference.customer_id, RebuildDifference.field))
LISTED = 200
"""Differences that are kept of a part: enough to see what is wrong."""


class RebuildOrder(Section):
    """Whom to derive anew, everybody if nobody is named, and whether to mend what differs."""

    customers: list[str] | None
    repair: bool


async def submit(
    session: WriteSession, asked: RebuildRequest, *, now: datetime, by: str
) -> dict[str, Any]:
    """Start a rebuild."""
    if asked.customers is not None:
        await _refuse_unknown(session, asked.customers)
    ids = None if asked.customers is None else sorted(set(asked.customers))
    order = RebuildOrder(customers=ids, repair=asked.repair)
    row = await operations.submit(session, REBUILD, order, now=now, requested_by=by)
    return operations.to_response(row)


async def start_due(session: WriteSession, now: datetime) -> None:
    """Mend what another release derived by other rules, unless that is being done.

    The release that migrated last does, so that no two of them mend each other's work.
    """
    version = await deployment_settings.get(session, deployment_settings.DERIVATION)
    in_charge = await deployment_settings.get(session, deployment_settings.IN_CHARGE)
    pointers = await deployment_settings.pointers(session)
    settled = pointers.settled_policy_version == pointers.policy_version
    if version != DERIVATION_VERSION and settled and in_charge in (None, DERIVATION_VERSION):
        # Another rebuild may be open: it is looked at again after that.
        with contextlib.suppress(OperationRunning):
            order = RebuildOrder(customers=None, repair=True)
            await operations.submit(session, REBUILD, order, now=now)


async def _refuse_unknown(session: ReadSession, customer_ids: Sequence[str]) -> None:
    statement = select(Customer.customer_id).where(
        Customer.customer_id == text("ANY(CAST(:customer_ids AS text[]))")
    )
    known = set(await session.scalars(statement, {"customer_ids": list(customer_ids)}))
    faults = [
        FieldError(f"/customers/{place}", "unknown_customer", "there is no such customer")
        for place, customer_id in enumerate(customer_ids)
        if customer_id not in known
    ]
    if faults:
        raise ValidationFailed(errors=faults)


async def plan_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Split those asked for into parts."""
    del deployment, now
    order = part.asked(RebuildOrder)
    if order.customers is None:
        ranges: list[tuple[str, dict[str, Any]]] = [
            (DERIVE, {"after": after, "up_to": up_to})
            for after, up_to in await populations.boundaries(session, DERIVE_PART)
        ]
    else:
        ranges = [(DERIVE, {"customers": order.customers})]
    await parts.plan(session, part, ranges, part.context)


async def derive_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Compare what is kept of the customers of a part with what follows from their facts."""
    pointers = await deployment_settings.pointers(session)
    if pointers.settled_policy_version != pointers.policy_version:
        raise Conflict("A policy is being put in force. Rebuild again when that is done.")
    repair = part.asked(RebuildOrder).repair
    found = await derived_state.compare(session, deployment, await _customers_of(session, part))
    outdated = [each for each, one in found.items() if one.outdated]
    doubtful = [each for each, one in found.items() if one.differences]
    await customers.lock_or_create(session, [*doubtful, *(outdated if repair else ())], now)
    found |= await derived_state.compare(session, deployment, doubtful)
    differing = [each for each, one in found.items() if one.differences]
    await _list(session, part, found)
    outcome = {
        "customers": len(found),
        "differing": len(differing),
        "differences": sum(len(one.differences) for one in found.values()),
        "outdated": len(outdated),
        "repaired": len(differing) if repair else 0,
    }
    if repair:
        await derivation.rebuild(session, deployment, differing, now)
        # A writer since then has derived by the present rules: nothing else can have changed.
        await derivation.confirm(session, sorted(set(outdated) - set(differing)))
        found |= await derived_state.compare(session, deployment, differing)
    outcome["remaining"] = sum(bool(one.differences) for one in found.values())
    digest = sum(one.digest for one in found.values()) % _DIGESTS
    await parts.note(session, part, {**outcome, "digest": f"{digest:032x}"})


async def _list(
    session: WriteSession, part: Part, found: Mapping[str, derived_state.Compared]
) -> None:
    """Keep the differences of a part, up to a number."""
    rows = [
        (customer_id, part.operation_id, field, to_json(before), to_json(after))
        for customer_id, one in found.items()
        for field, before, after in one.differences
    ]
    columns = ("customer_id", "operation_id", "field", "kept", "derived")
    await copy_rows(session, "rebuild_differences", columns, rows[:LISTED])


def to_json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


async def result(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> dict[str, Any]:
    """Return what all parts found; after everybody is mended, say by which rules."""
    del deployment, now
    noted = await parts.noted(session, part)
    order = part.asked(RebuildOrder)
    names = ("customers", "differing", "differences", "outdated", "repaired", "remaining")
    counts = {name: sum(outcome[name] for outcome in noted) for name in names}
    if (
        order.customers is None
        and not counts["remaining"]
        and (order.repair or not counts["outdated"])
        and not await _is_mixed(session)
    ):
        version = deployment_settings.DERIVATION
        await deployment_settings.put(session, version, DERIVATION_VERSION)
    digest = sum(int(outcome["digest"], 16) for outcome in noted) % _DIGESTS
    return {**counts, "digest": f"{digest:032x}", "derivation_version": DERIVATION_VERSION}


# Who was written to by a process of another release after their part was done.
_MIXED = text("SELECT EXISTS (SELECT FROM purchase_summaries WHERE derivation_version <> :version)")


async def _is_mixed(session: ReadSession) -> bool:
    """Say whether some are derived by other rules than these; then a rebuild follows."""
    return bool(await session.scalar(_MIXED, {"version": DERIVATION_VERSION}))


async def list_differences(
    session: ReadSession, operation_id: str, page: PageRequest
) -> dict[str, Any]:
    """Return a page of what a rebuild found to differ."""
    operation = await operations.get(session, operation_id)
    if operation.kind != REBUILD:
        raise NotFound(f"Operation {operation_id!r} is no rebuild.")
    statement = select(*_SHOWN, *_BY_CUSTOMER.columns).where(
        RebuildDifference.operation_id == operation_id
    )
    bound_to = {"list": "rebuild_differences", "operation_id": operation_id}
    return await fetch_responses(session, statement, page, _BY_CUSTOMER, bound_to, to_response)


def to_response(row: AnyRow) -> dict[str, Any]:
    """Return a difference as the API shows it."""
    return {column.key: getattr(row, column.key) for column in _SHOWN}


async def _customers_of(session: ReadSession, part: Part) -> list[str]:
    if "customers" in part.arguments:
        return list(part.arguments["customers"])
    statement = (
        select(Customer.customer_id)
        .where(
            Customer.customer_id > part.arguments["after"],
            Customer.customer_id <= part.arguments["up_to"],
        )
        .order_by(Customer.customer_id)
    )
    return list(await session.scalars(statement))
