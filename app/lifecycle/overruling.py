"""Where overrides stand in the place of what rules say, from when until when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from app.lifecycle.dated import Ints
from app.lifecycle.instants import FACT, INACTIVITY, Customers, Override, PolicyPeriod, Rows


@dataclass(frozen=True)
class Overruled:
    """Overrides by row: those that stood, those made at it, and those that a policy has lost."""

    stood: dict[int, Override] = field(default_factory=dict)
    made: dict[int, Override] = field(default_factory=dict)
    lost: dict[int, Override] = field(default_factory=dict)


def overrule(
    periods: Sequence[PolicyPeriod],
    customers: Customers,
    names: Sequence[str],
    rows: Rows,
    stage: Ints,
) -> Overruled:
    """Put overrides in the place of what rules say, in `stage`.

    Where a purchase ends one and is nothing else to rules, that row becomes one of a fact.
    """
    found = Overruled()
    for owner, decided in customers.overrides.items():
        start, end = np.searchsorted(rows.owner, [owner, owner + 1]).tolist()
        bought = customers.purchases.get(owner, {})
        _overrule_one(periods, decided, bought, rows, slice(start, end), stage, found)
    for row, override in found.stood.items():
        stage[row] = names.index(override.stage)
    return found


def _overrule_one(
    periods: Sequence[PolicyPeriod],
    decided: Sequence[Override],
    bought: Mapping[int, int],
    rows: Rows,
    own: slice,
    stage: Ints,
    found: Overruled,
) -> None:
    """Put the overrides of one customer in the place of what rules say.

    One without an end is ended by a purchase, or by a new answer of the rules; what another policy
    makes them answer is not new of the customer.
    """
    made_at = {override.at: override for override in decided}
    columns = (rows.period[own], rows.at[own], stage[own])
    standing: Override | None = None
    former, ruled = -1, -1
    for row, (number, at, says) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True), own.start
    ):
        made = made_at.get(at)
        if made is not None:
            found.made[row] = made
            standing = _carried(made, periods[number : number + 1], None)
        elif standing is not None and standing.until is None:
            if at in bought and rows.cause[row] == INACTIVITY:
                rows.cause[row] = FACT
            if at in bought or (says != ruled and number == former):
                standing = None
        if standing is not None and standing.until is not None and at >= standing.until:
            standing = None
        if standing is not None and made is None and number != former:
            carried = _carried(standing, periods[former + 1 : number + 1], periods[former])
            if carried is None:
                found.lost[row] = standing
            standing = carried
        former, ruled = number, says
        if standing is not None:
            found.stood[row] = standing


def _carried(
    standing: Override, periods: Sequence[PolicyPeriod], former: PolicyPeriod | None
) -> Override | None:
    """Return an override in the words of the policies that follow one upon another."""
    stage: str | None = standing.stage
    for period in periods:
        if stage is not None:
            stage = period.policy.carried(stage, None if former is None else former.policy)
        former = period
    return None if stage is None else replace(standing, stage=stage)
