"""Transactions of a batch that look like lines of one order, each posted as an order of its own.

An export has a row for each line of an invoice. Posted as they are, rows with ids of their own
become orders of one line, and rows with the id of the invoice conflict after the first. Both are
told once a batch: what belongs together is one transaction, with its lines in `items`.
"""

import re
from collections.abc import Collection, Sequence
from typing import Final

from app.services.ingest.fact_intake import IncomingFacts, Intake, Name

CODE: Final = "lines_of_one_order"
_EXAMPLES = 3
_QUARTER_HOUR = 900_000_000
"""Only an instant off it, in microseconds, is more than a day or an hour: all some exports know."""
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


Instant = tuple[str, int, str, str]
"""Customer, microseconds, source and kind."""


def warn(intake: Intake, incoming: IncomingFacts, conflicts: Collection[int]) -> None:
    """Tell the batch of facts that share customer, source, kind and instant, or even the id."""
    keys: list[Instant] = list(
        zip(
            incoming.customer_ids, incoming.at.tolist(), incoming.sources, incoming.kinds,
            strict=True,
        )
    )  # fmt: skip
    if len(set(keys)) < len(keys):
        groups: dict[Instant, set[str]] = {}
        for key, fact_id in zip(keys, incoming.fact_ids, strict=True):
            groups.setdefault(key, set()).add(fact_id)
        shared = [(key[1], group) for key, group in groups.items() if len(group) > 1]
        _tell_of_instants(intake, shared, len(incoming))
    if conflicts:
        _tell_of_ids(intake, incoming, conflicts)


def _tell_of_instants(intake: Intake, shared: Sequence[tuple[int, set[str]]], size: int) -> None:
    """Tell of ids of numbered lines, and of many facts at one moment.

    Two orders of a customer within a minute do happen: 14 of 1,000 in a log of a wholesaler.
    """
    numbered = [_numbered(group) for _, group in shared]
    found = [ids for orders in numbered for ids in orders]
    moments = [
        sorted(group)
        for (at, group), orders in zip(shared, numbered, strict=True)
        if not orders and at % _QUARTER_HOUR
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


def _numbered(group: Collection[str]) -> list[list[str]]:
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


def _tell_of_ids(intake: Intake, incoming: IncomingFacts, conflicts: Collection[int]) -> None:
    """Tell of ids that the batch itself gives to several contents."""
    refused = {
        name
        for name, index in zip(incoming.names, incoming.indexes, strict=True)
        if index in conflicts
    }
    contents: dict[Name, set[tuple[int, bytes]]] = {}
    rows = zip(incoming.names, incoming.revisions, incoming.fingerprints, strict=True)
    for name, revision, fingerprint in rows:
        if name in refused:
            contents.setdefault(name, set()).add((revision, fingerprint))
    named = sorted(name[2] for name, known in contents.items() if len(known) > 1)
    if named:
        detail = (
            f"{len(named)} ids come with several contents in this batch, such as "
            f"{', '.join(named[:_EXAMPLES])}: only the first of each was written. {_HINT}"
        )
        intake.warnings.add_to_batch(CODE, detail, "/items")
