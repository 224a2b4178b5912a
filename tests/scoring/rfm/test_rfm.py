"""Scores, cuts and the ten groups."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scoring.rfm import rfm

RULES = {
    "champions": ({5}, {4, 5}),
    "regulars": ({3, 4}, {4, 5}),
    "rising": ({4, 5}, {2, 3}),
    "recent": ({5}, {1}),
    "promising": ({4}, {1}),
    "need_attention": ({3}, {3}),
    "about_to_sleep": ({3}, {1, 2}),
    "cant_lose_them": ({1, 2}, {5}),
    "slipping": ({1, 2}, {3, 4}),
    "hibernating": ({1, 2}, {1, 2}),
}


def test_the_groups_cover_every_cell_exactly_once():
    assert set(RULES) == set(rfm.GROUPS)
    for r, f, m in itertools.product(range(1, 6), repeat=3):
        mean = math.floor((f + m) / 2)
        fits = [name for name, (rs, fms) in RULES.items() if r in rs and mean in fms]
        assert fits == [rfm.GROUPS[rfm.groups(r, f, m)]]


def test_two_small_orders_make_no_champion():
    # Most bought once, so that two purchase days are among the most there are.
    times, revenue = [1] * 8 + [2, 5], [60, 50, 45, 40, 35, 30, 28, 27, 26, 400]
    cuts = rfm.fit_cuts(range(10), times, revenue)
    r, f, m = rfm.score(cuts, 0, 2, 26)
    assert (int(r), int(f), int(m)) == (5, 5, 1)
    assert rfm.GROUPS[rfm.groups(r, f, m)] == "rising"
    # A half more than 3 does not reach 4, either.
    assert rfm.GROUPS[rfm.groups(5, 5, 2)] == "rising"
    assert rfm.GROUPS[rfm.groups(5, 5, 3)] == "champions"


def test_ties_leave_fewer_classes():
    times, revenue = [1] * 6 + [2] * 4, [10.0] * 10
    cuts = rfm.fit_cuts(range(10), times, revenue)
    assert rfm.classes(cuts, range(10), times, revenue) == {"r": 5, "f": 2, "m": 1}
    # Of others than those it was learnt from the cuts may tell more apart.
    assert cuts.most_classes() == {"r": 5, "f": 3, "m": 2}


def test_given_cuts_take_the_place_of_those_found():
    cuts = rfm.fit_cuts(range(10), [1] * 10, range(10))
    given = cuts.replaced({"f": [1, 2, 4, 8]})
    assert (given.f.tolist(), given.r.tolist()) == ([1, 2, 4, 8], cuts.r.tolist())
    with pytest.raises(ValueError, match="cuts of f"):
        cuts.replaced({"f": [2, 1, 3, 4]})


def test_nothing_paid_and_money_given_back_score_lowest():
    cuts = rfm.fit_cuts(range(5), [1, 2, 3, 4, 5], [0, 10, 20, 30, 40])
    _, _, m = rfm.score(cuts, 0, 1, [-5.0, 0.0, 0.01])
    assert m.tolist() == [1, 1, 2]
    means = rfm.fit_means([1, 1], [1, 1], [-10.0, 0.0])
    found = rfm.class8([1, 1], [1, 1], [-10.0, 0.0], means)
    assert [rfm.CLASSES8[code] for code in found] == ["general_value", "important_value"]


def test_five_customers_take_five_scores():
    cuts = rfm.fit_cuts([50, 40, 30, 20, 10], [1, 2, 3, 4, 5], [10, 20, 30, 40, 50])
    for scores in rfm.score(cuts, [50, 40, 30, 20, 10], [1, 2, 3, 4, 5], [10, 20, 30, 40, 50]):
        assert scores.tolist() == [1, 2, 3, 4, 5]


def test_a_score_may_stay_empty():
    frequency = [1] * 70 + [2] * 20 + [9] * 10
    cuts = rfm.fit_cuts(np.arange(100), frequency, np.ones(100))
    _, f, m = rfm.score(cuts, np.arange(100), frequency, np.ones(100))
    assert cuts.f.tolist() == [1, 1, 1, 2]
    assert set(f.tolist()) == {1, 4, 5}
    assert set(m.tolist()) == {1}


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_scores_follow_the_definition(values):
    cuts = rfm.fit_cuts(values, values, values)
    r, f, m = rfm.score(cuts, values, values, values)
    assert f.tolist() == m.tolist() == [1 + sum(c < v for c in cuts.f) for v in values]
    assert r.tolist() == [1 + sum(c < -v for c in cuts.r) for v in values]
    for share, cut in zip((0.2, 0.4, 0.6, 0.8), cuts.f, strict=True):
        at_most = [v for v in values if v <= cut]
        assert len(at_most) >= share * len(values) - 1e-9
        assert sum(v < cut for v in values) < share * len(values) + 1e-9


def test_cuts_survive_json():
    cuts = rfm.fit_cuts([3, 1, 4], [1, 5, 9], [2.5, 6, 5])
    again = rfm.Cuts.from_dict(json.loads(json.dumps(cuts.as_dict())))
    assert again.as_dict() == cuts.as_dict()


@pytest.mark.parametrize(
    "cuts", [{}, {"r": [1], "f": [1], "m": [1]}, {key: [4, 3, 2, 1] for key in "rfm"}]
)
def test_broken_cuts_are_refused(cuts):
    with pytest.raises(ValueError, match="cuts"):
        rfm.Cuts.from_dict(cuts)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        rfm.fit_cuts([], [], [])
    with pytest.raises(ValueError, match="finite"):
        rfm.fit_cuts([np.nan], [1], [1])
    with pytest.raises(ValueError, match="1 to 5"):
        rfm.groups(0, 1, 1)


EIGHT = {
    # R, F, M at least as good as the mean
    (1, 1, 1): ("important_value", "重要价值"),
    (1, 0, 1): ("important_develop", "重要发展"),
    (0, 1, 1): ("important_keep", "重要保持"),
    (0, 0, 1): ("important_retain", "重要挽留"),
    (1, 1, 0): ("general_value", "一般价值"),
    (1, 0, 0): ("general_develop", "一般发展"),
    (0, 1, 0): ("general_keep", "一般保持"),
    (0, 0, 0): ("general_retain", "一般挽留"),
}


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(1, 9), st.integers(0, 90).map(lambda m: m / 10)),
        min_size=1,
        max_size=40,
    )
)
def test_a_class_is_three_comparisons_with_means(rows):
    days, times, money = zip(*rows, strict=True)
    means = rfm.fit_means(days, times, money)
    found = rfm.class8(days, times, money, means)
    for (r, f, m), code in zip(rows, found.tolist(), strict=True):
        code_name, chinese = EIGHT[r <= means.r, f >= means.f, m >= means.m]
        assert (rfm.CLASSES8[code], rfm.CLASSES8_ZH[code]) == (code_name, chinese)
    for mean, column in zip((means.r, means.f, means.m), (days, times, money), strict=True):
        assert mean == pytest.approx(sum(column) / len(column))


def test_customers_who_are_all_alike_are_all_valuable():
    means = rfm.fit_means([3] * 3, [1] * 3, [0.1] * 3)
    assert means.m == 0.1
    assert rfm.class8([3] * 3, [1] * 3, [0.1] * 3, means).tolist() == [0, 0, 0]
    assert rfm.class8(4, 1, 0.1, means) == rfm.CLASSES8.index("important_keep")


def test_means_survive_json():
    means = rfm.fit_means([3, 1, 4], [1, 5, 9], [2.5, 6, 5])
    assert rfm.Means.from_dict(json.loads(json.dumps(means.as_dict()))) == means
    for broken in ({}, {"r": 1, "f": 2, "m": float("nan")}, {"r": [1], "f": 2, "m": 3}):
        with pytest.raises(ValueError, match="means"):
            rfm.Means.from_dict(broken)
    with pytest.raises(ValueError, match="at least one"):
        rfm.fit_means([], [], [])
    with pytest.raises(ValueError, match="finite"):
        rfm.class8([1], [1], [np.inf], means)
