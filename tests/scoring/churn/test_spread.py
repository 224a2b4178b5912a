"""By how much totals of windows are off, on logs of businesses where it is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.scoring.churn import churn_selection, observation, spread, walk_forward
from app.scoring.histories.features import Facts
from tests.scoring.purchases import seasonal


def facts_of(shape: str, *, days: int, seed: int, uneven: float = 0.0) -> tuple[Facts, int]:
    """Return a log and its last day; of months by chance only a part of repeats is made."""
    customer, day, amount = seasonal.log(shape, days=days, seed=seed, customers=900)
    rng = np.random.default_rng(seed)
    part = np.exp(-np.abs(rng.normal(0, uneven, 200)))[(day - seasonal.BEGAN) // 30]
    kept = (rng.random(day.size) < part) | (np.arange(day.size) < 900)
    columns = (customer[kept], day[kept], amount[kept])
    return Facts(customer=columns[0], day=columns[1], amount=columns[2]), seasonal.BEGAN + days


def test_it_is_larger_where_months_differ():
    found = []
    for size in (0.0, 1.0):
        facts, as_of = facts_of("none", days=700, seed=2, uneven=size)
        choice = churn_selection.choose(facts, as_of=as_of, horizon=30, kinds=("mbg_nbd",))
        found.append(choice.between)
    even, uneven = found
    assert even.windows == uneven.windows > 5
    assert 2 * even.sd < uneven.sd
    assert even.sd < 0.1


def test_the_purchases_of_a_window_are_days_of_its_customers():
    facts, as_of = facts_of("none", days=400, seed=1)
    mark = observation.observe(facts, as_of - 90, 60)
    told = {
        (who, day)
        for who, day in zip(facts.customer.tolist(), facts.day.tolist(), strict=True)
        if as_of - 90 < day <= as_of - 30 and who in set(mark.customer.tolist())
    }
    assert spread.purchases(facts, mark) == len(told) > 50
    nobody = replace(mark, customer=mark.customer[:0])
    assert spread.purchases(facts, nobody) == 0


def test_a_season_is_no_difference_between_windows():
    facts, as_of = facts_of("summer", days=800, seed=4)
    season = seasonal.season("summer")
    plain, told = (
        churn_selection.choose(facts, as_of=as_of, horizon=60, kinds=("mbg_nbd",), season=each)
        for each in (None, season)
    )
    assert told.between.sd < plain.between.sd
    past = walk_forward.look_back(facts, as_of, 60, season=season)
    assert past.ahead(as_of, 60) == pytest.approx(float(season.between(as_of, as_of + 60)))
    assert walk_forward.look_back(facts, as_of, 60).ahead(as_of, 60) == 60
