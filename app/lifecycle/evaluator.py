"""The one evaluator: columns of many customers in, their stages and the deciding rules out.

Used for one customer, for a batch at ingest and for everybody, so that a rule has one meaning.
"""

import numpy as np

from app.lifecycle.dated import Bools, Column, Ints
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
    finds the day, which for most variables is where a straight line would cross it.
    """
    places: list[Ints] = []
    days: list[Ints] = []
    later = np.flatnonzero(last > first)
    thresholds = {
        (term.term, *threshold) for term in policy.time_dependent for threshold in term.thresholds()
    }
    for term, op, other in sorted(thresholds, key=repr) if len(later) else ():
        place, low, high = later, first[later], last[later]
        before, above = _holds(records, term, op, other, rows[place], low)
        after, below = _holds(records, term, op, other, rows[place], high)
        flips = np.flatnonzero(before != after)
        if not len(flips):
            continue
        place, low, high, before = place[flips], low[flips], high[flips], before[flips]
        # Beside the line, too: there the day is found, wherever rounding puts the crossing.
        tried = _straight_line(low, high, above[flips], below[flips]) + np.array([[-1], [0], [1]])
        while (high - low > 1).any():
            tried = np.clip(tried, low, high)
            days_tried = tried.reshape(-1)
            asked = np.tile(rows[place], len(tried))
            holds, _ = _holds(records, term, op, other, asked, days_tried)
            same = holds.reshape(tried.shape) == before
            low = np.where(same, tried, low).max(axis=0)
            high = np.where(same, high, tried).min(axis=0)
            tried = ((low + high) // 2)[None]
        places.append(place)
        days.append(high)
    none = [np.zeros(0, dtype=np.int64)]
    return np.concatenate(none + places), np.concatenate(none + days)


def _holds(
    records: Records, term: Term, op: str, other: float | Term, rows: Ints, day: Ints
) -> tuple[Bools, Column]:
    """Return whether a comparison holds on days, and how far the term is above the other side."""
    asked = (term, other) if isinstance(other, Term) else (term,)
    values = records.values(asked, rows, day)
    own, threshold = values[term], values[other] if isinstance(other, Term) else other
    return compare(op, own, threshold), own - threshold


def _straight_line(low: Ints, high: Ints, above: Column, below: Column) -> Ints:
    """Return the days on which straight lines from `above` to `below` cross 0; else the middle."""
    with np.errstate(all="ignore"):
        crossing = low + above / (above - below) * (high - low)
    middle = (low + high) // 2
    return np.where(np.isfinite(crossing), np.nan_to_num(crossing), middle).astype(np.int64)
