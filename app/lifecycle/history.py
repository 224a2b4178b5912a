"""The history of a customer's stage as a function of time, and the transitions that it consists of.

The stage at an instant is what the policy then in force makes of the facts up to then, unless
an override still stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from app.lifecycle import evidence
from app.lifecycle.dated import Bools, Ints
from app.lifecycle.evaluator import evaluate
from app.lifecycle.instants import (
    MANUAL,
    POLICY,
    Customers,
    DayStart,
    Override,
    PolicyPeriod,
    Rows,
    instants,
)
from app.lifecycle.overruling import Overruled, overrule

CAUSES = ("inactivity", "fact", "policy", "manual")
BY_HAND = "override"
"""What stands in the ledger in place of a rule where an override stands."""
OVERRIDE_ENDED = "override_ended"
"""The reason of a transition back to what rules say when the time of an override is over."""


class Transition(NamedTuple):
    """A change of stage, with what decided it; `evidence` is JSON."""

    owner: int
    from_stage: str
    to_stage: str
    at: int
    cause: str
    rule: str
    policy_version: int
    reason: str | None
    actor: str | None
    evidence: str


class Rename(NamedTuple):
    """A stage that a change of policy calls otherwise; no transition."""

    owner: int
    from_stage: str
    to_stage: str
    at: int
    policy_version: int


@dataclass(frozen=True)
class History:
    """Every instant at which a stage might have changed, and what it then was."""

    periods: tuple[PolicyPeriod, ...]
    customers: Customers
    names: tuple[str, ...]
    rows: Rows
    stage: Ints
    """By row, the place in `names`."""
    rule: Ints
    overruled: Overruled
    before: Ints
    changed: Bools
    renamed: Bools
    """By row, whether a change of policy calls the stage otherwise, in which the customer stays."""

    def last(self, customers: int) -> list[tuple[str, int | None]]:
        """Return for each customer the stage at the end, and the instant of the last transition."""
        found: list[tuple[str, int | None]] = [
            (self.periods[-1].policy.beginning, None)
        ] * customers
        owner = self.rows.owner
        begins = np.r_[True, owner[1:] != owner[:-1]][: len(owner)]
        ends = np.flatnonzero(np.r_[begins[1:], True][: len(owner)])
        place = np.arange(len(owner))
        moved = np.maximum.accumulate(np.where(self.changed | begins, place, 0))[ends]
        columns = owner[ends], self.stage[ends], self.changed[moved], self.rows.at[moved]
        for number, stage, has_moved, at in zip(*(each.tolist() for each in columns), strict=True):
            found[number] = self.names[stage], at if has_moved else None
        return found

    def beginning(self, owner: int) -> str:
        """Return the stage in which a customer began."""
        (rows,) = np.nonzero(self.rows.owner == owner)
        period = self.rows.period[rows[0]] if len(rows) else len(self.periods) - 1
        return self.periods[period].policy.beginning

    def last_rows(self) -> dict[int, int]:
        """Return the row of the last instant of each customer who has any."""
        return {owner: row for row, owner in enumerate(self.rows.owner.tolist())}

    def step(self, row: int) -> tuple[str, str]:
        """Return the stages before and after an instant."""
        return self.names[self.before[row]], self.names[self.stage[row]]

    def renames(self) -> list["Rename"]:
        """Return what changes of policy called otherwise while the customer stayed in it."""
        return [
            Rename(
                int(self.rows.owner[row]),
                *self.step(row),
                int(self.rows.at[row]),
                self.periods[self.rows.period[row]].policy.version,
            )
            for row in np.flatnonzero(self.renamed).tolist()
        ]

    def called_anew(self) -> dict[int, str]:
        """Return how those are called now whose stage has another name since they came into it."""
        found: dict[int, str] = {}
        for row in np.flatnonzero(self.changed | self.renamed).tolist():
            owner = int(self.rows.owner[row])
            if self.renamed[row]:
                found[owner] = self.names[self.stage[row]]
            else:
                found.pop(owner, None)
        return found

    def standing_override(self, owner: int) -> Override | None:
        """Return the override that stands at the end, if one does."""
        (rows,) = np.nonzero(self.rows.owner == owner)
        return self.overruled.stood.get(int(rows[-1])) if len(rows) else None

    def returns(self, of: int = 0) -> list[int]:
        """Return the instants at which one who had left became a customer again.

        A change of policy brings nobody back.
        """
        found = []
        own = self.changed & (self.rows.cause != POLICY) & (self.rows.owner == of)
        for row in np.flatnonzero(own).tolist():
            period, owner = self.rows.period, self.rows.owner
            follows = row > 0 and owner[row - 1] == owner[row]
            former = self.periods[period[row - 1 if follows else row]].policy
            policy = self.periods[period[row]].policy
            entered = policy.stage(self.names[self.stage[row]])
            if former.has_left(self.names[self.before[row]]) and entered.role == "customer":
                found.append(int(self.rows.at[row]))
        return found

    def project(self, until: int, until_day: int, day_start: DayStart) -> "History":
        """Go on to a later instant, as if nothing happened but the passing of time."""
        end = self.customers.until
        n = len(end)
        overrides = {
            owner: [override for override in decided if override.at <= end[owner]]
            for owner, decided in self.customers.overrides.items()
        }
        purchases = {
            owner: {at: day for at, day in bought.items() if at <= end[owner]}
            for owner, bought in self.customers.purchases.items()
        }
        customers = replace(
            self.customers,
            until=np.full(n, until),
            until_day=np.full(n, until_day),
            overrides={owner: decided for owner, decided in overrides.items() if decided},
            purchases=purchases,
        )
        in_force = [period for period in self.periods if period.start <= end.max()]
        return trace(in_force, customers, day_start)

    def churn_date(self, after: int) -> int | None:
        """Return the first day on which the one followed has left, later than an instant."""
        for row in np.flatnonzero(self.rows.at > after).tolist():
            policy = self.periods[self.rows.period[row]].policy
            if policy.has_left(self.names[self.stage[row]]):
                return int(self.rows.day[row])
        return None

    def transitions(self) -> list[Transition]:
        """Return the changes of stage in order of owner and time."""
        changed = np.flatnonzero(self.changed)
        found, rows = self.rows, changed.tolist()
        cause = found.cause[changed].tolist()
        period, rule = found.period[changed].tolist(), self.rule[changed].tolist()
        policies = [period.policy for period in self.periods]
        stood, made = self.overruled.stood, self.overruled.made
        why = (
            ([self._reason(row, number) for row, number in zip(rows, cause, strict=True)],
             [made[row].actor if row in made else None for row in rows])
            if made or MANUAL in cause else ([None] * len(rows), [None] * len(rows))
        )  # fmt: skip
        columns = (
            found.owner[changed].tolist(),
            [self.names[code] for code in self.before[changed].tolist()],
            [self.names[code] for code in self.stage[changed].tolist()],
            found.at[changed].tolist(),
            [CAUSES[number] for number in cause],
            [
                BY_HAND if row in stood else policies[number].rules[place].code
                for row, number, place in zip(rows, period, rule, strict=True)
            ],
            [policies[number].version for number in period],
            *why,
            self._evidence(changed),
        )
        return list(map(Transition._make, zip(*columns, strict=True)))

    def _reason(self, row: int, cause: int) -> str | None:
        made = self.overruled.made.get(row)
        return made.reason if made else OVERRIDE_ENDED if cause == MANUAL else None

    def _evidence(self, rows: Ints) -> list[str]:
        """Return, as JSON, the values that decided, in the order in which jsonb has them."""
        told = ["{}"] * len(rows)
        for number, period in enumerate(self.periods):
            here = np.flatnonzero(self.rows.period[rows] == number)
            own = rows[here]
            values = period.records.values(
                period.policy.terms, self.rows.record[own], self.rows.day[own]
            )
            for place, text in zip(here.tolist(), evidence.documents(values), strict=False):
                told[place] = text
        return told


def trace(periods: Sequence[PolicyPeriod], customers: Customers, day_start: DayStart) -> History:
    """Follow the stages of customers through time."""
    rows = instants(periods, customers, day_start)
    names = tuple(dict.fromkeys(name for period in periods for name in period.policy.stages))
    stage = np.zeros(len(rows.owner), dtype=np.int64)
    rule = np.zeros(len(rows.owner), dtype=np.int64)
    for number, period in enumerate(periods):
        own = np.flatnonzero(rows.period == number)
        decided, rule[own] = evaluate(
            period.policy, period.records, rows.record[own], rows.day[own]
        )
        stage[own] = np.array([names.index(name) for name in period.policy.stages])[decided]
    overruled = overrule(periods, customers, names, rows, stage)
    begins = np.r_[True, rows.owner[1:] != rows.owner[:-1]][: len(rows.owner)]
    first = np.array([names.index(period.policy.beginning) for period in periods])
    before = np.where(begins, first[rows.period], np.r_[0, stage][: len(stage)])
    called = _renamed(periods, names, rows, begins, before)
    changed = (stage != called) & ~(begins & customers.known[rows.owner])
    renamed = (called != before) & ~changed
    return History(
        tuple(periods), customers, names, rows, stage, rule, overruled, before, changed, renamed
    )


def _renamed(
    periods: Sequence[PolicyPeriod], names: Sequence[str], rows: Rows, begins: Bools, before: Ints
) -> Ints:
    """Return what the stage before each row is called by the policy in force at the row."""
    called = before
    former = np.where(begins, rows.period, np.r_[0, rows.period][: len(rows.period)])
    for number, period in enumerate(periods):
        code = {name: place for place, name in enumerate(names)}
        table = np.array([code[period.policy.maps.get(name, name)] for name in names])
        came_into_force = (former < number) & (number <= rows.period)
        called = np.where(came_into_force, table[called], called)
    return called
