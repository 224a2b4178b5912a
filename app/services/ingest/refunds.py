"""What callers are told of refunds: what they take back, from which purchases, or from none yet."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, exists

from app.lifecycle.purchases import FREE, Key
from app.models import Transaction, UnallocatedRefund
from app.postgres.db import ReadSession
from app.services.ingest.fact_intake import IncomingFacts, Intake, Name
from app.services.ingest.named_facts import ASKED, ByName

_PURCHASE = (
    "JOIN transactions p ON p.customer_id = t.customer_id"
    " AND p.source = t.purchase_source AND p.transaction_id = t.purchase_id"
)


def _of(which: str) -> str:
    return (
        f"FROM {ASKED} JOIN refund_allocations t ON t.customer_id = asked.customer_id"
        f" AND t.{which}_source = asked.source AND t.{which}_id = asked.fact_id"
    )


# What a refund takes back is told in the currency of the purchase, on both.
_ALLOCATED = ByName(
    lambda of: (
        "SELECT asked.*, t.purchase_source AS other_source, t.purchase_id AS other_id, t.amount,"
        f" p.currency, t.effective_at {_of('refund')}{of} {_PURCHASE}"
        " UNION ALL SELECT asked.*, t.refund_source, t.refund_id, t.amount, p.currency,"
        f" t.effective_at {_of('purchase')}{of} {_PURCHASE}"
        " ORDER BY effective_at, other_source, other_id"
    )
)
_UNALLOCATED = ByName(
    lambda of: (
        "SELECT asked.*, t.amount, t.waits"  # noqa: S608
        f" FROM {ASKED} JOIN unallocated_refunds t ON t.customer_id = asked.customer_id"
        f" AND t.source = asked.source AND t.transaction_id = asked.fact_id{of}"
    )
)
_ELSEWHERE = ByName(
    lambda of: (
        "SELECT asked.customer_id, asked.fact_id, min(t.source) AS source"  # noqa: S608
        f" FROM {ASKED} JOIN transactions t ON t.customer_id = asked.customer_id"
        f" AND t.transaction_id = asked.fact_id AND t.source <> asked.source{of}"
        " AND t.kind = 'purchase' GROUP BY 1, 2"
    )
)
_REFUNDS = ByName(
    lambda of: (
        "SELECT t.customer_id, t.source, t.transaction_id"  # noqa: S608
        f" FROM {ASKED} JOIN transactions t ON t.customer_id = asked.customer_id"
        f" AND t.source = asked.source AND t.transaction_id = asked.fact_id{of}"
        " AND t.kind = 'refund'"
    )
)


async def complete(session: ReadSession, shown: Sequence[dict[str, Any]]) -> None:
    """Add to transactions as the API shows them what was set off, and what of it was not."""
    by_name = {(one["customer_id"], one["source"], one["transaction_id"]): one for one in shown}
    for one in shown:
        one |= {"allocations": [], "unallocated": None}
    if not by_name:
        return
    for *name, source, transaction_id, amount, currency, at in await _ALLOCATED.fetch(
        session, by_name
    ):
        by_name[name[0], name[1], name[2]]["allocations"].append(
            {
                "source": source,
                "transaction_id": transaction_id,
                "amount": {"amount": amount, "currency": currency},
                "effective_at": at,
            }
        )
    refunds = [name for name, one in by_name.items() if one["kind"] == "refund"]
    for *name, amount, waits in await _UNALLOCATED.fetch(session, refunds) if refunds else ():
        one = by_name[name[0], name[1], name[2]]
        currency = one["amount"]["currency"]
        one["unallocated"] = {"amount": {"amount": amount, "currency": currency}, "waits": waits}


class _Refund(NamedTuple):
    """A refund just stored, and the identity of the purchase that it names."""

    place: int
    currency: str
    amount: int
    named: Name | None


def taken_back(stored: IncomingFacts) -> list[Key | None]:
    """Return of each transaction the purchase that it takes back, as the lifecycle has it."""
    if "refund" not in stored.kinds:
        return [None] * len(stored)
    said = (stored.content["refunds_source"], stored.content["refunds_transaction_id"])
    return [
        (FREE if fact_id is None else (source, fact_id)) if kind == "refund" else None
        for kind, source, fact_id in zip(stored.kinds, *said, strict=True)
    ]


def _refunds(stored: IncomingFacts) -> dict[Name, _Refund]:
    said, found = stored.content, {}
    for row, of_purchase in enumerate(taken_back(stored)):
        if of_purchase is not None:
            name = stored.names[row]
            named = None if of_purchase == FREE else (name[0], *of_purchase)
            place, currency = stored.indexes[row], said["currency"][row]
            found[name] = _Refund(place, currency, int(said["amount"][row]), named)
    return found


async def warn(session: ReadSession, intake: Intake, stored: IncomingFacts) -> None:
    """Tell of refunds just stored that take nothing back, or less than they say."""
    refunds = _refunds(stored)
    if not refunds:
        return
    rows = [
        (refunds[row[0], row[1], row[2]], row["amount"], row["waits"])
        for row in await _UNALLOCATED.fetch(session, refunds)
    ]
    waiting = [fact.named for fact, _, waits in rows if waits]
    named = [name for name in waiting if name is not None]
    elsewhere = await _elsewhere(session, named)
    no_purchases = await _REFUNDS.fetch(session, named) if named else ()
    of_refunds = {tuple(row) for row in no_purchases}
    for fact, amount, waits in rows:
        if waits and fact.named is not None and fact.named in of_refunds:
            detail = f"{fact.named[2]!r} is a refund: it cannot be taken back."
            intake.warnings.add(fact.place, "refund_waits", detail, "/refunds")
        else:
            _tell(intake, fact, amount, elsewhere, waits=waits)
    for fact in refunds.values():
        if fact.amount == 0 and fact.named is None:
            detail = "It gives nothing back and names no purchase: it changes nothing."
            intake.warnings.add(fact.place, "refund_of_nothing", detail, "/amount")


def _tell(
    intake: Intake, fact: _Refund, amount: Decimal, elsewhere: Mapping[Name, str], *, waits: bool
) -> None:
    source = None if fact.named is None else elsewhere.get(fact.named)
    named = "" if fact.named is None else f"{fact.named[2]!r} of source {fact.named[1]!r}"
    if waits and source is not None:
        detail = (
            f"There is no purchase {named}, but one of source {source!r}: name that in"
            " `refunds.source`. Until then it takes nothing back."
        )
        intake.warnings.add(fact.place, "refund_of_another_source", detail, "/refunds")
    elif waits:
        detail = f"There is no purchase {named} yet: it takes nothing back until that comes."
        intake.warnings.add(fact.place, "refund_waits", detail, "/refunds")
    else:
        detail = (
            f"{amount.normalize():f} {fact.currency} of it exceed what is left of "
            + ("the purchase that it names." if fact.named else "earlier purchases.")
            + " That takes nothing back."
        )
        intake.warnings.add(fact.place, "refund_exceeds_purchases", detail, "/amount")


async def _elsewhere(session: ReadSession, waiting: Sequence[Name]) -> dict[Name, str]:
    """Return the source of a purchase that a waiting refund may mean, by what it names."""
    if not waiting:
        return {}
    rows = await _ELSEWHERE.fetch(session, waiting)
    found = {(customer_id, fact_id): source for customer_id, fact_id, source in rows}
    return {name: found[name[0], name[2]] for name in waiting if (name[0], name[2]) in found}


def unallocated(*, waits: bool | None) -> ColumnElement[bool]:
    """Say which transactions are refunds that take back less than they say: waiting, or not."""
    of_it = [
        UnallocatedRefund.customer_id == Transaction.customer_id,
        UnallocatedRefund.source == Transaction.source,
        UnallocatedRefund.transaction_id == Transaction.transaction_id,
    ]
    if waits is not None:
        of_it.append(UnallocatedRefund.waits == waits)
    return exists().where(*of_it)
