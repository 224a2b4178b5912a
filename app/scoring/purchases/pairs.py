"""Purchases expected of many customers alive, from few integrals; and of one, remembered.

The integrals of `app.scoring.purchases.alive` depend on a customer through ``x`` and the age
``alpha + T`` alone, and a million customers have few distinct ``x``.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from functools import lru_cache, partial

import numpy as np

from app.scoring.numerics.array_types import FloatArray, IntArray
from app.scoring.numerics.blocks import blocks
from app.scoring.purchases import remembered
from app.scoring.purchases.alive import discounted_count, expected_count, nodes_needed
from app.scoring.purchases.remembered import Kernel, row_by_row

_STEPS = 4  # of the logarithm of the age, to each of which an interval reaches at least
_MANY = 10_000
_SERIES_KEPT = 4096


def expected_if_alive(
    a: float, b: float, r: float, x: FloatArray, age: FloatArray, *, horizon: FloatArray
) -> FloatArray:
    """Return the purchases expected in ``horizon`` of customers alive, with ``p ~ Beta(a, b + x)``.

    Parameters
    ----------
    a, b, r : float
        Parameters of the model.
    x, age : FloatArray
        Purchases, and ``alpha + T``, of one shape.
    horizon : FloatArray
        A number, or of the same shape.
    """
    if x.ndim == 0 and horizon.ndim == 0:
        return _expected_one(a, b, float(x), r + float(x), float(horizon / age))
    if horizon.ndim:
        n, s = x.ravel(), (horizon / age).ravel()
        order = np.argsort(n, kind="stable")
        result = np.empty(n.size)
        result[order] = expected_count(a, b, n[order], r + n[order], s[order, None])[:, 0]
        return result.reshape(x.shape)

    def kernel(n: FloatArray, age: FloatArray) -> FloatArray:
        return expected_count(a, b, n, r + n, horizon / age)

    key = "expected", a, b, r, float(horizon)
    return on_pairs(kernel, key, x.ravel(), age.ravel()).reshape(x.shape)


def discounted_if_alive(
    a: float, b: float, r: float, x: FloatArray, age: FloatArray, *, horizon: float, rate: float
) -> FloatArray:
    """Return the same, each purchase discounted at ``rate`` per unit of time."""
    if x.ndim == 0:
        s, per_age = horizon / float(age), rate * float(age)
        return _discounted_one(a, b, float(x), r + float(x), s, rate=per_age)

    def kernel(n: FloatArray, age: FloatArray) -> FloatArray:
        count = partial(expected_count, a, b)
        return discounted_count(count, n, r + n, horizon / age, rate=rate * age)

    key = "discounted", a, b, r, horizon, rate
    return on_pairs(kernel, key, x.ravel(), age.ravel()).reshape(x.shape)


@lru_cache(maxsize=4096)
def _expected_one(a: float, b: float, n: float, k: float, s: float) -> FloatArray:
    count: FloatArray = expected_count(a, b, np.array([n]), np.array([k]), np.array([[s]]))[0, 0]
    return count


@lru_cache(maxsize=4096)  # a score card asks for the same three times
def _discounted_one(a: float, b: float, n: float, k: float, s: float, *, rate: float) -> FloatArray:
    customer = np.array([n]), np.array([k]), np.array([[s]])
    count: FloatArray = discounted_count(
        partial(expected_count, a, b), *customer, rate=np.array([[rate]])
    )[0, 0]
    return count


def on_pairs(kernel: Kernel, key: Hashable, x: FloatArray, age: FloatArray) -> FloatArray:
    """Return ``kernel`` for every pair of purchases and age, from few evaluations.

    At a given ``x`` the kernels are analytic in the logarithm of the age ``alpha + T``, so where
    an ``x`` has more rows than Chebyshev nodes are needed, a polynomial through those nodes
    gives all of them to rounding. Ages are taken in intervals that many sets of customers share,
    so that the polynomials of one serve the next.

    Parameters
    ----------
    kernel : callable
        ``(x, age) -> values`` with ``x`` ascending of shape (g,), ``age`` and values (g, m).
    key : hashable
        All that the kernel depends on: what is kept of one is taken for all with an equal key.
    x, age : FloatArray
        Shape (n,).
    """
    # One who buys that often shares an ``x`` with nobody; the others are not to pay for it.
    rare = x >= 4 * x.size + 1000
    if not rare.any():
        return _on_common(kernel, key, x, age)
    result = np.empty(x.size)
    result[rare] = _one_by_one(kernel, key, x[rare], age[rare])
    result[~rare] = _on_common(kernel, key, x[~rare], age[~rare])
    return result


def _one_by_one(kernel: Kernel, key: Hashable, x: FloatArray, age: FloatArray) -> FloatArray:
    """Return ``kernel`` of each row by itself, remembered if it will be asked for again."""
    if remembered.pays(x.size):
        return remembered.on_rows(key, kernel, x, age)
    return row_by_row(kernel, x, age)


def _on_common(kernel: Kernel, key: Hashable, x: FloatArray, age: FloatArray) -> FloatArray:
    """Return ``kernel`` where no ``x`` is far larger than there are rows."""
    if not x.size:
        return np.zeros(0)
    low = math.floor(math.log(float(age.min())) * _STEPS) / _STEPS
    high = math.ceil(math.log(float(age.max())) * _STEPS) / _STEPS
    half, middle = (high - low) / 2, (high + low) / 2
    points = nodes_needed(half, 38.0) if half > 0 else 1
    whole = x.astype(np.intp)
    rows_of = np.bincount(whole)
    # Of many customers as many will be asked for again: then more of the series pay.
    enough = points if x.size < _MANY else points // 4
    dense = np.flatnonzero(rows_of > enough)
    result = np.empty(x.size)
    if dense.size:
        column = np.zeros(rows_of.size, dtype=np.int64)
        column[dense] = np.arange(dense.size)
        coefficients = _series(kernel, key, dense, low, high, points)
        for part in blocks(x.size):
            z = (np.log(age[part]) - middle) / (half or 1.0)
            result[part] = _clenshaw(coefficients, column[whole[part]], z)
    sparse = np.flatnonzero((rows_of <= enough)[whole])
    if sparse.size:
        result[sparse] = _one_by_one(kernel, key, x[sparse], age[sparse])
    return result


def _series(
    kernel: Kernel, key: Hashable, counts: IntArray, low: float, high: float, points: int
) -> FloatArray:
    """Return Chebyshev coefficients for each of some ``x``, shape (points, g).

    Each is computed by itself, lest it depend on who else was asked for first.
    """
    known = _known(key, low, high)
    if len(known) > _SERIES_KEPT:
        known.clear()
    missing = [n for n in counts.tolist() if n not in known]
    if missing:
        angle = math.pi * (np.arange(points) + 0.5) / points
        at = np.exp((high + low) / 2 + (high - low) / 2 * np.cos(angle))[None, :]
        basis = np.cos(np.arange(points)[:, None] * angle) * (2 / points)
        basis[0] /= 2
        for n in missing:
            known[n] = basis @ kernel(np.array([float(n)]), at)[0]
    return np.stack([known[n] for n in counts.tolist()], axis=1)


@lru_cache(maxsize=64)
def _known(key: Hashable, low: float, high: float) -> dict[int, FloatArray]:
    """Return what is known of a kernel on an interval, by ``x``; whoever finds more puts it in."""
    del key, low, high
    return {}


def _clenshaw(coefficients: FloatArray, column: IntArray, z: FloatArray) -> FloatArray:
    """Evaluate one Chebyshev series a row, each row with its own column of coefficients."""
    ahead = behind = np.zeros(z.size)
    twice = 2 * z
    for row in coefficients[:0:-1]:
        ahead, behind = row[column] + twice * ahead - behind, ahead
    result: FloatArray = coefficients[0][column] + z * ahead - behind
    return result
