r"""Expected purchases of a customer known to be alive, where a gap is ``K`` exponential phases.

Given a rate :math:`\lambda` of phases and a dropout probability ``p``, with ``j`` phases of the
current gap over, ``N`` more phases make :math:`\lfloor (N+j)/K \rfloor` purchases if the customer
stays, so that :math:`E = E[(1 - (1-p)^{\lfloor (N+j)/K \rfloor}) / p]`. ``N`` is negative binomial,
``M`` and ``s`` its parameters. With :math:`q = (1-p)^{1/K}` and the roots of unity
:math:`\omega^l`, which pick the remainder of ``N + j``, the expectation over ``N`` is exactly

.. math:: E_N[(1-p)^{\lfloor (N+j)/K \rfloor}]
    = \frac1K \sum_{l<K} \Big( \sum_{c<K} z_l^{j-c} \Big) (1 + s (1 - z_l))^{-M},
    \quad z_l = q \omega^l,

and ``p ~ Beta(a, b + n)`` is integrated out as in `app.scoring.purchases.alive`. Near ``p = 1``,
where the sum cancels, it is replaced by its series in ``1 - p``. Where no more than some dozens of
phases are expected, the plain sum over purchases, of which nothing cancels, is the quicker one, and
``p`` needs no integral. No customer depends on any other.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.blocks import blocks
from app.scoring.purchases.alive import Grid, discounted_count, over_p
from app.scoring.purchases.pairs import on_pairs

_NEAR_ONE = math.log(0.01)
_TERMS = 8
_PLAIN = (1.0, 64), (8.0, 80), (32.0, 144)
"""Phases expected, and how many beyond a purchase are more than ever come, where ``s <= 1``."""
_NEGLIGIBLE = 45.0
_UNDERFLOW = 600.0


def expected_phased(
    a: float,
    b: float,
    phases: int,
    j: int,
    n: FloatArray,
    m: FloatArray,
    s: FloatArray,
) -> FloatArray:
    """Return ``E`` for ``p ~ Beta(a, b + n)``.

    Parameters
    ----------
    a, b : float
        Of the beta distribution.
    phases, j : int
        ``K``, and how many phases of the current gap are over.
    n : FloatArray
        Whole numbers, ascending, shape (g,).
    m : FloatArray
        ``M``, shape (g,).
    s : FloatArray
        Horizons in units of ``alpha + T``, shape (g, h).
    """
    result = np.full(s.shape, np.nan)
    expected = np.where(s <= 1, s * m[:, None], np.inf)
    least = -1.0
    for most, terms in _PLAIN:
        few = (expected > least) & (expected <= most)
        if few.any():
            row = np.nonzero(few)[0]
            result[few] = _plain_sum(a, b + n[row], phases, j, m[row], s[few], terms + phases)
        least = most
    many = expected > least
    if many.any():
        part = np.ix_(many.any(axis=1), many.any(axis=0))
        rows = part[0][:, 0]
        found = over_p(a, b, n[rows], m[rows], s[part], partial(_value, phases, j))
        result[part] = np.where(many[part], np.maximum(found, 0.0), result[part])
    return result


def _value(phases: int, j: int, grid: Grid, m: FloatArray, s: FloatArray) -> FloatArray:
    """Return ``E_N[(1-p)^floor((N+j)/K)] - 1`` at the nodes, shape (g, h, nodes)."""
    p, log_rest, _, _ = grid
    fall = -log_rest / phases  # -log q
    inverse = sum(np.expm1(c * fall) for c in range(phases)) / phases
    power = np.log1p(s[:, :, None] * -np.expm1(-fall))
    power *= -m[:, None, None]
    power += np.log1p(inverse) - j * fall
    value: FloatArray = np.expm1(power)
    odds = p * np.exp(-log_rest)
    for index in range(1, phases // 2 + 1):
        angle = 2 * math.pi * index / phases
        root = np.exp(-fall + 1j * angle)
        factor = -odds / (1 - 1 / root) * root**j / phases
        # (1 + s (1 - z))^-M by modulus and argument
        real = 1 + s[:, :, None] * (1 - root.real)
        imaginary = s[:, :, None] * -root.imag
        size = np.log(real * real + imaginary * imaginary) * (-0.5 * m[:, None, None])
        if float(size.max()) < -_NEGLIGIBLE:
            continue
        turn = np.arctan(imaginary / real) * -m[:, None, None]
        term = factor.real * np.cos(turn) - factor.imag * np.sin(turn)
        term *= np.exp(np.maximum(size, -_UNDERFLOW))
        value += term if 2 * index == phases else 2 * term
    near = log_rest < _NEAR_ONE
    if near.any():
        value[:, :, near] = _series(phases, j, m, s, np.exp(log_rest[near])) - 1
    return value


def _pmf(m: FloatArray, s: FloatArray, size: int) -> FloatArray:
    """Return ``P(N = i), i < size``, in a new last axis."""
    pmf = np.empty((*s.shape, size))
    pmf[..., 0] = np.exp(np.maximum(-m * np.log1p(s), -_UNDERFLOW))
    i = np.arange(size - 1)
    np.divide(m[..., None] + i, i + 1, out=pmf[..., 1:])
    pmf[..., 1:] *= (s / (1 + s))[..., None]
    return np.cumprod(pmf, axis=-1, out=pmf)


def _series(phases: int, j: int, m: FloatArray, s: FloatArray, rest: FloatArray) -> FloatArray:
    """Return ``sum_i rest^i P(floor((N+j)/K) = i)``, for small ``rest = 1 - p``."""
    pmf = _pmf(np.broadcast_to(m[:, None], s.shape), s, _TERMS * phases - j)
    padded = np.concatenate((np.zeros((*s.shape, j)), pmf), axis=2)
    exactly = padded.reshape(*s.shape, _TERMS, phases).sum(axis=3)
    result: FloatArray = exactly @ rest ** np.arange(_TERMS)[:, None]
    return result


def _plain_sum(
    a: float, c: FloatArray, phases: int, j: int, m: FloatArray, s: FloatArray, terms: int
) -> FloatArray:
    """Return ``sum_i P(survived i - 1 purchases) P(N >= i K - j)``, shape (g,)."""
    at_least = np.cumsum(_pmf(m, s, terms)[:, ::-1], axis=1)[:, ::-1]
    result = np.zeros(s.size)
    survived = np.ones(s.size)
    for i, needed in enumerate(range(phases - j, terms, phases)):
        result += survived * at_least[:, needed]
        survived = survived * (c + i) / (a + c + i)
    return result


def phased_if_alive(
    a: float,
    b: float,
    r: float,
    phases: int,
    x: FloatArray,
    age: FloatArray,
    share: list[FloatArray],
    *,
    horizon: FloatArray,
    rate: float = 0.0,
) -> FloatArray:
    """Return the purchases expected in ``horizon`` of customers alive, discounted at ``rate``.

    Parameters
    ----------
    a, b, r : float
        Parameters of the model; ``p ~ Beta(a, b + x)``.
    phases : int
        ``K``.
    x, age : FloatArray
        Purchases, and ``alpha + T``, of one shape.
    share : list of FloatArray
        Of that shape: the probability that ``j`` phases of the current gap are over.
    horizon : FloatArray
        A number (may be infinite with a discount), or of the same shape.
    rate : float
        Per unit of time.
    """
    total = np.zeros(np.shape(age))
    for j, weight in enumerate(share):
        count = partial(expected_phased, a, b, phases, j)

        def kernel(
            n: FloatArray, age: FloatArray, ahead: FloatArray = horizon, j: int = j,
            count: partial[FloatArray] = count,
        ) -> FloatArray:  # fmt: skip
            m = r + phases * n + j
            if not rate:
                return count(n, m, ahead / age)
            return discounted_count(count, n, m, ahead / age, rate=rate * age)

        n, ages = np.ravel(x), np.ravel(age)
        if np.ndim(horizon):
            order = np.argsort(n, kind="stable")
            found = np.empty(n.size)
            aheads = np.ravel(horizon)
            for part in blocks(n.size):
                some = order[part]
                found[some] = kernel(n[some], ages[some, None], aheads[some, None])[:, 0]
        else:
            key = "phased", a, b, r, phases, j, float(horizon), rate
            found = on_pairs(kernel, key, n, ages)
        total = total + weight * found.reshape(np.shape(age))
    return total[()]
