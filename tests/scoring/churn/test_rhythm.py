"""Rhythm: the gaps of those who come back, as customers of all ages show them, and statuses."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.scoring.churn import rhythm
from app.scoring.churn.rhythm import Cuts, FirstGaps, Rhythm
from app.scoring.histories.features import Facts
from app.scoring.purchases.registry import MODELS

PROCESS = MODELS["mbg_nbd"].build(r=0.6, alpha=55.0, a=0.5, b=1.5)


def observed(gaps, ages, share, seed=0):
    """Return what is seen of customers of whom a share ever comes back."""
    comes = np.random.default_rng(seed).random(gaps.size) < share
    returned = comes & (gaps <= ages)
    return np.where(returned, gaps, ages), returned


def came_back(waited, returned, day):
    """Return Kaplan and Meier's estimate, one day after the other."""
    still = 1.0
    for at in sorted({w for w, back in zip(waited, returned, strict=True) if back and w <= day}):
        at_risk = sum(w >= at for w in waited)
        still *= 1 - sum(w == at and b for w, b in zip(waited, returned, strict=True)) / at_risk
    return 1 - still


def test_it_is_the_slow_estimate_of_those_who_came_back():
    rng = np.random.default_rng(3)
    ages = rng.integers(400, 700, 400)
    waited, returned = observed(np.ceil(rng.exponential(60, 400)), ages, 0.7)
    found = rhythm.first_gaps(waited, returned)
    last = sorted(waited)[-rhythm.MIN_AT_RISK]
    n = returned.sum()
    for day, chance in list(zip(found.days, found.chance, strict=True))[::7]:
        share = came_back(waited, returned, day) / came_back(waited, returned, last)
        assert chance == pytest.approx(1 - share * n / (n + 1), abs=1e-12)


def test_young_customers_do_not_make_gaps_look_short():
    rng = np.random.default_rng(1)
    n = 20_000
    gaps, ages = np.ceil(rng.exponential(100, n)), rng.integers(1, 1500, n)
    ages = np.where(rng.random(n) < 0.7, rng.integers(1, 60, n), ages)  # most are young
    waited, returned = observed(gaps, ages, 0.4)
    found = rhythm.first_gaps(waited, returned)
    silence = np.array([10.0, 50, 100, 200, 300])
    assert found.at(silence) == pytest.approx(np.exp(-silence / 100), abs=0.04)
    naive = np.array([(waited[returned] > day).mean() for day in silence])
    assert (naive < np.exp(-silence / 100) - 0.1).any()


def test_a_short_history_leaves_late_returns_open():
    """Of a business of 120 days nobody can be known to be later than nine in ten."""
    rng = np.random.default_rng(2)
    gaps, ages = np.ceil(rng.exponential(60, 4000)), np.full(4000, 120)
    found = rhythm.first_gaps(*observed(gaps, ages, 0.6))
    assert found.days[-1] == rhythm.LOST_DAYS
    assert float(found.at(np.array(120.0))) > 0.1


@pytest.mark.parametrize(
    ("gap", "age", "why"),
    [(10, 5, "nobody came back"), (700, 730, "they come back as late as anybody was watched")],
)
def test_too_little_leaves_one_purchase_to_the_process(gap, age, why):
    rng = np.random.default_rng(4)
    gaps = np.ceil(rng.normal(gap, gap / 10, 1000))
    assert rhythm.first_gaps(*observed(gaps, np.full(1000, age), 1.0)) is None, why
    few = np.full(rhythm.MIN_RETURNED - 1, 20.0)
    waited, returned = np.r_[few, np.full(100, 400)], np.r_[few > 0, np.zeros(100, bool)]
    assert rhythm.first_gaps(waited, returned) is None
    assert rhythm.first_gaps([], np.zeros(0, bool)) is None
    alone = Rhythm().chance_if_active(PROCESS, [0, 3], [0, 40], [200, 60])
    assert alone.tolist() == PROCESS.silence_if_active([0, 3], [0, 40], [200, 60]).tolist()


def test_a_log_teaches_it_up_to_its_day_only():
    rng = np.random.default_rng(5)
    first = rng.integers(0, 500, 600)
    customer = np.r_[np.arange(600), np.arange(0, 600, 2), np.arange(600)]
    day = np.r_[first, first[::2] + rng.integers(1, 90, 300), np.full(600, 1000)]
    facts = Facts(customer=customer, day=day, amount=np.ones(customer.size))
    order = rng.permutation(customer.size)
    shuffled = Facts(customer=customer[order], day=day[order], amount=np.ones(customer.size))
    known = rhythm.learn(facts, as_of=999)
    assert known == rhythm.learn(shuffled, as_of=999)
    assert known.first_gaps.returned == 300
    assert known.first_gaps.until(0.1) <= 90
    seen = day <= 999
    before = Facts(customer=customer[seen], day=day[seen], amount=np.ones(seen.sum()))
    assert known == rhythm.learn(before, as_of=999)
    empty = np.zeros(0, np.int64)
    assert rhythm.learn(Facts(customer=empty, day=empty, amount=empty), as_of=5) == Rhythm()


LEARNT = Rhythm(first_gaps=FirstGaps((0.0, 30.0, 400.0), (1.0, 0.4, 0.02), 60))


@given(
    x=st.integers(0, 30), t_x=st.integers(1, 2000), silence=st.integers(0, 4000),
    more=st.integers(1, 500), unit=st.sampled_from([1.0, 7.0]),
)  # fmt: skip
def test_it_falls_with_the_silence(x, t_x, silence, more, unit):
    last = t_x if x else 0
    process = MODELS["mbg_nbd"].build(r=0.6, alpha=55.0 / unit, a=0.5, b=1.5)
    now, later = LEARNT.chance_if_active(
        process, [x, x], [last, last], [last + silence, last + silence + more], unit=unit
    )
    assert 0 <= later < now <= 1
    day = LEARNT.chance_if_active(PROCESS, x, last, last + silence)
    assert now == pytest.approx(float(day), rel=1e-9)  # whatever the unit of the process
    a, b = LEARNT.status([now, later], [1.0, 1.0])
    assert a <= b


@given(chance=st.floats(0, 1), any_purchase=st.floats(0, 1))
@example(chance=1.0, any_purchase=0.0)
@example(chance=0.6, any_purchase=0.0)
def test_statuses_are_parted_by_the_cuts_and_nobody_on_time_is_lost(chance, any_purchase):
    cuts = Cuts(due=0.6, overdue=0.2, lost=0.05)
    (status,) = Rhythm(cuts).status([chance], [any_purchase])
    if chance > 0.6:
        expected = "on_time"
    elif any_purchase < 0.05:
        expected = "lost"
    else:
        expected = "overdue" if chance <= 0.2 else "due"
    assert rhythm.STATUSES[status] == expected


@pytest.mark.parametrize("gaps", [None, LEARNT.first_gaps])
def test_where_nobody_comes_back_who_bought_today_is_on_time(gaps):
    """The chance of a purchase is next to nothing for everybody: it tells of none of them."""
    process = MODELS["mbg_nbd"].build(r=0.01, alpha=400.0, a=2.0, b=0.5)
    T = np.arange(0, 5000, 10)
    returns = 1 - process.p_no_purchase(0 * T, 0 * T, T, horizon=rhythm.LOST_DAYS)
    assert returns.max() < Cuts().lost
    learnt = Rhythm(first_gaps=gaps)
    chance = learnt.chance_if_active(process, 0 * T, 0 * T, T)
    status = learnt.status(chance, returns)
    assert status[0] == rhythm.ON_TIME
    assert (np.diff(status) >= 0).all()
    assert set(status[chance <= Cuts().due]) <= {rhythm.LOST}


@pytest.mark.parametrize("cut", [{"due": 0.1}, {"due": 1.0}, {"overdue": 0.0}, {"lost": 1.0}])
def test_cuts_out_of_order_are_refused(cut):
    with pytest.raises(ValueError, match="cuts must be"):
        Cuts(**cut)


@pytest.mark.parametrize(
    "known", [Rhythm(), LEARNT, Rhythm(Cuts(0.7, 0.2, 0.3), LEARNT.first_gaps)]
)
def test_it_comes_back_as_it_was_stored(known):
    assert Rhythm.from_dict(known.as_dict()) == known


@pytest.mark.parametrize("chance", [0.9, 0.4, 0.1, 0.02, 0.001])
def test_the_day_of_a_chance_is_the_first_of_so_little(chance):
    day = LEARNT.first_gaps.until(chance)
    assert float(LEARNT.first_gaps.at(np.array(day))) == pytest.approx(chance)
    assert math.isfinite(day)
