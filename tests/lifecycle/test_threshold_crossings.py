"""The days on which comparisons turn by time alone, against looking at each day."""

import random
from dataclasses import replace

import numpy as np
import pytest

from app.lifecycle.dated import NO_END
from app.lifecycle.evaluator import threshold_crossings
from app.lifecycle.expressions import compare
from app.lifecycle.policy import Policy
from app.lifecycle.records import Records, Span
from app.lifecycle.variables.definition import Term
from tests.lifecycle import at_random
from tests.lifecycle.assembled import at_instant

AHEAD = 400
"""Days that are looked at one by one."""


def day_by_day(policy: Policy, records: Records, first: int) -> list[tuple[int, int]]:
    found = []
    thresholds = {(each.term, *one) for each in policy.time_dependent for one in each.thresholds()}
    for row in range(len(records.owner)):
        for term, op, other in thresholds:
            asked = (term, other) if isinstance(other, Term) else (term,)
            days = first + np.arange(AHEAD + 1)
            values = records.values(asked, np.full(days.size, row), days)
            threshold = values[other] if isinstance(other, Term) else other
            held = compare(op, values[term], threshold).tolist()
            found += [(row, first + n) for n in range(1, len(held)) if held[n] != held[n - 1]]
    return sorted(found)


@pytest.mark.parametrize("seed", range(25))
def test_they_are_found_as_by_looking_at_each_day(seed: int) -> None:
    rng = random.Random(seed)
    zone = at_random.zone_of(rng)
    people = [at_random.person(rng, zone) for _ in range(4)]
    policy, turning = None, 0
    while policy is None or turning == 0:
        _, policy = at_random.policy(rng)
        turning = len(policy.time_dependent)
    now = max(at_random.moment(rng, one) for one in people)
    records = at_instant(people, policy, now)
    today = int(records.day[0])
    records = replace(records, span=Span(records.day, np.full(len(people), NO_END)))
    rows = np.arange(len(people))
    place, day = threshold_crossings(
        policy, records, rows, records.day, np.full(len(people), today + AHEAD)
    )
    found = sorted(zip(place.tolist(), day.tolist(), strict=True))
    assert found == day_by_day(policy, records, today)
