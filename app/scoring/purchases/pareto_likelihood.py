"""The Pareto/NBD log-likelihood of collapsed histories, with gradient and Hessian."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from app.scoring.histories.collapse import Histories, RisingSum
from app.scoring.numerics.array_types import FloatArray, IntArray
from app.scoring.numerics.blocks import blocks
from app.scoring.numerics.newton import Evaluation
from app.scoring.purchases.alive import nodes_needed
from app.scoring.purchases.first_event import EXACT, ROUGH, Event, moments
from app.scoring.purchases.poisson_likelihood import NoDropout

_KEPT: Final = 1 << 15
"""Pairs at most whose terms are computed for all histories at once; of more, part by part."""


class ParetoNBD:
    """The log-likelihood at ``theta = log (r, alpha, s, beta)``.

    After the last purchase at ``t_x`` either the end comes first, at any time, or a purchase
    does, but after ``T``: two positive terms, ``e^m(x, t_x) + e^n(x, T)``. Each depends on a
    pair (x, t), of which there are few; what is left per history is one logistic function.

    At times that hardly two share, pairs are as many as histories. Then the terms of some, next
    to each other in ``x``, are computed, added up and forgotten: a derivative of each would need
    many times the memory of the histories.
    """

    def __init__(self, rows: Histories, digits: float = EXACT) -> None:
        self.rows, self._digits = rows, digits
        self._rising = RisingSum(rows.x, rows.weight)
        self._parts = _parts(rows)

    @property
    def no_dropout(self) -> NoDropout:
        """The limit where nobody leaves."""
        return NoDropout(self.rows)

    def share_left(self, theta: FloatArray) -> float:
        """Return the share of all customers that have left, in expectation."""
        params = np.exp(theta)
        r, alpha, s, beta = params.tolist()
        total = 0.0
        for part in self._parts:
            ends, buys = part.last.at(params, ROUGH).value, part.now.at(params, ROUGH).value
            x, T = part.now.x, part.now.t
            alive = -r * np.log1p(T / alpha) - x * np.log(alpha + T) - s * np.log1p(T / beta)
            for rows in blocks(part.weight.size):
                now = part.now.of_row[rows]
                both = np.logaddexp(ends[part.last.of_row[rows]], buys[now])
                left = -np.expm1(np.minimum(alive[now] - both, 0))
                total += float(part.weight[rows] @ left)
        return total / float(self.rows.weight.sum())

    def __call__(self, theta: FloatArray) -> Evaluation:
        """Return value, gradient and Hessian."""
        params = np.exp(theta)
        r = float(params[0])
        value, slope, curve = self._rising(r)
        gradient, hessian = np.zeros(4), np.zeros((4, 4))
        for part in self._parts:
            found = part.evaluate(params, self._digits)
            value += found[0]
            gradient += found[1]
            hessian += found[2]
        gradient[0] += r * slope
        hessian[0, 0] += r * slope + r * r * curve
        return value, gradient, hessian


@dataclass(frozen=True)
class _Part:
    """Some of the histories: the pairs that they have, and their weights."""

    last: _Pairs
    now: _Pairs
    weight: FloatArray

    def evaluate(self, params: FloatArray, digits: float) -> Evaluation:
        """Return what these add to the likelihood, its gradient and its Hessian."""
        ends, buys = self.last.at(params, digits), self.now.at(params, digits)
        of_ends, of_buys = np.zeros(self.last.x.size), np.zeros(self.now.x.size)
        value, hessian = 0.0, np.zeros((4, 4))
        for rows in blocks(self.weight.size):
            last, now, weight = self.last.of_row[rows], self.now.of_row[rows], self.weight[rows]
            base = buys.value[now]
            u = ends.value[last] - base
            small = np.exp(-np.minimum(np.abs(u), 600.0))  # underflow is slow
            first = np.where(u > 0, 1.0, small) / (1 + small)
            value += float(weight @ (np.maximum(u, 0) + np.log1p(small) + base))
            w_first = weight * first
            of_ends += np.bincount(last, weights=w_first, minlength=of_ends.size)
            of_buys += np.bincount(now, weights=weight - w_first, minlength=of_buys.size)
            difference = ends.gradient[:, last] - buys.gradient[:, now]
            hessian += (difference * (w_first * (1 - first))) @ difference.T
        hessian += ends.hessian @ of_ends + buys.hessian @ of_buys
        return value, ends.gradient @ of_ends + buys.gradient @ of_buys, hessian


def _parts(rows: Histories) -> list[_Part]:
    """Return all histories, or where they have many pairs, some at a time in the order of x."""
    last, now = _Pairs("end", rows.x, rows.t_x), _Pairs("purchase", rows.x, rows.T)
    if max(last.x.size, now.x.size) <= _KEPT:
        return [_Part(last, now, rows.weight)]
    del last, now
    order = np.argsort(2 * rows.x + rows.t_x)  # times are 1 at most
    parts = []
    for block in blocks(order.size):
        some = order[block]
        x = rows.x[some]
        last, now = _Pairs("end", x, rows.t_x[some]), _Pairs("purchase", x, rows.T[some])
        parts.append(_Part(last, now, rows.weight[some]))
    return parts


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
        self.x, self.t, self.of_row = _distinct(x, t)

    def at(self, params: FloatArray, digits: float) -> _Terms:
        return _Terms(self._event, params, self.x, self.t, digits)


def _distinct(x: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return the distinct pairs in the order of ``x``, and which one each row has."""
    order = np.lexsort((t, x))
    x, t = x[order], t[order]
    new = np.concatenate(([True], (x[1:] != x[:-1]) | (t[1:] != t[:-1])))
    of_row = np.empty(x.size, dtype=np.int64)
    of_row[order] = np.cumsum(new) - 1
    return x[new], t[new], of_row
