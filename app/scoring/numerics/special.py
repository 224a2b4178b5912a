"""Gamma-type functions to double precision, from shift and Stirling's series.

``log Gamma(z)`` and its derivatives are expanded at ``z + SHIFT``, where the series below
stops below 1e-16, and the shift is taken back by the recurrence. Ratios are formed before
logarithms are taken, so that no two large numbers are subtracted.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics.array_types import FloatArray

_SHIFT = 12
# B_2k / (2k (2k-1)), k = 1..6: log Gamma(z) = (z-1/2) log z - z + log(2 pi)/2 + sum c_k z^(1-2k)
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def _series(z: FloatArray, derivative: int = 0) -> FloatArray:
    """Return the remainder of Stirling's formula at ``z``, or its first or second derivative."""
    square = 1 / (z * z)
    total = np.zeros_like(z)
    for k in range(len(_STIRLING), 0, -1):
        power = 2 * k - 1
        factor = (1, -power, power * (power + 1))[derivative]
        total = total * square + factor * _STIRLING[k - 1]
    return total / z ** (derivative + 1)


def log_rising(c: ArrayLike, n: ArrayLike) -> FloatArray:
    """Return ``log(Gamma(c + n) / Gamma(c))`` for ``c > 0`` and real ``n >= 0``, elementwise."""
    c, n = np.broadcast_arrays(np.asarray(c, dtype=float), np.asarray(n, dtype=float))
    base = c + _SHIFT
    top = base + n
    ratio = np.ones_like(base)
    for i in range(_SHIFT):
        ratio = ratio * (1 + n / (c + i))
    main = (base - 0.5) * np.log1p(n / base) + n * (np.log(top) - 1)
    result: FloatArray = main + (_series(top) - _series(base)) - np.log(ratio)
    return result


def log_gamma(z: ArrayLike) -> FloatArray:
    """Return ``log Gamma(z)`` for ``z > 0``, elementwise."""
    z = np.asarray(z, dtype=float)
    top = z + _SHIFT
    product = np.ones_like(top)
    for i in range(_SHIFT):
        product = product * ((z + i) / top)
    # Dividing each factor by top keeps the product far from overflow; give the logs back here.
    main = (z - 0.5) * np.log(top) - top + _HALF_LOG_2PI
    result: FloatArray = main + _series(top) - np.log(product)
    return result


def digamma(z: ArrayLike) -> FloatArray:
    """Return the first derivative of ``log Gamma`` at ``z > 0``, elementwise."""
    z = np.asarray(z, dtype=float)
    top = z + _SHIFT
    result: FloatArray = np.log(top) - 0.5 / top + _series(top, 1)
    for i in range(_SHIFT):
        result = result - 1 / (z + i)
    return result


def trigamma(z: ArrayLike) -> FloatArray:
    """Return the second derivative of ``log Gamma`` at ``z > 0``, elementwise."""
    z = np.asarray(z, dtype=float)
    top = z + _SHIFT
    result: FloatArray = 1 / top + 0.5 / (top * top) + _series(top, 2)
    for i in range(_SHIFT):
        result = result + 1 / (z + i) ** 2
    return result


def by_count(function: Callable[[FloatArray], FloatArray], x: FloatArray) -> FloatArray:
    """Return ``function(x)`` for whole ``x``, from a table where that needs fewer evaluations."""
    if x.size < 64 or x.max() >= x.size:
        return function(x)
    table = function(np.arange(x.max() + 1))
    return table[x.astype(np.intp)]
