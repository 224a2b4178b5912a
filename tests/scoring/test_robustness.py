"""Random and degenerate populations: every fit returns, with a status and usable predictions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from app.scoring import registry

STATUSES = {"ok", "weakly_identified", "no_dropout_identified", "fallback"}
UNITS = {"hours": 1 / 24, "days": 1.0, "years": 365.25}
DEGENERATE = (
    "no-repeat", "all-repeat", "one-row", "x-5000", "at-once", "all-new", "all-gone",
    "just-bought", "no-spread",
)  # fmt: skip
# a < 1, a + b < 1, alpha = beta, few customers and many, regular and at random
SHAPES = ((0.05, 0.05), (0.5, 0.3), (0.9, 0.05), (1.0, 1.0), (3.0, 20.0), (0.8, 2.5))


def population(seed):
    """Return x, t_x, T and the sums of log gaps of one population."""
    rng = np.random.default_rng(seed)
    n = int(np.exp(rng.uniform(np.log(20), np.log(2500))))
    if seed % 100 == 0:
        n = 50_000
    kind = DEGENERATE[seed // 4 % len(DEGENERATE)] if seed % 4 == 0 else "random"
    T = rng.uniform(1, 800, n) if seed % 3 else np.full(n, 365.0)
    rate = rng.gamma(*((0.05, 20.0), (0.5, 0.02), (1.0, 1.0), (20.0, 0.01))[seed % 4 - 1], n)
    leave = rng.beta(*SHAPES[seed % len(SHAPES)], n)
    stays = np.minimum(rng.geometric(np.clip(leave, 1e-3, 1)) - 1.0, 5000)
    life = T * (rng.uniform(0.05, 1, n) if seed % 5 else 1)
    x = np.minimum(np.minimum(rng.poisson(rate * life), stays), 5000).astype(float)
    t_x = life * rng.beta(np.maximum(x, 1), 1)
    if kind == "no-repeat":
        x[:] = 0
    elif kind == "all-repeat":
        x += 1
    elif kind == "one-row":
        x[:], t_x, T[:] = 2, np.full(n, 10.0), 100
    elif kind == "x-5000":
        x[:] = 5000
    elif kind == "at-once":
        t_x = T * 1e-9
    elif kind == "all-new":
        x[:], T = 0, np.zeros(n)
    elif kind == "all-gone":
        x, t_x, T = x + 1, np.minimum(t_x, 1.0), T + 1e5
    elif kind == "just-bought":
        t_x = T.copy()
    elif kind == "no-spread":
        x[:], t_x, T = 3, np.full(n, 300.0), np.full(n, 301.0)
    if seed % 2:  # whole days
        t_x, T = np.ceil(t_x), np.ceil(T)
    t_x = np.where(x > 0, np.maximum(np.minimum(t_x, T), 1e-9), 0)
    unit = list(UNITS.values())[seed % 3]
    gaps = np.where(x > 0, x * np.log(np.maximum(t_x, 1e-9) / np.maximum(x, 1) / unit), 0)
    # Erlang gaps of the right sum: those of a Dirichlet split, on average
    gaps -= x * rng.choice([0.05, 0.3, 0.58])
    return x, t_x / unit, T / unit, gaps


def check(kind, seed):
    x, t_x, T, gaps = population(seed)
    model = kind.fit(x, t_x, T, sum_log_gaps=gaps)
    assert model.status in STATUSES
    assert model.n == x.size
    assert all(0 < value < math.inf for value in model.params.values())
    assert math.isfinite(model.log_likelihood)
    few = x[:40], t_x[:40], T[:40]
    horizon = max(float(T.max()), 1.0) / 4
    for p in (model.p_alive(*few), model.p_no_purchase(*few, horizon=horizon)):
        assert ((p >= 0) & (p <= 1)).all()
    for values in (
        model.expected_purchases(*few, horizon=horizon),
        model.discounted_purchases(
            *few, annual_discount=0.1, periods_per_year=4 * horizon, horizon=horizon
        ),
    ):
        assert ((values >= 0) & np.isfinite(values)).all()
    assert np.isfinite(model.no_purchase_log_odds(*few, horizon=horizon)).all()
    assert np.isfinite(model.log_likelihood_each(*few)).all()


# All five hundred for the models that take milliseconds, every twentieth for the others, the large
# and degenerate ones among them.
EVERY = {"pareto_nbd": 20, "mbg_cnbd_k": 20, "bg_cnbd_k": 20}


@pytest.mark.parametrize("part", range(5))
@pytest.mark.parametrize("kind", registry.MODELS.values(), ids=registry.MODELS)
def test_every_population_gets_a_usable_model(kind, part):
    every = EVERY.get(kind.name, 1)
    for seed in range(0, 500, every):
        if seed // every % 5 == part:
            try:
                check(kind, seed)
            except Exception as problem:
                problem.add_note(f"population {seed}")
                raise
