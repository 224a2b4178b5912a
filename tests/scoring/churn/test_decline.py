"""Who buys less often or for less: found where habits changed, and hardly ever where not."""

import numpy as np
import pytest

from app.scoring.churn.decline import EARLIER, RECENT, Shapes
from app.scoring.histories.features import Facts, Features, features_at


def customers(gaps, values, silence=5.0):
    """Return customers with these gaps (n, x) and values (n, x + 1), latest last."""
    n, x = gaps.shape
    last = gaps.sum(axis=1)
    return Features.of(
        np.full(n, x), last, last + silence,
        gap_1=gaps[:, -1], gap_2=gaps[:, -2], gap_3=gaps[:, -3],
        value_1=values[:, -1], value_2=values[:, -2], value_3=values[:, -3],
        mean_value=values.mean(axis=1),
    )  # fmt: skip


def stationary(shape, x, n=20_000, seed=0):
    rng = np.random.default_rng(seed)
    own = rng.gamma(2, 10, (n, 1))
    return own * rng.gamma(shape, 1 / shape, (n, x)), own * rng.gamma(shape, 1 / shape, (n, x + 1))


@pytest.mark.parametrize("shape", [0.7, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("x", [6, 12, 40])
def test_few_are_called_who_have_not_changed(shape, x):
    known = customers(*stationary(shape, x))
    learnt = Shapes.fit(known)
    assert (learnt.gap, learnt.value) == pytest.approx((shape, shape), rel=0.06)
    assert learnt.less_often(known).mean() < 0.035
    assert learnt.for_less(known).mean() < 0.035


def test_few_are_called_whose_values_are_of_any_other_kind():
    rng = np.random.default_rng(9)
    gaps, _ = stationary(2.0, 12)
    for values in (rng.lognormal(3, 0.9, (20_000, 13)), rng.choice([9.0, 90.0], (20_000, 13))):
        known = customers(gaps, values)
        assert Shapes.fit(known).for_less(known).mean() < 0.06


def test_who_changed_is_found_the_more_surely_the_more_regular():
    found = []
    for shape in (1.0, 3.0, 8.0):
        gaps, values = stationary(shape, 12)
        learnt = Shapes.fit(customers(gaps, values))
        gaps[:, -RECENT:] *= 2.5
        values[:, -RECENT:] /= 2.5
        known = customers(gaps, values)
        found.append((learnt.less_often(known).mean(), learnt.for_less(known).mean()))
    assert (np.diff(found, axis=0) > 0).all()
    assert min(found[-1]) > 0.9
    assert min(found[0]) > 0.15


def test_a_little_is_no_decline_however_sure():
    gaps, values = np.full((100, 12), 20.0), np.full((100, 13), 50.0)
    gaps[:, -RECENT:] *= 1.45
    values[:, -RECENT:] *= 0.7
    known = customers(gaps, values)
    surely = Shapes(1000.0, 1000.0)
    assert not surely.less_often(known).any()
    assert not surely.for_less(known).any()
    gaps[:, -RECENT:] *= 1.1
    values[:, -RECENT:] *= 0.9
    known = customers(gaps, values)
    assert surely.less_often(known).all()
    assert surely.for_less(known).all()


def test_a_silence_is_no_decline():
    gaps, values = stationary(8.0, 12, n=500)
    known = customers(gaps, values, silence=5_000.0)
    assert Shapes(8.0, 8.0).less_often(known).mean() < 0.05


@pytest.mark.parametrize("days", [1, 3, RECENT + EARLIER])
def test_too_few_purchases_tell_of_no_decline(days):
    """Gaps and values as a log has them; so many days have one gap less."""
    n = 80
    customer, place = np.repeat(np.arange(n), days), np.tile(np.arange(days), n)
    facts = Facts(customer=customer, day=4 ** np.minimum(place, 9), amount=100.0 / 9.0**place)
    _, known = features_at(facts, as_of=4**9)
    shapes = Shapes.fit(known)
    assert not shapes.less_often(known).any()
    assert Shapes(50.0, 50.0).for_less(known).all() == (days == RECENT + EARLIER)
    if days == 1:
        assert shapes == Shapes()


def test_nothing_paid_is_divided_by_nothing():
    gaps, values = np.full((60, 8), 10.0), np.zeros((60, 9))
    known = customers(gaps, values)
    learnt = Shapes.fit(known)
    assert not learnt.for_less(known).any()
    values[:, :-RECENT] = 30.0
    assert Shapes(3.0, 3.0).for_less(customers(gaps, values)).all()


def test_shapes_come_back_as_they_were_stored():
    assert Shapes.from_dict(Shapes(2.0, 0.5).as_dict()) == Shapes(2.0, 0.5)
