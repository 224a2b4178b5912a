"""Log-likelihoods of collapsed histories, with gradient and Hessian in the log-parameters."""

from __future__ import annotations

import numpy as np

from app.scoring.histories.collapse import Histories, RisingSum
from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.blocks import blocks
from app.scoring.numerics.newton import Evaluation


def _in_logs(params: FloatArray, gradient: FloatArray, hessian: FloatArray) -> Evaluation:
    """Return gradient and Hessian with respect to the logarithms of the parameters."""
    slope = params * gradient
    return 0.0, slope, np.outer(params, params) * hessian + np.diag(slope)


class NoDropout:
    """The NBD: purchases at a Gamma(r, alpha) rate, and nobody ever leaves.

    ``sum log (r)_x - r log(1 + T/alpha) - x log(alpha + T)``
    """

    def __init__(self, rows: Histories) -> None:
        self.rows = rows
        self.no_dropout = None
        self._rising = RisingSum(rows.x, rows.weight)
        self._weighted_x = rows.weight * rows.x

    def __call__(self, theta: FloatArray) -> Evaluation:
        """Return value, gradient and Hessian at ``theta = log (r, alpha)``."""
        params = np.exp(theta)
        value, gradient, hessian = self.natural(params[0], params[1])
        _, gradient, hessian = _in_logs(params, gradient, hessian)
        return value, gradient, hessian

    def share_left(self, theta: FloatArray) -> float:
        """Return 0: nobody leaves."""
        del theta
        return 0.0

    def natural(self, r: float, alpha: float) -> Evaluation:
        """Return value, gradient and Hessian with respect to ``r`` and ``alpha`` themselves."""
        value, d_r, d_rr = self._rising(r)
        d_alpha = d_r_alpha = d_alpha_alpha = 0.0
        for block in blocks(self.rows.x.size):
            T, w, wx = self.rows.T[block], self.rows.weight[block], self._weighted_x[block]
            inverse = 1 / (alpha + T)
            # r log alpha - r log(alpha + T) in one logarithm, and likewise its derivatives:
            # as separate sums they cancel when alpha is large.
            part = T * inverse
            log_part = np.log1p(T / alpha)
            w_log, w_part, x_part = float(w @ log_part), float(w @ part), wx * inverse
            value -= r * w_log + float(wx @ log_part)
            d_r -= w_log
            d_alpha += r / alpha * w_part - float(x_part.sum())
            d_r_alpha += w_part / alpha
            d_alpha_alpha += float(x_part @ inverse)
            d_alpha_alpha -= r / alpha * float((w * part) @ (inverse + 1 / alpha))
        value -= float(self._weighted_x.sum()) * float(np.log(alpha))
        gradient = np.array([d_r, d_alpha])
        return value, gradient, np.array([[d_rr, d_r_alpha], [d_r_alpha, d_alpha_alpha]])


class BetaGeometric:
    """The BG/NBD (``first = 0``) or MBG/NBD (``first = 1``) log-likelihood.

    The NBD's, plus ``log (b)_n/(a+b)_n + log(1 + e^u)`` for the ``n = x + first`` occasions at
    which a customer could have left, where ``e^u`` is the odds of having left at the last one.
    """

    def __init__(self, rows: Histories, first: int) -> None:
        self.no_dropout = NoDropout(rows)
        n = rows.x + first
        self._survived = RisingSum(n, rows.weight)
        could = slice(None) if first else np.flatnonzero(n > 0)
        self._x, self._weight = rows.x[could], rows.weight[could]
        self._t_x, self._idle = rows.t_x[could], rows.T[could] - rows.t_x[could]
        self._before_last = n[could] - 1

    def __call__(self, theta: FloatArray) -> Evaluation:
        """Return value, gradient and Hessian at ``theta = log (r, alpha, a, b)``."""
        params = np.exp(theta)
        r, alpha, a, b = params.tolist()
        gradient, hessian = np.zeros(4), np.zeros((4, 4))
        value, gradient[:2], hessian[:2, :2] = self.no_dropout.natural(r, alpha)
        up, down = self._survived(b), self._survived(a + b)
        value += up[0] - down[0]
        gradient[2:] = -down[1], up[1] - down[1]
        hessian[2:, 2:] = -down[2]
        hessian[3, 3] += up[2]
        _, gradient, hessian = _in_logs(params, gradient, hessian)
        for block in blocks(self._x.size):
            part = self._log_dead_or_alive(r, alpha, a, b, block)
            value += part[0]
            gradient += part[1]
            hessian += part[2]
        return value, gradient, hessian

    def share_left(self, theta: FloatArray) -> float:
        """Return the share of all customers that have left, in expectation."""
        r, alpha, a, b = np.exp(theta).tolist()
        # d value / d log a through u is P(has left), summed over customers
        left = sum(
            self._log_dead_or_alive(r, alpha, a, b, block)[1][2] for block in blocks(self._x.size)
        )
        return float(left) / float(self.no_dropout.rows.weight.sum())

    def _log_dead_or_alive(
        self, r: float, alpha: float, a: float, b: float, block: slice
    ) -> Evaluation:
        """Return the sum of ``log(1 + e^u)`` over a block, and its derivatives in the logs.

        ``u = log(a / (b + n - 1)) + (r + x) log((alpha + T) / (alpha + t_x))``
        """
        weight, idle = self._weight[block], self._idle[block]
        k = r + self._x[block]
        inverse = 1 / (alpha + self._t_x[block])
        log_ratio = np.log1p(idle * inverse)
        inverse_T = inverse / (1 + idle * inverse)
        slope = -idle * inverse * inverse_T  # d log_ratio / d alpha
        b_share = b / (b + self._before_last[block])
        u = k * log_ratio + np.log(b_share * (a / b))
        small = np.exp(-np.minimum(np.abs(u), 600.0))  # underflow is slow
        left = np.where(u > 0, 1.0, small) / (1 + small)  # P(has left)
        value = float(weight @ (np.maximum(u, 0) + np.log1p(small)))
        # rows: du / d log r, log alpha, log a, log b
        du = np.stack((r * log_ratio, (alpha * k) * slope, np.ones_like(u), -b_share))
        w_left = weight * left
        gradient = du @ w_left
        hessian = (du * (w_left * (1 - left))) @ du.T
        hessian[0, 0] += gradient[0]
        hessian[0, 1] += r * alpha * float(w_left @ slope)
        hessian[1, 0] = hessian[0, 1]
        hessian[1, 1] += gradient[1] - float(w_left @ (du[1] * alpha * (inverse + inverse_T)))
        hessian[3, 3] += gradient[3] + float(w_left @ (b_share * b_share))
        return value, gradient, hessian
