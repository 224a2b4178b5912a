"""The silence rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scoring.purchases import hiatus


def test_score_is_the_silence():
    assert hiatus.score([0, 5], 7).tolist() == [7, 2]
    with pytest.raises(ValueError, match="exceed"):
        hiatus.score(8, 7)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=40))
def test_best_cut_is_the_best_of_all(rows):
    silence, returned = zip(*rows, strict=True)

    def right(cut):
        return sum((s <= cut) == back for s, back in rows)

    candidates = [-1, *sorted(set(silence))]
    cut = hiatus.best_cut(silence, returned)
    assert cut in candidates
    assert right(cut) == max(map(right, candidates))
    assert cut == min(c for c in candidates if right(c) == right(cut))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="one length"):
        hiatus.best_cut([1, 2], [True])
    with pytest.raises(ValueError, match="true or false"):
        hiatus.best_cut([1], [2])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=40))
def test_the_rule_says_what_either_side_did(rows):
    silence, purchases = zip(*rows, strict=True)
    rule = hiatus.fit(silence, purchases, window=10)
    assert rule.cut == hiatus.best_cut(silence, [p > 0 for p in purchases])
    for at in range(10):
        side = [p for s, p in rows if (s <= rule.cut) == (at <= rule.cut)]
        share = (sum(p > 0 for p in side) + 0.5) / (len(side) + 1)
        mean = sum(side) / max(len(side), 1)
        assert rule.p_no_purchase(at, horizon=10) == pytest.approx(1 - share)
        assert rule.p_no_purchase(at, horizon=20) == pytest.approx((1 - share) ** 2)
        assert rule.expected_purchases(at, horizon=5) == pytest.approx(mean / 2)


def test_the_base_rate_is_one_for_all():
    rule = hiatus.base_rate([0, 2, 1], window=5)
    assert rule.p_no_purchase([0, 99], horizon=5).tolist() == pytest.approx([1.5 / 4] * 2)
    assert rule.expected_purchases([0, 99], horizon=5).tolist() == [1, 1]


def test_bad_windows_are_refused():
    with pytest.raises(ValueError, match="window"):
        hiatus.base_rate([1], window=0)
    with pytest.raises(ValueError, match="not empty"):
        hiatus.base_rate([], window=1)
    with pytest.raises(ValueError, match="horizon"):
        hiatus.base_rate([1], window=1).p_no_purchase(1, horizon=0)
    with pytest.raises(ValueError, match="whole"):
        hiatus.fit([1], [0.5], window=1)
