"""The Pareto/NBD log-likelihood of collapsed histories, with gradient and Hessian."""

from __future__ import annotations

import math

import numpy as np

from app.scoring.histories.collapse import Histories, RisingSum
from app.scoring.numerics.array_types import FloatArray, IntArray
from app.scoring.numerics.blocks import blocks
from app.scoring.numerics.newton import Evaluation
from app.scoring.purchases.alive import nodes_needed
from app.scoring.purchases.first_event import EXACT, ROUGH, Event, moments
from app.scoring.purchases.poisson_likelihood import NoDropout


class ParetoNBD:
    """The log-likelihood at ``theta = log (r, alpha, s, beta)``.

    After the last purchase at ``t_x`` either the end comes first, at any time, or a purchase
    does, but after ``T``: two positive terms, ``e^m(x, t_x) + e^n(x, T)``. Each depends on a
    pair (x, t), of which there are few; what is left per history is one logistic function.
    """

    def __init__(self, rows: Histories, digits: float = EXACT) -> None:
        self.rows, self._digits = rows, digits
        self._rising = RisingSum(rows.x, rows.weight)
        self._last = _Pairs("end", rows.x, rows.t_x)
        self._now = _Pairs("purchase", rows.x, rows.T)

    @property
    def no_dropout(self) -> NoDropout:
        """The limit where nobody leaves."""
        return NoDropout(self.rows)

    def share_left(self, theta: FloatArray) -> float:
        """Return the share of all customers that have left, in expectation."""
        params = np.exp(theta)
        r, alpha, s, beta = params.tolist()
        x, T, weight = self.rows.x, self.rows.T, self.rows.weight
        ends = self._last.at(params, ROUGH).value[self._last.of_row]
        buys = self._now.at(params, ROUGH).value[self._now.of_row]
        alive = -r * np.log1p(T / alpha) - x * np.log(alpha + T) - s * np.log1p(T / beta)
        left = -np.expm1(np.minimum(alive - np.logaddexp(ends, buys), 0))
        return float(weight @ left) / float(weight.sum())

    def __call__(self, theta: FloatArray) -> Evaluation:
        """Return value, gradient and Hessian."""
        params = np.exp(theta)
        r = float(params[0])
        ends, buys = self._last.at(params, self._digits), self._now.at(params, self._digits)
        weight = self.rows.weight
        rising, slope, curve = self._rising(r)
        gradient, hessian = np.zeros(4), np.zeros((4, 4))
        u = ends.value[self._last.of_row] - buys.value[self._now.of_row]
        small = np.exp(-np.minimum(np.abs(u), 600.0))  # underflow is slow
        first = np.where(u > 0, 1.0, small) / (1 + small)
        value = rising + float(weight @ (np.maximum(u, 0) + np.log1p(small)))
        value += float(self._now.count(weight) @ buys.value)
        w_first = weight * first
        w_rest = weight - w_first
        for pairs, terms, share in ((self._last, ends, w_first), (self._now, buys, w_rest)):
            of_pair = pairs.count(share)
            gradient += terms.gradient @ of_pair
            hessian += terms.hessian @ of_pair
        difference = ends.gradient[:, self._last.of_row] - buys.gradient[:, self._now.of_row]
        hessian += (difference * (w_first * (1 - first))) @ difference.T
        gradient[0] += r * slope
        hessian[0, 0] += r * slope + r * r * curve
        return value, gradient, hessian


class _Terms:
    """The logarithm of one of the two terms for each pair, with derivatives in the logs."""

    def __init__(
        self, event: Event, params: FloatArray, x: FloatArray, t: FloatArray, digits: float
    ) -> None:
        r, alpha, s, beta = params.tolist()
        a, b = alpha + t, beta + t
        chance, mean, covariance = _moments(event, params, x, t, digits)
        grown_a, grown_b = np.log1p(t / alpha), np.log1p(t / beta)
        self.value = np.log(chance) - r * grown_a - x * np.log(a) - s * grown_b
        # Powers of (alpha + u) and (beta + u) under the integral, less r and s.
        more, also = (x, 1.0) if event == "end" else (x + 1, 0.0)
        A, B, wa, wb = r + more, s + also, alpha / a, beta / b
        log_a, part_a, log_b, part_b = mean
        rest_a, rest_b = 1 - wa * (1 - part_a), 1 - wb * (1 - part_b)
        d_r, d_s = -grown_a - log_a, -grown_b - log_b
        self.gradient = np.stack(
            (
                r * d_r + (0 if also else r / (r + x)),
                r * (t / a) + wa * (A * part_a - more),
                s * d_s + also,
                s * (t / b) + wb * (B * part_b - also),
            )
        )
        scale = np.stack((np.full_like(a, -r), A * wa, np.full_like(a, -s), B * wb))
        hessian = covariance * scale
        hessian *= scale[:, None]
        hessian[0, 0] += r * d_r
        if not also:
            hessian[0, 0] += r * x / (r + x) ** 2
        hessian[2, 2] += s * d_s
        for at, each in ((0, r * rest_a), (2, s * rest_b)):
            hessian[at, at + 1] += each
            hessian[at + 1, at] += each
        # E[(1 - p)(1 - w (1 - p))] with p = u / (a + u)
        for i, power, w in ((1, A, wa), (3, B, wb)):
            alive, spread = 1 - mean[i], covariance[i, i]
            hessian[i, i] -= power * w * (alive - w * (alive * alive + spread))
        self.hessian = hessian


def _moments(
    event: Event, params: FloatArray, x: FloatArray, t: FloatArray, digits: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return `moments` of the pairs, ordered by ``x``, from few integrals.

    They are analytic in the logarithm of the smaller of ``alpha + t`` and ``beta + t``, so that
    an ``x`` with many ``t`` needs them at Chebyshev nodes only.
    """
    r, alpha, s, beta = params.tolist()
    least = min(alpha, beta)
    low, high = (math.log(least + float(some)) for some in (t.min(), t.max()))
    half, middle = (high - low) / 2, (high + low) / 2
    points = nodes_needed(half, digits) + 2
    start = np.flatnonzero(np.concatenate(([True], x[1:] != x[:-1])))
    size = np.diff(start, append=x.size)
    many = size > 2 * points
    if half == 0 or not many.any():
        return moments(event, r + x, s, alpha + t, beta + t, digits)
    angle = math.pi * (np.arange(points) + 0.5) / points
    at = np.exp(middle + half * np.cos(angle)) - least
    few = np.repeat(~many, size)
    all_x = np.concatenate((np.repeat(x[start[many]], points), x[few]))
    all_t = np.concatenate((np.tile(at, int(many.sum())), t[few]))
    chance, mean, covariance = moments(event, r + all_x, s, alpha + all_t, beta + all_t, digits)
    upper = np.triu_indices(4)
    table = np.concatenate((np.log(chance)[None], mean, covariance[upper]))
    basis = np.cos(np.arange(points)[:, None] * angle) * (2 / points)
    basis[0] /= 2
    found = np.empty((table.shape[0], x.size))
    found[:, few] = table[:, int(many.sum()) * points :]
    for i, (first, length) in enumerate(zip(start[many], size[many], strict=True)):
        series = table[:, i * points : (i + 1) * points] @ basis.T
        for part in blocks(int(length)):
            rows = slice(int(first) + part.start, int(first) + min(part.stop, int(length)))
            z = np.clip((np.log(least + t[rows]) - middle) / half, -1, 1)
            found[:, rows] = series @ _chebyshev(z, points)
    square = np.empty((4, 4, x.size))
    square[upper] = square[upper[::-1]] = found[5:]
    return np.exp(found[0]), found[1:5], square


def _chebyshev(z: FloatArray, size: int) -> FloatArray:
    """Return the first ``size > 1`` Chebyshev polynomials at ``z``, shape (size, n)."""
    result = np.empty((size, z.size))
    result[0], result[1] = 1.0, z
    twice = 2 * z
    for row in range(2, size):
        np.multiply(twice, result[row - 1], out=result[row])
        result[row] -= result[row - 2]
    return result


class _Pairs:
    """The distinct pairs (x, t) of one term, sorted."""

    def __init__(self, event: Event, x: FloatArray, t: FloatArray) -> None:
        self._event = event
        self._x, self._t, self.of_row = _distinct(x, t)

    def at(self, params: FloatArray, digits: float) -> _Terms:
        return _Terms(self._event, params, self._x, self._t, digits)

    def count(self, weight: FloatArray) -> FloatArray:
        """Return the weight of each pair."""
        return np.bincount(self.of_row, weights=weight, minlength=self._x.size).astype(float)


def _distinct(x: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return the distinct pairs in the order of ``x``, and which one each row has."""
    order = np.lexsort((t, x))
    x, t = x[order], t[order]
    new = np.concatenate(([True], (x[1:] != x[:-1]) | (t[1:] != t[:-1])))
    of_row = np.empty(x.size, dtype=np.int64)
    of_row[order] = np.cumsum(new) - 1
    return x[new], t[new], of_row
