"""Transactions of a batch that look like lines of one order, each posted as an order of its own.

An export has a row for each line of an invoice. Posted as they are, rows with ids of their own
become orders of one line, and rows with the id of the invoice conflict after the first. Both are
told once a batch: what belongs together is one transaction, with its lines in `items`.
"""

import re
from collections.abc import Collection, Sequence
from typing import Final

from app.services.ingest.fact_intake import IncomingFact, Intake

CODE: Final = "lines_of_one_order"
_EXAMPLES = 3
_QUARTER_HOUR = 900
_USUAL_SHARE = 0.05
# 536365-1, order#2, INV/77.c: what an order is called, with a digit, then which of its lines.
_SEPARATORS = "-_#/:. |"
_DIGIT = re.compile(r"\d")
_LINE = re.compile(r"0*[1-9]\d?|0|[a-z]", re.IGNORECASE)
_FIRST_LINES = ("0", "1", "a")

_HINT = (
    "If these are lines of one order, post the order once, with the sum as its amount and the "
    "lines in `items`."
)


def warn(intake: Intake, incoming: Sequence[IncomingFact], conflicts: Collection[int]) -> None:
    """Tell the batch of facts that share customer, source, kind and instant, or even the id."""
    groups: dict[tuple[object, ...], dict[str, IncomingFact]] = {}
    for fact in incoming:
        key = (fact.customer_id, fact.occurred_at, fact.source, fact.kind)
        groups.setdefault(key, {}).setdefault(fact.fact_id, fact)
    shared = [group for group in groups.values() if len(group) > 1]
    _tell_of_instants(intake, shared, len(incoming))
    if conflicts:
        _tell_of_ids(intake, incoming, conflicts)


def _tell_of_instants(intake: Intake, shared: Sequence[dict[str, IncomingFact]], size: int) -> None:
    """Tell of ids of numbered lines, and of many facts at one moment.

    Two orders of a customer within a minute do happen: 14 of 1,000 in a log of a wholesaler.
    """
    numbered = [_numbered(group) for group in shared]
    found = [ids for orders in numbered for ids in orders]
    moments = [
        sorted(group)
        for group, orders in zip(shared, numbered, strict=True)
        if not orders and _is_a_moment(group)
    ]
    if max(map(len, moments), default=0) > 2 or sum(map(len, moments)) > size * _USUAL_SHARE:
        found += moments
    if found:
        shown = "; ".join(", ".join(ids[:_EXAMPLES]) for ids in found[:_EXAMPLES])
        detail = (
            f"{sum(map(len, found))} transactions share customer, source and instant with another: "
            f"{len(found)} groups such as {shown}. {_HINT}"
        )
        intake.warnings.add_to_batch(CODE, detail, "/items")


def _is_a_moment(group: dict[str, IncomingFact]) -> bool:
    """Whether the instant is more than a day or an hour, which is all that some exports know."""
    at = next(iter(group.values())).occurred_at
    return bool(at.microsecond or (at.minute * 60 + at.second) % _QUARTER_HOUR)


def _numbered(group: dict[str, IncomingFact]) -> list[list[str]]:
    """Return the ids of each order whose lines are numbered from their beginning."""
    orders: dict[str, list[tuple[str, str]]] = {}
    for fact_id in sorted(group):
        parts = _split(fact_id)
        if parts is not None:
            orders.setdefault(parts[0], []).append((parts[1], fact_id))
    return [
        [fact_id for _, fact_id in lines]
        for lines in orders.values()
        if len(lines) > 1 and any(line in _FIRST_LINES for line, _ in lines)
    ]


def _split(fact_id: str) -> tuple[str, str] | None:
    """Return what an order is called and which of its lines this is; None for another id."""
    end = max(map(fact_id.rfind, _SEPARATORS))
    if end < 0 or not _LINE.fullmatch(fact_id, end + 1) or not _DIGIT.search(fact_id, 0, end):
        return None
    return fact_id[:end], fact_id[end + 1 :].lower().lstrip("0") or "0"


def _tell_of_ids(
    intake: Intake, incoming: Sequence[IncomingFact], conflicts: Collection[int]
) -> None:
    """Tell of ids that the batch itself gives to several contents."""
    refused = {fact.name for fact in incoming if fact.index in conflicts}
    contents: dict[tuple[str, str, str], set[tuple[int, bytes]]] = {}
    for fact in incoming:
        if fact.name in refused:
            contents.setdefault(fact.name, set()).add((fact.revision, fact.fingerprint))
    named = sorted(name[2] for name, known in contents.items() if len(known) > 1)
    if named:
        detail = (
            f"{len(named)} ids come with several contents in this batch, such as "
            f"{', '.join(named[:_EXAMPLES])}: only the first of each was written. {_HINT}"
        )
        intake.warnings.add_to_batch(CODE, detail, "/items")
