"""The one evaluator: columns of many customers in, their stages and the deciding rules out.

Used for one customer, for a batch at ingest and for everybody, so that a rule has one meaning.
"""

import numpy as np

from app.lifecycle.dated import Column, Ints
from app.lifecycle.expressions import compare
from app.lifecycle.policy import Policy
from app.lifecycle.records import Records
from app.lifecycle.variables.definition import Term


def evaluate(policy: Policy, records: Records, rows: Ints, day: Ints) -> tuple[Ints, Ints]:
    """Return the stage and the index of the deciding rule of records on a `day` each."""
    values = records.values(policy.terms, rows, day)
    rule = np.full(len(rows), len(policy.rules) - 1, dtype=np.int64)
    for index in range(len(policy.rules) - 2, -1, -1):
        rule[policy.rules[index].when.holds(values, len(rows))] = index
    return policy.stage_of_rule[rule], rule


def threshold_crossings(
    policy: Policy, records: Records, rows: Ints, first: Ints, last: Ints
) -> tuple[Ints, Ints]:
    """Return on which days comparisons turn by time alone, as (place in `rows`, day) pairs.

    Days after `first` up to `last` are looked at, one of each for each row. Between two facts a
    variable only grows or only falls, so that each threshold is crossed once at most: bisection
    finds the day.
    """
    places: list[Ints] = []
    days: list[Ints] = []
    later = np.flatnonzero(last > first)
    thresholds = {
        (term.term, *threshold) for term in policy.time_dependent for threshold in term.thresholds()
    }
    for term, op, other in sorted(thresholds, key=repr) if len(later) else ():
        place, low, high = later, first[later], last[later]
        before = _holds(records, term, op, other, rows[place], low)
        flips = before != _holds(records, term, op, other, rows[place], high)
        place, low, high, before = place[flips], low[flips], high[flips], before[flips]
        while (high - low > 1).any():
            middle = (low + high) // 2
            same = _holds(records, term, op, other, rows[place], middle) == before
            low, high = np.where(same, middle, low), np.where(same, high, middle)
        places.append(place)
        days.append(high)
    none = [np.zeros(0, dtype=np.int64)]
    return np.concatenate(none + places), np.concatenate(none + days)


def _holds(
    records: Records, term: Term, op: str, other: float | Term, rows: Ints, day: Ints
) -> Column:
    asked = (term, other) if isinstance(other, Term) else (term,)
    values = records.values(asked, rows, day)
    return compare(op, values[term], values[other] if isinstance(other, Term) else other)
