"""Money of a file by currency, and by what became of its transactions.

All that was taken in is held against the source, repeated rows too; what was created and updated,
less what that replaced, is by how much more is stored.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np

from app.money import to_amount, to_units
from app.postgres.db import WriteSession
from app.schemas.common.types import format_amount
from app.services.ingest.fact_intake import IncomingFacts, Name
from app.services.ingest.named_facts import ByName, each_named

OUTCOMES: Final = ("created", "updated", "replaced", "duplicate")
NAMES: Final = {"purchase": ("purchases", "purchased"), "refund": ("refunds", "refunded")}
Key = tuple[str, str, str]
"""Currency, kind and outcome."""
_SAME = (
    "t.customer_id = asked.customer_id AND t.source = asked.source"
    " AND t.transaction_id = asked.fact_id"
)
_BEFORE = ByName(
    lambda of: (
        "SELECT t.customer_id, t.source, t.transaction_id, t.revision, t.voided_at IS NULL,"
        " t.content ->> 'currency', t.content ->> 'kind', t.content ->> 'amount'"
        f" {each_named('transaction_revisions', _SAME)(of)} ORDER BY t.revision"
    )
)


def none() -> dict[str, Any]:
    """Return the sums of nothing."""
    return {"purchases": 0, "purchased": "0.00", "refunds": 0, "refunded": "0.00"}


async def count(
    session: WriteSession, sums: dict[str, Any], taken: IncomingFacts, outcomes: Sequence[str]
) -> None:
    """Add transactions that were taken in to the sums by currency, each by its outcome."""
    amounts = np.asarray(taken.content["amount"]).tolist()
    keys = list(zip(taken.content["currency"], taken.kinds, outcomes, strict=True))
    for key, number in Counter(keys).items():
        units = sum(amount for amount, of in zip(amounts, keys, strict=True) if of == key)
        _add(sums, key, number, units)
        _add_to(sums[key[0]], key[1], number, units)
    if "updated" in outcomes:
        async for key, units in _replaced(session, taken, amounts, keys):
            _add(sums, key, 1, units)


def _add(sums: dict[str, Any], key: Key, number: int, units: int) -> None:
    code, kind, outcome = key
    of_currency = sums.setdefault(code, none())
    _add_to(of_currency.setdefault(outcome, none()), kind, number, units)


def _add_to(sums: dict[str, Any], kind: str, number: int, units: int) -> None:
    numbers, amounts = NAMES[kind]
    sums[numbers] += number
    sums[amounts] = format_amount(Decimal(sums[amounts]) + to_amount(units))


async def _replaced(
    session: WriteSession, taken: IncomingFacts, amounts: Sequence[int], keys: Sequence[Key]
) -> AsyncIterator[tuple[Key, int]]:
    """Yield what facts replaced: others of the same write, or what was in force before it."""
    in_force: dict[Name, int] = {}
    before: dict[Name, int] = {}
    for row, (_, _, outcome) in enumerate(keys):
        name = taken.names[row]
        if outcome == "updated":
            if name in in_force:
                code, kind, _ = keys[in_force[name]]
                yield (code, kind, "replaced"), amounts[in_force[name]]
            else:
                before[name] = taken.revisions[row]
        if outcome in ("created", "updated"):
            in_force[name] = row
    found: dict[Name, Any] = {}
    if not before:
        return
    for *named, revision, stands, code, kind, amount in await _BEFORE.fetch(session, before):
        name = (named[0], named[1], named[2])
        if revision < before[name]:
            found[name] = (code, kind, amount) if stands else None
    for code, kind, amount in filter(None, found.values()):
        yield (code, kind, "replaced"), to_units(Decimal(amount))


def told(sums: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the sums as they are told, by currency."""
    return [
        {
            **_told(code, of_currency),
            **{each: _told(code, of_currency.get(each, none())) for each in OUTCOMES},
        }
        for code, of_currency in sorted(sums.items())
    ]


def _told(currency: str, sums: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"amount": Decimal(value), "currency": currency} if type(value) is str else value
        for name, value in sums.items()
        if name not in OUTCOMES
    }
