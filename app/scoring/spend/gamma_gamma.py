r"""The Gamma-Gamma model of spend: what a customer's next purchase is worth.

Assumptions: a customer's purchases are worth Gamma(p, :math:`\nu`) each, :math:`\nu` is
Gamma(q, v) over customers, and what a purchase is worth does not depend on how often the
customer buys (`Model.correlation` shows whether that holds; beware of more than 0.3).

The mean ``z`` of ``x`` purchases then has the log-likelihood, computed as

.. math::

    \log \frac{\Gamma(px + q)}{\Gamma(px)\,\Gamma(q)} + q \log \frac{v}{x z} - \log z
    - (p x + q) \log \left( 1 + \frac{v}{x z} \right)

and the next purchases of the customer are worth, on average,

.. math:: E = p \, \frac{v + x z}{p x + q - 1}.

For ``q <= 1`` the population has no mean and the formula is negative or infinite at ``x = 0``.
Here ``q - 1`` is never taken below ``q / 11``: the population mean ``p v / (q - 1)`` is never
above eleven times ``p v / q``, the harmonic mean over customers, which always exists. The rule
is continuous, binds for ``q < 1.1`` alone, and is flagged by the status `weakly_identified`.

References
----------
Fader and Hardie (2013), The Gamma-Gamma Model of Monetary Value, note 025, brucehardie.com.
Fader, Hardie and Lee (2005), RFM and CLV, Journal of Marketing Research 42(4), 415-430.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray, Status
from app.scoring.numerics.blocks import blocks
from app.scoring.numerics.fitted_model import FittedModel, covariance_of
from app.scoring.numerics.newton import Evaluation, maximise
from app.scoring.numerics.special import digamma, log_gamma, log_rising, trigamma

MIN_CUSTOMERS = 10
MAX_LOG_ERROR = 1.0

_PRIOR_P, _PRIOR_Q = 6.25, 3.75  # of CDNOW, Fader and Hardie (2013)
_BOUND = np.array([10.0, 10.0, 30.0])  # of log (p, q, v / mean)
_SAMPLE = 10_000


@dataclass(frozen=True, kw_only=True)
class Model(FittedModel):
    """A fitted Gamma-Gamma model.

    Attributes
    ----------
    p, q, v : float
        Shape of a customer's purchases; shape and rate of their rates. ``v`` is money.
    correlation : float
        Of ``x`` and ``mean_value`` over the customers fitted; 0 where undefined.
    """

    names: ClassVar[tuple[str, ...]] = ("p", "q", "v")

    p: float
    q: float
    v: float
    correlation: float = field(default=0.0, compare=False)

    def expected_value(self, x: ArrayLike, mean_value: ArrayLike) -> FloatArray:
        """Return what a customer's purchases are worth on average, given those seen.

        Parameters
        ----------
        x : array_like
            Purchases seen with a positive value, whole; 0 gives the population's mean.
        mean_value : array_like
            Their mean value, at least 0; of no matter where ``x`` is 0.

        Returns
        -------
        FloatArray
            Positive, of the broadcast shape.

        Raises
        ------
        ValueError
            If shapes do not fit, an ``x`` is not whole, or a value is negative or not finite.

        References
        ----------
        Fader, Hardie and Lee (2005), RFM and CLV, eq. (5); see the module for ``q <= 1``.
        """
        x_, z = validation.broadcast(
            x=validation.counts("x", x),
            mean_value=validation.non_negative("mean_value", mean_value),
        )
        pull = max(self.q - 1, self.q / 11)
        # As two shares that cannot overflow, whatever x and z.
        total = self.p * x_ + pull
        return self.p * (self.v / total) + (self.p * x_ / total) * z


def fit(x: ArrayLike, mean_value: ArrayLike, weights: ArrayLike | None = None) -> Model:
    """Fit by maximum likelihood to the customers with ``x > 0`` and ``mean_value > 0``.

    Parameters
    ----------
    x : array_like
        Repeat purchases with a positive value, whole, shape (n,).
    mean_value : array_like
        Their mean value, shape (n,).
    weights : array_like, optional
        How many customers each row stands for, shape (n,).

    Returns
    -------
    Model
        Always. ``fallback`` with fewer than `MIN_CUSTOMERS` such customers or no spread of
        values: the mean of the data at the heterogeneity of CDNOW. ``weakly_identified`` when
        a parameter ran to a bound, its logarithm has a standard error above `MAX_LOG_ERROR`, or
        ``q < 1.1``. ``n`` counts the customers used.

    Raises
    ------
    ValueError
        If shapes do not fit, an ``x`` is not whole, or a value is negative or not finite.
    """
    x_, z = validation.counts("x", x), validation.non_negative("mean_value", mean_value)
    w = validation.sample(x_, ("mean_value", z), weights=weights)
    used = (x_ > 0) & (z > 0)
    if w is not None:
        used &= w > 0
    x_, z = x_[used], z[used]
    w = np.ones(x_.size) if w is None else w[used]
    n = float(w.sum()) if weights is not None else x_.size
    if n < MIN_CUSTOMERS or z.max() == z.min():
        return _fallback(x_, z, w, n)
    mean = float(w @ z) / float(w.sum())
    z = z / mean
    start = np.log([_PRIOR_P, _PRIOR_Q, (_PRIOR_Q - 1) / _PRIOR_P])
    if x_.size > 4 * _SAMPLE:
        part = slice(None, None, x_.size // _SAMPLE)
        few = _Likelihood(x_[part], z[part], w[part])
        start = maximise(few, start, bound=_BOUND, enough=1e-6).theta
    optimum = maximise(_Likelihood(x_, z, w), start, bound=_BOUND)
    params = np.exp(optimum.theta) * (1.0, 1.0, mean)
    covariance, identified = covariance_of(params, optimum.curvature, most=MAX_LOG_ERROR)
    sound = identified and optimum.interior and params[1] >= 1.1
    status: Status = "ok" if sound else "weakly_identified"
    return Model(
        **dict(zip(Model.names, params.tolist(), strict=True)),
        covariance=covariance,
        log_likelihood=optimum.value - float(w.sum()) * math.log(mean),
        correlation=_correlation(x_, z, w),
        status=status,
        n=n,
    )


def correlation(x: ArrayLike, mean_value: ArrayLike) -> float:
    """Return the correlation of count and mean value, which the model takes to be none.

    Parameters
    ----------
    x, mean_value : array_like
        As for `fit`, which looks at the same customers.

    Returns
    -------
    float
        In [-1, 1]; 0 where undefined.

    Raises
    ------
    ValueError
        As for `fit`.
    """
    x_, z = validation.broadcast(
        x=validation.counts("x", x),
        mean_value=validation.non_negative("mean_value", mean_value),
    )
    used = (x_ > 0) & (z > 0)
    return _correlation(x_[used], z[used], np.ones(int(used.sum()))) if used.any() else 0.0


class _Likelihood:
    """The log-likelihood, with gradient and Hessian, at ``log (p, q, v)``."""

    def __init__(self, x: FloatArray, z: FloatArray, weight: FloatArray) -> None:
        self._x, self._weight, self._total = x, weight, x * z
        if x.max() < 1000 + x.size:
            of_each = np.bincount(x.astype(np.intp), weights=weight)
            distinct = np.flatnonzero(of_each)
            self._distinct, self._of_distinct = distinct.astype(float), of_each[distinct]
        else:
            self._distinct, group = np.unique(x, return_inverse=True)
            self._of_distinct = np.bincount(group, weights=weight)
        self._weighted_x = weight * x
        self._sum_log_z = float(weight @ np.log(z))
        self._sum_log_total = float(weight @ np.log(self._total))

    def __call__(self, theta: FloatArray) -> Evaluation:
        params = np.exp(theta)
        p, q, v = params.tolist()
        value, gradient, hessian = self._gammas(p, q)
        n, log_v = float(self._of_distinct.sum()), float(theta[2])
        log_ratio = n * log_v - self._sum_log_total
        value += q * log_ratio - self._sum_log_z
        gradient += 0.0, log_ratio, n * q / v
        hessian[2, 2] -= n * q / v**2
        hessian[1, 2] += n / v
        for block in blocks(self._x.size):
            w, wx, total = self._weight[block], self._weighted_x[block], self._total[block]
            # One logarithm that is small when p is large; two large ones would cancel.
            log, inverse = np.log1p(v / total), 1 / (v + total)
            w_log, x_log = float(w @ log), float(wx @ log)
            w_inverse, x_inverse = float(w @ inverse), float(wx @ inverse)
            square = inverse * inverse
            value -= p * x_log + q * w_log
            gradient -= x_log, w_log, p * x_inverse + q * w_inverse
            hessian[0, 2] -= x_inverse
            hessian[1, 2] -= w_inverse
            hessian[2, 2] += p * float(wx @ square) + q * float(w @ square)
        hessian[2, 0], hessian[2, 1] = hessian[0, 2], hessian[1, 2]
        slope = params * gradient
        return value, slope, np.outer(params, params) * hessian + np.diag(slope)

    def _gammas(self, p: float, q: float) -> Evaluation:
        """Return ``sum log Gamma(px + q) / (Gamma(px) Gamma(q))`` and its derivatives."""
        x, w = self._distinct, self._of_distinct
        n, px = float(w.sum()), p * self._distinct
        first, own = digamma(px + q), digamma(px)
        second = trigamma(px + q)
        value = float(w @ log_rising(px, q)) - n * float(log_gamma(q))
        gradient = np.array(
            [float(w @ (x * (first - own))), float(w @ first) - n * float(digamma(q)), 0.0]
        )
        hessian = np.zeros((3, 3))
        hessian[0, 0] = float(w @ (x * x * (second - trigamma(px))))
        hessian[0, 1] = hessian[1, 0] = float(w @ (x * second))
        hessian[1, 1] = float(w @ second) - n * float(trigamma(q))
        return value, gradient, hessian


def _fallback(x: FloatArray, z: FloatArray, w: FloatArray, n: float) -> Model:
    """Return CDNOW's heterogeneity around the mean of the data."""
    mean = float(w @ z) / float(w.sum()) if n > 0 else 1.0
    v = mean * (_PRIOR_Q - 1) / _PRIOR_P
    value = 0.0
    if n > 0:
        value = _Likelihood(x, z, w)(np.log([_PRIOR_P, _PRIOR_Q, v]))[0]
    return Model(
        p=_PRIOR_P,
        q=_PRIOR_Q,
        v=v,
        covariance=np.full((3, 3), math.nan),
        log_likelihood=value,
        correlation=_correlation(x, z, w) if n > 0 else 0.0,
        status="fallback",
        n=n,
    )


def _correlation(x: FloatArray, z: FloatArray, w: FloatArray) -> float:
    """Return Pearson's correlation of ``x`` and ``z``, 0 where one of them is constant."""
    n = float(w.sum())
    dx, dz = x - float(w @ x) / n, z - float(w @ z) / n
    spread = math.sqrt(float(w @ (dx * dx)) * float(w @ (dz * dz)))
    return float(w @ (dx * dz)) / spread if spread > 0 else 0.0
