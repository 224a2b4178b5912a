"""Predictions shared by the BG/NBD and the MBG/NBD; `bg_nbd` and `mbg_nbd` say what they assume.

The two differ in ``first`` alone: how many chances to leave precede the first repeat purchase.
After ``n = x + first`` chances, the odds of having left at the last one rather than being alive
are ``e^u`` with

    u = log(a / (b + n - 1)) + (r + x) log((alpha + T) / (alpha + t_x))    (n = 0: none left)

and P(alive) = 1 / (1 + e^u). As customers leave at purchases only, one who is alive and makes no
purchase in the horizon H is a Gamma-Poisson count of zero, ``e^-w`` with
``w = (r + x) log(1 + H / (alpha + T))``. Hence, exactly,

    P(no purchase) = (e^u + e^-w) / (e^u + 1),    odds = (e^u + e^-w) / (1 - e^-w).
"""

# ruff: noqa: ARG002 - kinds differ in what of a history they use
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.special import by_count, log_rising
from app.scoring.purchases.counts import beta_geometric_pmf
from app.scoring.purchases.pairs import discounted_if_alive, expected_if_alive
from app.scoring.purchases.purchase_model import PurchaseModel

_TINY = float(np.finfo(float).tiny)
_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True, kw_only=True)
class BetaGeometricModel(PurchaseModel):
    """A fitted BG/NBD or MBG/NBD.

    Attributes
    ----------
    r, alpha : float
        Shape and rate of the gamma distribution of purchase rates; ``alpha`` is a time.
    a, b : float
        Of the beta distribution of the probability of leaving at a purchase.
    """

    names: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")
    first: ClassVar[int]

    r: float
    alpha: float
    a: float
    b: float

    def _expected_alive(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        """Fader, Hardie and Lee (2005), eq. (10), as `app.scoring.purchases.alive` computes it."""
        b, age = self.b + self.first, self.alpha + T
        return expected_if_alive(self.a, b, self.r, x, age, horizon=ahead)

    def _log_any_alive(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        w = np.maximum(self._quiet(x, T, ahead), _TINY)
        return np.log(-np.expm1(-w))

    def _p_none(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        odds = self._odds_left(x, t_x, T)
        return (odds + np.exp(-self._quiet(x, T, ahead))) / (1 + odds)

    def _log_odds_none(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        w = np.maximum(self._quiet(x, T, ahead), _TINY)
        u = self._log_odds_left(x, t_x, T)
        if not self.first:
            u = np.where(x > 0, u, -math.inf)
        return np.logaddexp(u, -w) - self._log_any_alive(x, t_x, T, ahead)

    def _pmf(self, n: FloatArray, t: FloatArray) -> FloatArray:
        """Fader, Hardie and Lee (2005), eq. (8).

        Either all ``n`` were survived and no more came, or the customer left at the ``n``-th and
        could have made any number from ``n`` on.
        """
        odds = np.maximum(t / self.alpha, _TINY)
        return beta_geometric_pmf(n, self.r, np.log(odds), a=self.a, b=self.b, first=self.first)

    def _log_likelihood(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Fader, Hardie and Lee (2005), eq. (6); Batislam, Denizel and Filiztekin (2007)."""

        def of_count(x: FloatArray) -> FloatArray:
            n = x + self.first
            survived = log_rising(self.b, n) - log_rising(self.a + self.b, n)
            return log_rising(self.r, x) + survived

        u = self._log_odds_left(x, t_x, T)
        timing = self.r * np.log1p(T / self.alpha) + x * np.log(self.alpha + T)
        if not self.first:
            u = np.where(x > 0, u, -math.inf)
        return by_count(of_count, x) - timing + np.logaddexp(0, u)

    def _discounted_alive(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, *, end: float, rate: float
    ) -> FloatArray:
        b, age = self.b + self.first, self.alpha + T
        return discounted_if_alive(self.a, b, self.r, x, age, horizon=end, rate=rate)

    def _p_alive(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        return 1 / (1 + self._odds_left(x, t_x, T))

    def _odds_left(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Return ``e^u``, short of overflow; 0 where there was no chance to leave."""
        odds = np.exp(np.minimum(self._log_odds_left(x, t_x, T), _LARGEST_EXPONENT))
        return odds if self.first else odds * (x > 0)

    def _log_odds_left(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Return ``u``; something finite where there was no chance to leave."""
        before_last = x if self.first else np.maximum(x - 1, 0)
        growth = np.log1p((T - t_x) / (self.alpha + t_x))
        return (self.r + x) * growth + np.log(self.a / (self.b + before_last))

    def _quiet(self, x: FloatArray, T: FloatArray, ahead: FloatArray) -> FloatArray:
        """Return ``w``."""
        return (self.r + x) * np.log1p(ahead / (self.alpha + T))
