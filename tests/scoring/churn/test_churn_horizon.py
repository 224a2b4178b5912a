"""The suggested horizon: a round number of days that follows from the gaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scoring.churn.churn_horizon import HORIZONS, MIN_GAPS, gaps_of, suggested_horizon


def of(facts, until):
    first = int(np.min(facts.day))
    gaps = gaps_of(facts.customer, facts.day, facts.amount, as_of=first + until)
    return suggested_horizon(gaps, history=until)


@pytest.mark.parametrize("until", [272, 400, 545])
def test_it_is_90_days_for_cdnow(cdnow_facts, until):
    assert of(cdnow_facts, until) == 90


@pytest.mark.parametrize("until", [272, 545])
def test_it_is_90_days_for_all_of_cdnow(cdnow_master_facts, until):
    assert of(cdnow_master_facts, until) == 90


def test_it_is_60_days_for_online_retail(online_retail_facts):
    assert of(online_retail_facts, 373) == 60


@given(st.lists(st.integers(1, 2000), min_size=30, max_size=80), st.integers(0, 3000))
def test_it_is_a_round_number_seen_twice(gaps, history):
    found = suggested_horizon(gaps, history=history)
    assert found in HORIZONS
    assert found == HORIZONS[0] or 2 * found <= history
    assert suggested_horizon(gaps, history=history + 100) >= found


@given(st.lists(st.integers(1, 400), min_size=30, max_size=80), st.integers(1, 5))
def test_longer_gaps_never_make_it_shorter(gaps, factor):
    longer = [factor * gap for gap in gaps]
    assert suggested_horizon(longer, history=9000) >= suggested_horizon(gaps, history=9000)


def test_few_gaps_suggest_nothing():
    assert suggested_horizon([], history=9000) is None
    assert suggested_horizon([90] * (MIN_GAPS - 1), history=9000) is None
    assert suggested_horizon([90] * MIN_GAPS, history=9000) == 90
    assert suggested_horizon([90] * MIN_GAPS, history=100) == 30
    with pytest.raises(ValueError, match="positive"):
        suggested_horizon([0], history=1)


def test_gaps_are_those_between_purchase_days():
    customer, day = [7, 3, 3, 7, 3, 3], [9, 5, 1, 4, 5, 80]
    assert gaps_of(customer, day, [1, 1, 1, 1, 1, 1], as_of=50).tolist() == [4, 5]
    assert gaps_of([], [], [], as_of=50).tolist() == []
