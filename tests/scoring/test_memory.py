"""What fits and scores hold at once for each customer, counted by the allocator."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from app.scoring.purchases import registry
from app.scoring.spend import gamma_gamma

FEW, MANY = 40_000, 80_000  # customers
MOST = 150  # bytes that one more needs: megabytes a million
KINDS = tuple(registry.MODELS)


def continuous(n, seed=1, spread=1.0):
    """Return customers of whom hardly two have the same times."""
    rng = np.random.default_rng(seed)
    x = np.where(rng.random(n) < 0.5, 0, rng.geometric(0.3, n) * spread).round()
    T = rng.uniform(100, 300, n)
    t_x = np.where(x > 0, T * rng.beta(np.maximum(np.minimum(x, 50), 1), 1.5), 0)
    return x, np.where(x > 0, np.maximum(t_x, 1e-3), 0), T


def each(work, **more):
    """Return the bytes that one customer more makes ``work`` hold at once."""
    most = []
    for size in (FEW, MANY):
        customers = continuous(size, **more)
        tracemalloc.start()
        work(*customers)
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return (most[1] - most[0]) / (MANY - FEW)


def fit_of(name, x, t_x, T):
    gaps = x * np.log(np.maximum(t_x, 1e-9) / np.maximum(x, 1)) - 0.5 * x
    return registry.MODELS[name].fit(x, t_x, T, sum_log_gaps=gaps)


@pytest.mark.parametrize("name", KINDS)
def test_a_fit_holds_a_few_numbers_of_each_customer(name):
    assert each(lambda *customers: fit_of(name, *customers)) < MOST


@pytest.mark.parametrize("spread", [1.0, 3000.0], ids=["few counts", "many counts"])
@pytest.mark.parametrize("name", KINDS)
def test_scores_hold_a_few_numbers_of_each_customer(name, spread):
    model = fit_of(name, *continuous(2000))

    def score(*customers):
        return (
            model.p_alive(*customers),
            model.p_no_purchase(*customers, horizon=90),
            model.no_purchase_log_odds(*customers, horizon=90),
            model.discounted_purchases(*customers, annual_discount=0.1, periods_per_year=365),
        )

    assert each(score, spread=spread) < MOST


@pytest.mark.parametrize("name", KINDS)
def test_horizons_of_each_customer_hold_no_grid_of_each(name):
    model = fit_of(name, *continuous(2000))

    def score(x, t_x, T):
        return model.purchases_if_any(x, t_x, T, horizon=T / 2)

    assert each(score) < MOST


def test_spend_holds_a_few_numbers_of_each_customer():
    assert each(lambda x, _, value: gamma_gamma.fit(x[x > 0], value[x > 0])) < MOST
