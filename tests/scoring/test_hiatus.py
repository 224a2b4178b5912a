"""The silence rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scoring import hiatus


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
