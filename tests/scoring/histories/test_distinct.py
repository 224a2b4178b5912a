"""Who is alike, against comparing everybody with everybody."""

from typing import Any

import numpy as np
import pytest

from app.scoring.histories import distinct

SIZE = 3000
Array = np.ndarray[Any, Any]


def crowd(seed: int, *, oldest: int = 400, repeats: float = 0.4) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    T = rng.integers(0, oldest, SIZE) + 0.0
    x = np.where((rng.random(SIZE) < repeats) & (T > 0), rng.geometric(0.4, SIZE), 0) + 0.0
    t_x = np.where(x > 0, np.ceil(T * rng.random(SIZE)), 0.0)
    return x, np.where(x > 0, np.maximum(t_x, 1.0), 0.0), T


def check(found: distinct.Distinct | None, *columns: Array) -> None:
    """Check that whoever stands for another is alike."""
    assert found is not None
    for column in columns:
        assert np.array_equal(column[found.rows][found.places], column)
    assert found.places.shape == columns[0].shape


@pytest.mark.parametrize("seed", range(5))
def test_one_of_each_pair_of_purchases_and_age(seed: int) -> None:
    x, _, T = crowd(seed)
    found = distinct.pairs(x, T)
    check(found, x, T)
    assert found is not None
    assert found.rows.size == len(set(zip(x.tolist(), T.tolist(), strict=True)))


@pytest.mark.parametrize("seed", range(5))
def test_one_of_those_who_bought_once_of_each_age_and_all_others(seed: int) -> None:
    x, t_x, T = crowd(seed)
    found = distinct.histories(x, t_x, T)
    check(found, x, t_x, T)
    assert found is not None
    assert found.rows.size == np.count_nonzero(x > 0) + len(set(T[x == 0].tolist()))


def test_where_nobody_has_been_silent_all_who_are_alike_are_one() -> None:
    x, _, T = crowd(1)
    T = np.where(x > 0, T, 0.0)
    found = distinct.histories(x, T, T)
    check(found, x, T)
    assert found is not None
    assert found.rows.size == len(set(zip(x.tolist(), T.tolist(), strict=True)))


def test_it_is_left_where_it_would_not_pay() -> None:
    x, t_x, T = crowd(1)
    few = slice(distinct.LEAST - 1)
    assert distinct.histories(x[few], t_x[few], T[few]) is None
    assert distinct.pairs(x, T + np.linspace(0, 0.9, SIZE)) is None  # no whole days
    assert distinct.pairs(x, T * 1e6) is None  # more room than customers
    assert distinct.pairs(np.stack([x, x]), np.stack([T, T])) is None
    own = np.arange(SIZE) + 0.0
    assert distinct.pairs(np.zeros(SIZE), own) is None  # nobody is like another
    assert distinct.histories(np.ones(SIZE), own + 1, own + 2) is None
