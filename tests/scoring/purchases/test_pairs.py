"""Many customers from few integrals: against each by itself, and whatever was asked before."""

from typing import Any

import numpy as np
import pytest

from app.scoring.purchases import pairs
from app.scoring.purchases.registry import MODELS

PARAMETERS = {
    "mbg_nbd": ({"r": 0.6, "alpha": 55.0, "a": 0.5, "b": 1.5}, {"b": 2.5}),
    "bg_nbd": ({"r": 0.6, "alpha": 55.0, "a": 0.5, "b": 1.5}, {"a": 0.9}),
    "pareto_nbd": ({"r": 0.6, "alpha": 55.0, "s": 0.5, "beta": 70.0}, {"s": 1.7}),
    "bg_cnbd_k": ({"r": 0.6, "alpha": 20.0, "a": 0.5, "b": 1.5, "k": 2}, {"r": 1.1}),
}
Array = np.ndarray[Any, Any]
VALUED = {"annual_discount": 0.1, "periods_per_year": 365.25}


def customers(seed: int, size: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    x = np.minimum(rng.geometric(0.3, size) - 1.0, 40.0)
    T = rng.integers(1, 900, size) + 0.0
    t_x = np.where(x > 0, np.ceil(T * rng.random(size)), 0.0)
    return x, t_x, T


@pytest.mark.parametrize("kind", PARAMETERS)
def test_many_are_each_as_by_himself(kind: str) -> None:
    given, other = PARAMETERS[kind]
    pairs._known.cache_clear()
    # One after the other, so that what is kept of one could be taken for another.
    for parameters in (given, given | other):
        model = MODELS[kind].build(**parameters)
        for horizon in (30.0, 365.0):
            for seed in (1, 2):
                x, t_x, T = history = customers(seed, 3000)
                if_any = model.purchases_if_any(*history, horizon=horizon)
                value = model.discounted_if_any(*history, horizon=horizon, **VALUED)
                for row in np.random.default_rng(seed).integers(0, x.size, 12).tolist():
                    own = x[row], t_x[row], T[row]
                    alone = model.purchases_if_any(*own, horizon=horizon)
                    assert if_any[row] == pytest.approx(float(alone), rel=1e-11)
                    alone = model.discounted_if_any(*own, horizon=horizon, **VALUED)
                    assert value[row] == pytest.approx(float(alone), rel=1e-11)


@pytest.mark.parametrize("size", [3000, pairs._MANY + 1])
def test_what_is_told_does_not_depend_on_who_was_asked_for_before(size: int) -> None:
    model = MODELS["mbg_nbd"].build(**PARAMETERS["mbg_nbd"][0])
    x, t_x, T = customers(1, size)
    others = customers(2, size)
    late = np.where(others[1] > 0, others[0] + 7, 0), *others[1:]

    def told() -> Array:
        found: Array = model.discounted_if_any(x, t_x, T, horizon=365.0, **VALUED)
        return found

    pairs._known.cache_clear()
    first = told()
    pairs._known.cache_clear()
    model.discounted_if_any(*late, horizon=365.0, **VALUED)
    model.discounted_if_any(*others, horizon=365.0, **VALUED)
    assert np.array_equal(first, told())
    assert np.array_equal(first, told())


def test_one_who_buys_all_the_time_costs_the_others_nothing() -> None:
    x, _, T = customers(1, 1000)
    evaluated = [0]

    def kernel(x: Array, age: Array) -> Array:
        evaluated[0] += np.broadcast(x[:, None], age).size
        return np.log1p(x[:, None]) / age

    def told(key: str, x: Array, age: Array) -> tuple[Array, int]:
        evaluated[0] = 0
        return pairs.on_pairs(kernel, key, x, age), evaluated[0]

    alone, cost = told("alone", x, 55.0 + T)
    beside, cost_beside = told("beside", np.append(x, 1e4), np.append(55.0 + T, 4000.0))
    assert np.array_equal(alone, beside[:-1])
    assert beside[-1] == pytest.approx(np.log1p(1e4) / 4000.0)
    assert cost_beside == cost + 1 < x.size
