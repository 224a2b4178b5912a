"""The functions of one history that Pareto/NBD predictions need, for many histories at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Protocol

import numpy as np

from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.blocks import blocks
from app.scoring.numerics.special import log_rising
from app.scoring.purchases.alive import legendre, nodes_needed
from app.scoring.purchases.first_event import Event, chance
from app.scoring.purchases.pairs import on_pairs

_NEGLIGIBLE = 40.0
_TINY = float(np.finfo(float).tiny)


class Parameters(Protocol):
    """The parameters of a Pareto/NBD."""

    @property
    def r(self) -> float: ...
    @property
    def alpha(self) -> float: ...
    @property
    def s(self) -> float: ...
    @property
    def beta(self) -> float: ...


def _ages(model: Parameters, age: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ``alpha + t`` and ``beta + t`` from the smaller of the two.

    In the logarithm of the smaller the functions here are analytic, so that few evaluations
    give all: see `app.scoring.purchases.pairs`.
    """
    least = min(model.alpha, model.beta)
    return age + (model.alpha - least), age + (model.beta - least)


def _table(
    model: Parameters,
    kernel: Callable[[FloatArray, FloatArray], FloatArray],
    x: FloatArray,
    t: FloatArray,
    *asked: Hashable,
) -> FloatArray:
    """Return ``kernel(x, age)`` at ``age = min(alpha, beta) + t``, of any shape.

    The kernel is told from others by the model and by what is ``asked``.
    """
    age = min(model.alpha, model.beta) + t
    key = *asked, model.r, model.alpha, model.s, model.beta
    return on_pairs(kernel, key, np.ravel(x), np.ravel(age)).reshape(np.shape(t))[()]


def log_chance(event: Event, model: Parameters, x: FloatArray, t: FloatArray) -> FloatArray:
    """Return the logarithm of the chance that ``event`` comes first after ``t``."""
    if np.ndim(t) == 0:
        return _log_chance_one(
            event, float(model.r + x), model.s, model.alpha + float(t), model.beta + float(t)
        )

    def kernel(n: FloatArray, age: FloatArray) -> FloatArray:
        a, b = _ages(model, age.ravel())
        k = model.r + np.repeat(n, age.shape[1])
        return np.log(np.maximum(chance(event, k, model.s, a, b), _TINY)).reshape(age.shape)

    return _table(model, kernel, x, t, event)


@lru_cache(maxsize=4096)  # a score card asks for the same several times
def _log_chance_one(event: Event, k: float, s: float, a: float, b: float) -> FloatArray:
    found = chance(event, np.array([k]), s, np.array([a]), np.array([b]))
    value: FloatArray = np.log(np.maximum(found, _TINY))[0]
    return value


def _integral(
    log_f: Callable[[FloatArray], FloatArray], end: FloatArray, scale: FloatArray
) -> FloatArray:
    """Return the integral of ``e^log_f`` from 0 to ``end``, which falls on ``scale``.

    Shape (g,); ``log_f`` takes (g, nodes).
    """
    length = np.log1p(end / scale)
    nodes, weights = legendre(4 * math.ceil(nodes_needed(float(length.max()) / 2, 19.0) / 4) + 4)
    v = length[:, None] * nodes
    u = np.expm1(v) * scale[:, None]
    result: FloatArray = (np.exp(log_f(u) + v) @ weights) * length * scale
    return result


def log_purchase_within(
    model: Parameters, x: FloatArray, T: FloatArray, ahead: FloatArray
) -> FloatArray:
    """Return the log-chance that a customer alive at ``T`` buys within ``ahead``."""

    def kernel(n: FloatArray, age: FloatArray, horizon: FloatArray) -> FloatArray:
        a, b = (some[:, None] for some in _ages(model, age))
        k = (model.r + n)[:, None]
        scale = 1 / (k / a + model.s / b)[:, 0]
        scale = np.minimum(scale, age)
        # As shares of a horizon that may be next to nothing.
        whole = np.maximum(horizon, _TINY)
        last = np.minimum(whole, a[:, 0] * np.expm1(np.minimum(_NEGLIGIBLE / k[:, 0], 600.0)))

        def log_f(u: FloatArray) -> FloatArray:
            return np.log(k / (a + u)) - k * np.log1p(u / a) - model.s * np.log1p(u / b)

        found = _integral(log_f, last, scale)
        return np.log(np.clip(found, _TINY, 1.0))

    if np.ndim(ahead):
        age = min(model.alpha, model.beta) + T
        n, ages, horizons = np.ravel(x), np.ravel(age), np.ravel(ahead)
        found = np.empty(n.size)
        for part in blocks(n.size):
            found[part] = kernel(n[part], ages[part], horizons[part])
        return found.reshape(np.shape(T))

    def on_grid(n: FloatArray, age: FloatArray) -> FloatArray:
        horizon = np.full(age.size, float(ahead))
        values = kernel(np.repeat(n, age.shape[1]), age.ravel(), horizon)
        return values.reshape(age.shape)

    return _table(model, on_grid, x, T, "within", float(ahead))


def time_alive(model: Parameters, T: FloatArray, *, end: float, rate: float) -> FloatArray:
    """Return the discounted time a customer alive at ``T`` stays, in the next ``end``."""

    def kernel(_: FloatArray, age: FloatArray) -> FloatArray:
        b = _ages(model, age.ravel())[1]
        tail = b * np.expm1(np.minimum(_NEGLIGIBLE / model.s, 600.0))
        last = np.minimum(np.minimum(tail, _NEGLIGIBLE / rate), end)

        def log_f(u: FloatArray) -> FloatArray:
            return -rate * u - model.s * np.log1p(u / b[:, None])

        scale = np.minimum(1 / (rate + model.s / b), b)
        return _integral(log_f, last, scale).reshape(age.shape)

    return _table(model, kernel, np.zeros_like(T), T, "alive", end, rate)


def pareto_pmf(model: Parameters, n: FloatArray, t: FloatArray) -> FloatArray:
    """Return the probability that a new customer makes ``n`` purchases in ``t``, shape (g,).

    Alive at ``t``, or dead since some ``u < t``: two positive terms.
    """
    result = np.empty(n.size)
    for i in range(n.size):
        result[i] = _pmf_one(model, float(n[i]), float(t[i]))
    return result


def _pmf_one(model: Parameters, n: float, t: float) -> float:
    r, alpha, s, beta = model.r, model.alpha, model.s, model.beta
    if t == 0:
        return float(n == 0)
    step = min(0.25, 0.6 / math.sqrt(n + 1))
    # u / t is logistic in y; the integrand falls as e^((n + 1) y) on the left, e^-y on the right.
    lowest = -_NEGLIGIBLE / (n + 1) - math.log1p(t / alpha) - math.log1p(t / beta) - 2
    y = np.arange(lowest - math.log(n + s + 1), _NEGLIGIBLE, step)
    u = t / (1 + np.exp(-y))
    log_density = math.log(s / beta) - (s + 1) * np.log1p(u / beta)
    jacobian = np.log(u) - np.logaddexp(0, y)
    power = n * np.log(u / (alpha + u)) - r * np.log1p(u / alpha) + log_density + jacobian
    dead = step * float(np.exp(power).sum())
    alive = math.exp(
        n * math.log(t / (alpha + t)) - r * math.log1p(t / alpha) - s * math.log1p(t / beta)
    )
    return min(math.exp(float(log_rising(r, n) - log_rising(1.0, n))) * (alive + dead), 1.0)
