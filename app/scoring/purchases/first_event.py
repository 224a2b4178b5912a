r"""What comes first for a customer alive at ``t``, the next purchase or the end.

The next purchase comes at a Gamma(k, alpha + t) rate, the end at a Gamma(s, beta + t) rate. With
:math:`F(u) = (1 + u/(\alpha+t))^{-k} (1 + u/(\beta+t))^{-s}`, the chance of neither in ``u``,

.. math:: g = \int_0^\infty F \frac{s\,du}{\beta+t+u} \;(\text{the end first}), \quad
          b = \int_0^\infty F \frac{k\,du}{\alpha+t+u} \;(\text{a purchase first}), \quad g + b = 1.

Both integrands are positive. With ``c <= d`` the smaller and larger of ``alpha + t, beta + t``
and ``u = c (e^tau - 1)`` they fall exponentially in ``tau``, and the trapezoidal rule in ``y``,
``tau = e^(y - e^-y) / (k + s)``, converges exponentially: some 45 nodes give full precision, more
where ``d / c`` is large. A Gauss-Laguerre rule needs twice as many, and fails for large ``d / c``.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from app.scoring.numerics.array_types import FloatArray

Event: TypeAlias = Literal["end", "purchase"]

EXACT = 38.0  # exp(-38) is below rounding
ROUGH = 16.0
_LARGEST_EXPONENT = 600.0
_NODES_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class _Nodes:
    """Nodes of rows (x, t), shape (g, nodes), at times ``u``, and their weights.

    Attributes
    ----------
    features : tuple of FloatArray
        ``log(1 + u/a), u/(a + u), log(1 + u/b), u/(b + u)``.
    """

    features: tuple[FloatArray, FloatArray, FloatArray, FloatArray]
    weight: FloatArray


def _step(nu: float, mu: float, ratio: float, reach: float, digits: float) -> float:
    """Return a step in ``y`` that resolves rows with ``nu`` and up, ``mu, d/c, reach`` and less.

    The integrand has a singularity of order ``mu`` at ``u = -d``, that is at
    ``tau = log(d/c - 1) + i pi``; the strip around the real axis must keep off it.
    """
    away = math.pi - math.asin(math.exp(-2 / (mu + 1)))
    real = math.log(max(ratio - 1, 1.0))
    pole = cmath.log(nu * complex(min(real, reach), away))
    y = pole if pole.real > 0 else complex(0.2 * pole.real, 0.5 * pole.imag)
    for _ in range(6):  # solves y - e^-y = log(nu tau)
        shrunk = cmath.exp(-y)
        y -= (y - shrunk - pole) / (1 + shrunk)
    return 2 * math.pi * min(y.imag, 1.1) / digits


def _nodes(
    event: Event, k: FloatArray, s: float, a: FloatArray, b: FloatArray, digits: float
) -> _Nodes:
    """Return the nodes for rows with ``a = alpha + t`` and ``b = beta + t``, shape (g,)."""
    a_first = bool(a[0] <= b[0])
    c, d = (a, b) if a_first else (b, a)
    kappa, mu = (k, np.full_like(k, s)) if a_first else (np.full_like(k, s), k)
    nu, ratio = k + s, c / d
    # F falls as e^(-kappa tau) at first, later as e^(-nu tau); one power can be lost to du.
    reach = np.minimum(digits / nu - np.log(ratio), digits / np.maximum(kappa - 1, 1e-300))
    step = _step(
        float(nu.min()), float(mu.max()), 1 / float(ratio.min()), float(reach.max()), digits
    )
    right = max(math.log(float((reach * nu).max())), 1.0)
    y = np.arange(-math.log(digits), right + step, step)
    shrunk = np.exp(-y)
    unit = np.exp(y - shrunk)
    # Rows of one x share tau, and what is costly to compute from it.
    distinct, row = np.unique(nu, return_inverse=True)
    tau = unit / distinct[:, None]
    growth = np.expm1(np.minimum(tau, _LARGEST_EXPONENT))
    part_c = (growth / (1 + growth)).take(row, axis=0)
    growth = growth.take(row, axis=0)
    growth *= ratio[:, None]  # u / d
    log_d = np.log1p(growth)
    part_d = growth / (1 + growth)
    if float(tau[:, -1].max()) > _LARGEST_EXPONENT:
        log_d += np.maximum(tau - _LARGEST_EXPONENT, 0)[row]
    tau = tau.take(row, axis=0)
    log_weight = tau * -kappa[:, None]
    log_weight -= mu[:, None] * log_d
    exponent = kappa
    if (event == "purchase") != a_first:
        log_weight += tau
        log_weight -= log_d
        exponent = mu * ratio
    np.maximum(log_weight, -_LARGEST_EXPONENT, out=log_weight)  # underflow is slow
    weight = np.exp(log_weight, out=log_weight)
    weight *= step * unit * (1 + shrunk)
    weight *= (exponent / nu)[:, None]
    of_c, of_d = (tau, part_c), (log_d, part_d)
    return _Nodes((*of_c, *of_d) if a_first else (*of_d, *of_c), weight)


def chance(event: Event, k: FloatArray, s: float, a: FloatArray, b: FloatArray) -> FloatArray:
    """Return ``g`` (``end``) or ``b`` (``purchase``).

    Parameters
    ----------
    event : str
        Which of the two comes first.
    k, a, b : FloatArray
        ``r + x``, ``alpha + t`` and ``beta + t``, shape (g,).
    s : float
    """
    result = np.empty(k.size)
    for part in _parts(k.size):
        result[part] = _nodes(event, k[part], s, a[part], b[part], EXACT).weight.sum(axis=1)
    return result


def moments(
    event: Event, k: FloatArray, s: float, a: FloatArray, b: FloatArray, digits: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return `chance` and what its derivatives are made of, to ``exp(-digits)``.

    Returns
    -------
    chance : FloatArray
        Shape (g,).
    mean, covariance : FloatArray
        Of ``log(1 + u/a), u/(a + u), log(1 + u/b), u/(b + u)`` at the time ``u`` of the event,
        shapes (4, g) and (4, 4, g).
    """
    total, mean, square = np.empty(k.size), np.empty((4, k.size)), np.empty((4, 4, k.size))
    for part in _parts(k.size):
        nodes = _nodes(event, k[part], s, a[part], b[part], digits)
        weight, features = nodes.weight, nodes.features
        total[part] = weight.sum(axis=1)
        weight /= total[part, None]
        for i, feature in enumerate(features):
            weighted = weight * feature
            mean[i, part] = weighted.sum(axis=1)
            for j in range(i, 4):
                square[i, j, part] = np.einsum("gn,gn->g", weighted, features[j])
                square[j, i, part] = square[i, j, part]
    return total, mean, square - mean[:, None] * mean


def _parts(size: int) -> Iterator[slice]:
    """Yield rows whose nodes stay in the processor's cache."""
    rows = _NODES_AT_ONCE // 48
    return (slice(at, at + rows) for at in range(0, size, rows))
