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
        start, end = np.searchsorted(rows.owner, [owner, owner + 1])
        bought = customers.purchases.get(owner, {})
        _overrule_one(periods, decided, bought, rows, range(int(start), int(end)), stage, found)
    for row, override in found.stood.items():
        stage[row] = names.index(override.stage)
    return found


def _overrule_one(
    periods: Sequence[PolicyPeriod],
    decided: Sequence[Override],
    bought: Mapping[int, int],
    rows: Rows,
    own: range,
    stage: Ints,
    found: Overruled,
) -> None:
    standing: Override | None = None
    former, ruled = -1, -1
    for row in own:
        number, at, says = int(rows.period[row]), int(rows.at[row]), int(stage[row])
        made = [override for override in decided if override.at == at]
        if made:
            standing = found.made[row] = made[-1]
            standing = _carried(standing, periods[number : number + 1], None)
        elif (
            standing is not None
            and standing.until is None
            and _ends(periods, rows, row, bought, answered=says != ruled and number == former)
        ):
            standing = None
        if standing is not None and standing.until is not None and at >= standing.until:
            standing = None
        if standing is not None and not made and number != former:
            carried = _carried(standing, periods[former + 1 : number + 1], periods[former])
            if carried is None:
                found.lost[row] = standing
            standing = carried
        former, ruled = number, says
        if standing is not None:
            found.stood[row] = standing


def _ends(
    periods: Sequence[PolicyPeriod],
    rows: Rows,
    row: int,
    bought: Mapping[int, int],
    *,
    answered: bool,
) -> bool:
    """Whether an override without an end ends: by a purchase, other news, or rules' new answer.

    What another policy makes rules answer is not new of the customer.
    """
    at = int(rows.at[row])
    if at in bought:
        if rows.cause[row] == INACTIVITY:
            rows.cause[row] = FACT
        return True
    return bool(periods[rows.period[row]].records.at[rows.record[row]] == at) or answered


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
