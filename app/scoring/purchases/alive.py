r"""Expected purchases of a customer known to be alive, under beta-geometric dropout.

Given a rate :math:`\lambda` and a dropout probability ``p``, a customer alive makes
:math:`(1 - e^{-\lambda p t})/p` purchases in ``t``. Alive after ``x`` purchases in ``T``, the
rate is Gamma(r + x, alpha + T) and ``p`` is Beta(a, c), so with ``k = r + x`` and
``s = t / (alpha + T)``

.. math:: E(s) = E_p [ (1 - (1 + p s)^{-k}) / p ].

The closed form of Fader, Hardie and Lee (2005) divides by ``a - 1`` and multiplies a
hypergeometric function by a power that may overflow. The integral has neither trouble: it is
positive and analytic. With ``p`` logistic in ``y`` the trapezoidal rule converges
exponentially; both tails are geometric and are summed exactly, so that a tiny ``a`` or ``c``
costs nothing. The sum of the weights replaces the beta function.

Discounted, the same expectation is, by parts and again without cancellation,

.. math:: D = e^{-\theta S} E(S) + \theta \int_0^S e^{-\theta s} E(s) ds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.special import trigamma

_NEGLIGIBLE = 40.0  # exp(-40) is far below rounding
_BLOCK = 1 << 16  # quadrature points at a time, to stay in the processor's cache
_STRIP = math.pi / 2  # half-width of the strip where the integrands are tame
_LINEAR = 1e-200  # below this E(s) is proportional to s, and its terms would underflow

Count: TypeAlias = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
Grid: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, float]


@lru_cache(maxsize=512)
def _grid(a: float, b: float, octave: int, reach: int) -> Grid:
    """Return nodes for ``c = b + n``, ``2^octave <= n + 1 < 2^(octave + 1)``, ``k s < e^reach``.

    Returns
    -------
    p, log_rest, log_weight : FloatArray
        The nodes, ``log(1 - p)``, and ``a log p`` with the left tail added to the first.
    step : float
        The step in ``y``.
    """
    lowest, highest = b + 2.0**octave - 1, b + 2.0 ** (octave + 1) - 2
    deviation = math.sqrt(float(trigamma(a) + trigamma(highest)))
    step = min(0.25, 0.6 * deviation)
    # Beyond these ends the integrand is an exact power, that is a geometric series.
    left = -37.0 - max(math.log(highest), reach, 0.0)
    right = 37.0 + max(math.log(a), 0.0)
    # A narrow beta needs its fine step only where it has any weight.
    coarse = np.linspace(left, right, 2000)
    log_p, log_rest = -np.logaddexp(0, -coarse), -np.logaddexp(0, coarse)
    from_left = a * log_p + highest * log_rest
    from_right = a * log_p + lowest * log_rest
    rising = from_left > from_left.max() - _NEGLIGIBLE - reach
    falling = from_right > from_right.max() - _NEGLIGIBLE - reach
    left = float(coarse[max(int(np.argmax(rising)) - 1, 0)])
    right = float(coarse[min(coarse.size - int(np.argmax(falling[::-1])), coarse.size - 1)])
    y = left + step * np.arange(math.ceil((right - left) / step) + 1)
    log_p, log_rest = -np.logaddexp(0, -y), -np.logaddexp(0, y)
    log_weight = a * log_p
    log_weight[0] -= math.log(-math.expm1(-a * step))
    return np.exp(log_p), log_rest, log_weight, step


def expected_count(a: float, b: float, n: FloatArray, k: FloatArray, s: FloatArray) -> FloatArray:
    """Return ``E(s)`` for ``p ~ Beta(a, b + n)``.

    Parameters
    ----------
    a, b : float
        Of the beta distribution.
    n : FloatArray
        Whole numbers, ascending, shape (g,).
    k : FloatArray
        Shape (g,).
    s : FloatArray
        Horizons in units of ``alpha + T``, shape (g, m).
    """
    if s.min(initial=_LINEAR) < _LINEAR:
        above = np.maximum(s, _LINEAR)
        return expected_count(a, b, n, k, above) * (s / above)
    if n.size == 1:
        p, weight = _weights(a, b, float(n[0]), _reach(k, s))
        value = np.log1p(s[0, :, None] * p)
        value *= -k[0]
        single: FloatArray = np.matmul(np.expm1(value, out=value), weight)
        return single[None, :]

    def less_one(grid: Grid, k: FloatArray, s: FloatArray) -> FloatArray:
        value = np.log1p(s[:, :, None] * grid[0])
        value *= -k[:, None, None]
        return np.expm1(value, out=value)

    return over_p(a, b, n, k, s, less_one)


def over_p(
    a: float,
    b: float,
    n: FloatArray,
    k: FloatArray,
    s: FloatArray,
    value: Callable[[Grid, FloatArray, FloatArray], FloatArray],
) -> FloatArray:
    """Return ``-E_p[value / p]`` for ``p ~ Beta(a, b + n)``; arguments as in `expected_count`.

    ``value(grid, k, s)`` has the shape of ``s`` with the nodes added.
    """
    result = np.empty(s.shape)
    start = 0
    while start < n.size:
        octave = _octave(float(n[start]))
        stop = int(np.searchsorted(n, 2.0 ** (octave + 1) - 1))
        grid = _grid(a, b, octave, _reach(k[start:stop], s[start:stop]))
        rows = max(1, _BLOCK // (grid[0].size * s.shape[1]))
        for at in range(start, stop, rows):
            part = slice(at, min(at + rows, stop))
            weight = _weigh(grid, b + n[part])
            values = value(grid, k[part], s[part])
            result[part] = np.matmul(values, weight[:, :, None])[:, :, 0]
        start = stop
    return result


def _octave(n: float) -> int:
    """Return the octave of ``n``: the customers in one share their nodes."""
    return math.frexp(n + 1)[1] - 1


def _reach(k: FloatArray, s: FloatArray) -> int:
    """Return an exponent, in steps of 4, with ``k s < e^reach``."""
    most = float(k.max()) * float(s.max())
    return 4 * math.ceil(math.log(min(max(most, 1.0), 1e250)) / 4)


@lru_cache(maxsize=2048)
def _weights(a: float, b: float, n: float, reach: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights for one ``n``: what a single customer needs is mostly this."""
    grid = _grid(a, b, _octave(n), reach)
    return grid[0], _weigh(grid, np.array([b + n]))[0]


def _weigh(grid: Grid, c: FloatArray) -> FloatArray:
    """Return ``-w / p`` at the nodes for each ``c``, where ``w`` are the weights of Beta(a, c)."""
    p, log_rest, log_weight, step = grid
    power = c[:, None] * log_rest + log_weight
    power[:, -1] -= np.log(-np.expm1(-c * step))
    power -= power.max(axis=1, keepdims=True)
    weight: FloatArray = np.exp(power)
    weight /= p * -weight.sum(axis=1, keepdims=True)
    return weight


@lru_cache(maxsize=64)
def legendre(points: int) -> tuple[FloatArray, FloatArray]:
    """Return Gauss-Legendre nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return (nodes + 1) / 2, weights / 2


def nodes_needed(half_length: float, digits: float) -> int:
    """Return how many nodes resolve ``e^-digits`` on an interval inside the analytic strip."""
    ratio = _STRIP / max(half_length, 1e-3)
    return math.ceil(digits / math.log(ratio + math.hypot(ratio, 1.0)))


def discounted_count(
    count: Count, n: FloatArray, k: FloatArray, s: FloatArray, *, rate: FloatArray
) -> FloatArray:
    """Return ``D`` for horizons ``s`` (may be infinite) and discount ``rate`` per unit of ``s``.

    Parameters
    ----------
    count : callable
        ``E``, as a function of ``(n, k, s)``.
    n, k, s : FloatArray
        Shapes as in `expected_count`.
    rate : FloatArray
        Positive, of the shape of ``s``.
    """
    last = np.minimum(s, _NEGLIGIBLE / rate)
    # Purchases saturate on a scale of 1/k to 1: equal steps in log(1 + k s) see all of it.
    scale = np.maximum(k, 1.0)[:, None]
    length = np.log1p(scale * last)
    points = 4 * math.ceil(nodes_needed(float(length.max()) / 2, 18.0) / 4)
    nodes, weights = legendre(points)
    v = length[:, :, None] * nodes
    tau = np.expm1(v) / scale[:, :, None]
    stops = np.concatenate((tau, last[:, :, None]), axis=2)
    counts = count(n, k, stops.reshape(n.size, -1)).reshape(stops.shape)
    density = np.exp(v - rate[:, :, None] * tau) * counts[:, :, :-1]
    integral = (density @ weights) * length * rate / scale
    result: FloatArray = np.exp(-rate * s) * counts[:, :, -1] + integral
    return result
