r"""The NBD model: Poisson purchases, and nobody ever leaves. The limit of the others.

Assumptions: a customer buys at a rate :math:`\lambda` for ever; over customers, :math:`\lambda` is
Gamma(r, alpha). The likelihood of ``x`` repeat purchases in ``T`` is computed as

.. math:: \log L = \log (r)_x - r \log(1 + T/\alpha) - x \log(\alpha + T),

with the rising factorial :math:`(r)_x`; when the purchases came does not matter. Given a history,
the rate is Gamma(r + x, alpha + T), and everything predicted follows from that.

References
----------
Ehrenberg (1959), The Pattern of Consumer Purchases, Applied Statistics 8(1), 26-41.
"""

# ruff: noqa: ARG002 - the other models use what this one does not
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.special import by_count, log_rising
from app.scoring.purchases.counts import negative_binomial_log_pmf
from app.scoring.purchases.likelihood_fit import Recipe
from app.scoring.purchases.likelihood_fit import fit as _fit
from app.scoring.purchases.poisson_likelihood import NoDropout
from app.scoring.purchases.purchase_model import PurchaseModel

_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True, kw_only=True)
class Model(PurchaseModel):
    """A fitted NBD.

    Attributes
    ----------
    r, alpha : float
        Shape and rate of the gamma distribution of purchase rates; ``alpha`` is a time.
    """

    names: ClassVar[tuple[str, ...]] = ("r", "alpha")

    r: float
    alpha: float

    def _p_alive(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        return np.ones_like(T)[()]

    def _rate(self, x: FloatArray, T: FloatArray) -> FloatArray:
        return (self.r + x) / (self.alpha + T)

    def _expected_alive(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        return self._rate(x, T) * ahead

    def _log_any_alive(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        w = np.maximum(self._quiet(x, T, ahead), _TINY)
        return np.log(-np.expm1(-w))

    def _quiet(self, x: FloatArray, T: FloatArray, ahead: FloatArray) -> FloatArray:
        """Return minus the log-probability of no purchase."""
        return (self.r + x) * np.log1p(ahead / (self.alpha + T))

    def _p_none(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        return np.exp(-self._quiet(x, T, ahead))

    def _log_odds_none(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        w = np.maximum(self._quiet(x, T, ahead), _TINY)
        return -w - self._log_any_alive(x, t_x, T, ahead)

    def _pmf(self, n: FloatArray, t: FloatArray) -> FloatArray:
        log_odds = np.log(np.maximum(t / self.alpha, _TINY))
        return np.minimum(np.exp(negative_binomial_log_pmf(n, self.r, log_odds)), 1.0)

    def _log_likelihood(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        timing = self.r * np.log1p(T / self.alpha) + x * np.log(self.alpha + T)
        return by_count(lambda n: log_rising(self.r, n), x) - timing

    def _discounted_alive(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, *, end: float, rate: float
    ) -> FloatArray:
        return self._rate(x, T) * (-math.expm1(-rate * end) / rate)


def fit(x: ArrayLike, t_x: ArrayLike, T: ArrayLike, *, weights: ArrayLike | None = None) -> Model:
    """Fit by maximum likelihood.

    Parameters
    ----------
    x : array_like
        Repeat purchases, whole numbers, shape (n,).
    t_x : array_like
        Time of the last purchase since the first, 0 where ``x`` is 0, shape (n,). It is checked,
        and does not enter the likelihood.
    T : array_like
        Time observed since the first purchase, in the same unit, shape (n,).
    weights : array_like, optional
        How many customers each row stands for, shape (n,).

    Returns
    -------
    Model
        Always, with a status that says how far to trust it.

    Raises
    ------
    ValueError
        If shapes do not fit, or a history is not possible.
    """
    recipe = Recipe(
        likelihood=NoDropout,
        start=lambda rate: [0.0, -math.log(rate)],
        prior=lambda rate: {"r": 0.385, "alpha": 0.385 / rate},
        bound=np.array([10.0, 30.0]),
    )
    return _fit(Model, recipe, x, t_x, T, weights=weights)
