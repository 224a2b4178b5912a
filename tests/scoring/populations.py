"""Five hundred random and degenerate populations of buyers."""

from __future__ import annotations

import numpy as np

UNITS = {"hours": 1 / 24, "days": 1.0, "years": 365.25}
DEGENERATE = (
    "no-repeat", "all-repeat", "one-row", "x-5000", "at-once", "all-new", "all-gone",
    "just-bought", "no-spread",
)  # fmt: skip
# a < 1, a + b < 1, alpha = beta, few customers and many, regular and at random
SHAPES = ((0.05, 0.05), (0.5, 0.3), (0.9, 0.05), (1.0, 1.0), (3.0, 20.0), (0.8, 2.5))


def degenerate(kind, x, t_x, T):
    """Return the histories made extreme."""
    ones = np.ones(x.size)
    return {
        "no-repeat": (0 * x, t_x, T),
        "all-repeat": (x + 1, t_x, T),
        "one-row": (2 * ones, 10 * ones, 100 * ones),
        "x-5000": (5000 * ones, t_x, T),
        "at-once": (x, T * 1e-9, T),
        "all-new": (0 * x, t_x, 0 * T),
        "all-gone": (x + 1, np.minimum(t_x, 1.0), T + 1e5),
        "just-bought": (x, T, T),
        "no-spread": (3 * ones, 300 * ones, 301 * ones),
    }.get(kind, (x, t_x, T))


def population(seed):
    """Return x, t_x, T and the sums of log gaps of one population."""
    rng = np.random.default_rng(seed)
    n = int(np.exp(rng.uniform(np.log(20), np.log(2500))))
    if seed in {100, 400}:
        n = 50_000
    kind = DEGENERATE[seed // 4 % len(DEGENERATE)] if seed % 4 == 0 else "random"
    T = rng.uniform(1, 800, n) if seed % 3 else np.full(n, 365.0)
    rate = rng.gamma(*((0.05, 20.0), (0.5, 0.02), (1.0, 1.0), (20.0, 0.01))[seed % 4 - 1], n)
    leave = rng.beta(*SHAPES[seed % len(SHAPES)], n)
    stays = np.minimum(rng.geometric(np.clip(leave, 1e-3, 1)) - 1.0, 5000)
    life = T * (rng.uniform(0.05, 1, n) if seed % 5 else 1)
    x = np.minimum(np.minimum(rng.poisson(rate * life), stays), 5000).astype(float)
    t_x = life * rng.beta(np.maximum(x, 1), 1)
    x, t_x, T = degenerate(kind, x, t_x, T)
    if seed % 2:  # whole days
        t_x, T = np.ceil(t_x), np.ceil(T)
    t_x = np.where(x > 0, np.maximum(np.minimum(t_x, T), 1e-9), 0)
    unit = list(UNITS.values())[seed % 3]
    gaps = np.where(x > 0, x * np.log(np.maximum(t_x, 1e-9) / np.maximum(x, 1) / unit), 0)
    # Erlang gaps of the right sum: those of a Dirichlet split, on average
    gaps -= x * rng.choice([0.05, 0.3, 0.58])
    return x, t_x / unit, T / unit, gaps
