"""The (M)BG/CNBD-k log-likelihood of collapsed histories, with gradient and Hessian."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from app.scoring.histories.collapse import Histories, RisingSum
from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.blocks import blocks
from app.scoring.numerics.newton import Evaluation
from app.scoring.purchases.poisson_likelihood import NoDropout


class _Rows:
    """Rows as the terms below need them."""

    def __init__(self, rows: Histories, k: int, first: int) -> None:
        self.x, self.weight, self.k = rows.x, rows.weight, k
        self.t_x, self.T, self.idle = rows.t_x, rows.T, rows.T - rows.t_x
        self.n = rows.x + first


class ErlangNoDropout:
    """A gap is ``k`` exponential phases, and nobody ever leaves.

    ``sum log (r)_kx - r log(1 + T/alpha) - kx log(alpha + T) + log Q``, where
    ``Q = sum_{j<k} (r + kx)_j / j! y^j``, ``y = (T - t_x) / (alpha + T)``: ``j`` phases of the next
    gap may be over.
    """

    def __init__(self, rows: Histories, k: int) -> None:
        self._rows = _Rows(rows, k, 0)
        self.phases = NoDropout(replace(rows, x=k * rows.x))
        """All but ``log Q``."""

    def __call__(self, theta: FloatArray) -> Evaluation:
        """Return value, gradient and Hessian at ``theta = log (r, alpha)``."""
        value, gradient, hessian = self.phases(theta)
        params = np.exp(theta)
        for block in blocks(self._rows.x.size):
            weight = self._rows.weight[block]
            log_q, first, second = waiting(self._rows, params, block)
            value += float(weight @ log_q)
            gradient += first @ weight
            hessian += second @ weight
        return value, gradient, hessian


Waiting = tuple[FloatArray, FloatArray, FloatArray]
"""``log Q`` of each row and its derivatives: shapes (g,), (2, g) and (2, 2, g)."""


def waiting(rows: _Rows, params: FloatArray, block: slice) -> Waiting:
    """Return ``log Q`` of each row and its derivatives in ``log r, log alpha``."""
    r, alpha = params[:2].tolist()
    age = alpha + rows.T[block]
    m, y = r + rows.k * rows.x[block], rows.idle[block] / age
    # Terms of Q, and the derivatives of log (m)_j in m: sums over i < j.
    term, up, curve = np.ones_like(m), np.zeros_like(m), np.zeros_like(m)
    q, s_up, s_upup, s_j, s_jj, s_upj = term.copy(), *(np.zeros_like(m) for _ in range(5))
    for j in range(1, rows.k):
        step = 1 / (m + j - 1)
        term = term * y * (m + j - 1) / j
        up, curve = up + step, curve - step * step
        q += term
        s_up += term * up
        s_upup += term * (up * up + curve)
        s_j += term * j
        s_jj += term * j * j
        s_upj += term * up * j
    up, j_mean = s_up / q, s_j / q
    share = alpha / age  # d log y / d log alpha = -share
    first = np.stack((r * up, -share * j_mean))
    second = np.empty((2, 2, m.size))
    second[0, 0] = r * r * (s_upup / q - up * up) + first[0]
    second[0, 1] = second[1, 0] = -r * share * (s_upj / q - up * j_mean)
    second[1, 1] = share * share * (s_jj / q - j_mean * j_mean) - share * (1 - share) * j_mean
    return np.log(q), first, second


class ErlangBetaGeometric:
    """The BG/CNBD-k (``first = 0``) or MBG/CNBD-k (``first = 1``) log-likelihood.

    The one without dropout, plus ``log (b)_n/(a+b)_n + log(1 + e^u)`` as in the (M)BG/NBD, where
    now ``u = log(a / (b + n - 1)) + (r + kx) log((alpha + T)/(alpha + t_x)) - log Q``.
    """

    def __init__(self, rows: Histories, k: int, first: int) -> None:
        self.no_dropout = ErlangNoDropout(rows, k)
        self._rows = _Rows(rows, k, first)
        self._survived = RisingSum(self._rows.n, rows.weight)

    def __call__(self, theta: FloatArray) -> Evaluation:
        """Return value, gradient and Hessian at ``theta = log (r, alpha, a, b)``."""
        params = np.exp(theta)
        a, b = params[2:].tolist()
        gradient, hessian = np.zeros(4), np.zeros((4, 4))
        value, gradient[:2], hessian[:2, :2] = self.no_dropout.phases(theta[:2])
        up, down = self._survived(b), self._survived(a + b)
        value += up[0] - down[0]
        slope = params[2:] * (-down[1], up[1] - down[1])
        curve = np.array([[-down[2], -down[2]], [-down[2], up[2] - down[2]]])
        gradient[2:] += slope
        hessian[2:, 2:] += np.outer(params[2:], params[2:]) * curve + np.diag(slope)
        for block in blocks(self._rows.x.size):
            weight, of_gap = self._rows.weight[block], waiting(self._rows, params, block)
            part = self._dead_or_alive(params, block, of_gap)
            value += float(weight @ of_gap[0]) + part[0]
            gradient += part[1]
            gradient[:2] += of_gap[1] @ weight
            hessian += part[2]
            hessian[:2, :2] += of_gap[2] @ weight
        return value, gradient, hessian

    def share_left(self, theta: FloatArray) -> float:
        """Return the share of all customers that have left, in expectation."""
        params = np.exp(theta)
        left = 0.0
        for block in blocks(self._rows.x.size):
            of_gap = waiting(self._rows, params, block)
            left += float(self._dead_or_alive(params, block, of_gap)[1][2])
        return left / float(self._rows.weight.sum())

    def _dead_or_alive(self, params: FloatArray, block: slice, of_gap: Waiting) -> Evaluation:
        """Return the sum of ``log(1 + e^u)`` over a block, and its derivatives in the logs."""
        r, alpha, a, b = params.tolist()
        rows = self._rows
        log_q, d_q, dd_q = of_gap
        m, idle = r + rows.k * rows.x[block], rows.idle[block]
        inverse = 1 / (alpha + rows.t_x[block])
        log_ratio = np.log1p(idle * inverse)
        inverse_T = 1 / (alpha + rows.T[block])
        slope = -idle * inverse * inverse_T
        b_share = b / (b + np.maximum(rows.n[block] - 1, 0))
        could = rows.n[block] > 0
        u = m * log_ratio + np.log(b_share * (a / b)) - log_q
        small = np.exp(-np.minimum(np.abs(u), 600.0))  # underflow is slow
        left = np.where(u > 0, 1.0, small) / (1 + small) * could
        weight = rows.weight[block]
        value = float((weight * could) @ (np.maximum(u, 0) + np.log1p(small)))
        du = np.stack(
            (r * log_ratio - d_q[0], (alpha * m) * slope - d_q[1], np.ones_like(u), -b_share)
        )
        w_left = weight * left
        gradient = du @ w_left
        hessian = (du * (w_left * (1 - left))) @ du.T
        hessian[:2, :2] -= dd_q @ w_left
        hessian[0, 0] += float(w_left @ (r * log_ratio))
        hessian[0, 1] += r * alpha * float(w_left @ slope)
        hessian[1, 0] = hessian[0, 1]
        falling = 1 - alpha * (inverse + inverse_T)
        hessian[1, 1] += float(w_left @ (alpha * m * slope * falling))
        hessian[3, 3] -= float(w_left @ (b_share * (1 - b_share)))
        return value, gradient, hessian
