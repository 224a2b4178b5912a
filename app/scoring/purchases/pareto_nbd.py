r"""The Pareto/NBD model: Poisson purchases until the customer leaves, at any time.

Assumptions: while alive, a customer buys at a rate :math:`\lambda`; the lifetime is exponential
at a rate :math:`\mu`. Over customers, :math:`\lambda` is Gamma(r, alpha), :math:`\mu` is
Gamma(s, beta), and the two are independent. Unlike in the beta-geometric models a customer may
leave between purchases, also before the first repeat.

What follows the last purchase decides everything: either the end comes first, at whatever time,
or a purchase does, after ``T``. With the chances ``g`` and ``b`` of
`app.scoring.purchases.first_event` and ``k = r + x``, the likelihood is computed as

.. math::

    L = (r)_x \, \alpha^r \beta^s [ I(t_x) + J(T) ], \quad
    I(t) = \frac{g(t)}{(\alpha + t)^k (\beta + t)^s}, \quad
    J(t) = \frac{b(t)}{(\alpha + t)^k (\beta + t)^s},

a sum of positive terms for all parameters. In the published form two hypergeometric functions
are subtracted. From the same two functions, and no others,

.. math::

    P(alive) = \frac{I(T) + J(T)}{I(t_x) + J(T)}, \quad
    P(\text{no purchase in } H) = \frac{I(t_x) + J(T + H)}{I(t_x) + J(T)}:

no purchase before ``T + H`` is a longer silence of the same history. For a customer alive

.. math::

    E[Y(H)] = \frac{k}{\alpha + T} \int_0^H \Big( \frac{\beta + T}{\beta + T + u} \Big)^s du,

in closed form, regular at ``s = 1``; discounted, with :math:`e^{-\delta u}` under the integral.

References
----------
Schmittlein, Morrison and Colombo (1987), Counting Your Customers, Management Science 33(1), 1-24.
Fader and Hardie (2005), A Note on Deriving the Pareto/NBD Model, note 009, brucehardie.com.
Fader, Hardie and Lee (2005), RFM and CLV, Journal of Marketing Research 42(4), 415-430.
"""

# ruff: noqa: ARG002 - kinds differ in what of a history they use
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.special import by_count, log_rising
from app.scoring.purchases.first_event import ROUGH
from app.scoring.purchases.likelihood_fit import Recipe
from app.scoring.purchases.likelihood_fit import fit as _fit
from app.scoring.purchases.pareto import log_chance, log_purchase_within, pareto_pmf, time_alive
from app.scoring.purchases.pareto_likelihood import ParetoNBD
from app.scoring.purchases.purchase_model import PurchaseModel


@dataclass(frozen=True, kw_only=True)
class Model(PurchaseModel):
    """A fitted Pareto/NBD.

    Attributes
    ----------
    r, alpha : float
        Shape and rate of the gamma distribution of purchase rates; ``alpha`` is a time.
    s, beta : float
        The same of the rates of leaving.
    """

    names: ClassVar[tuple[str, ...]] = ("r", "alpha", "s", "beta")

    r: float
    alpha: float
    s: float
    beta: float

    def _decline(self, x: FloatArray, t: FloatArray, ahead: FloatArray) -> FloatArray:
        """Return minus the log-chance of neither event in ``ahead``, alive at ``t``."""
        buys = (self.r + x) * np.log1p(ahead / (self.alpha + t))
        return buys + self.s * np.log1p(ahead / (self.beta + t))

    def _log_ends(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Return ``log I(t_x)`` in units of ``I(T) + J(T)``."""
        return log_chance("end", self, x, t_x) + self._decline(x, t_x, T - t_x)

    def _log_both(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Return ``log(I(t_x) + J(T))`` in the same units; not negative but for rounding."""
        both = np.logaddexp(self._log_ends(x, t_x, T), log_chance("purchase", self, x, T))
        return np.maximum(both, 0.0)

    def _p_alive(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        return np.exp(-self._log_both(x, t_x, T))

    def _expected_alive(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        """Fader and Hardie (2005), eq. (41)."""
        rate = (self.r + x) / (self.alpha + T)
        beta, shape = self.beta + T, self.s - 1
        grown = np.log1p(ahead / beta)
        z = shape * grown
        part = np.divide(-np.expm1(-z), z, out=np.ones_like(z), where=z != 0)
        return rate * beta * grown * part

    def _log_any_alive(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        return log_purchase_within(self, x, T, ahead)

    def _p_none(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        ends, later = self._log_ends(x, t_x, T), log_chance("purchase", self, x, T + ahead)
        quiet = np.logaddexp(ends, later - self._decline(x, T, ahead))
        both = np.logaddexp(ends, log_chance("purchase", self, x, T))
        p: FloatArray = np.exp(np.minimum(quiet - both, 0.0))
        return p

    def _log_odds_none(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        later = log_chance("purchase", self, x, T + ahead) - self._decline(x, T, ahead)
        quiet = np.logaddexp(self._log_ends(x, t_x, T), later)
        return quiet - log_purchase_within(self, x, T, ahead)

    def _pmf(self, n: FloatArray, t: FloatArray) -> FloatArray:
        return pareto_pmf(self, n, t)

    def _log_likelihood(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Fader and Hardie (2005), eq. (17)."""
        timing = self.r * np.log1p(T / self.alpha) + x * np.log(self.alpha + T)
        timing += self.s * np.log1p(T / self.beta)
        rising = by_count(lambda n: log_rising(self.r, n), x)
        result: FloatArray = rising - timing + self._log_both(x, t_x, T)
        return result

    def _discounted_alive(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, *, end: float, rate: float
    ) -> FloatArray:
        """Fader, Hardie and Lee (2005), RFM and CLV, eq. (2)."""
        ahead = time_alive(self, T, end=end, rate=rate)
        found: FloatArray = (self.r + x) / (self.alpha + T) * ahead
        return found


def fit(x: ArrayLike, t_x: ArrayLike, T: ArrayLike, *, weights: ArrayLike | None = None) -> Model:
    """Fit by maximum likelihood.

    Parameters
    ----------
    x : array_like
        Repeat purchases, whole numbers, shape (n,).
    t_x : array_like
        Time of the last purchase since the first, 0 where ``x`` is 0, shape (n,).
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
        likelihood=ParetoNBD,
        rough=lambda rows: ParetoNBD(rows, ROUGH),
        start=lambda rate: [-0.5, -0.5 - math.log(rate), -0.5, -0.5],
        prior=lambda rate: {"r": 0.55, "alpha": 0.55 / rate, "s": 0.6, "beta": 0.6 / rate},
        bound=np.array([10.0, 20.0, 10.0, 16.0]),
        times=(1, 3),
    )
    return _fit(Model, recipe, x, t_x, T, weights=weights)
