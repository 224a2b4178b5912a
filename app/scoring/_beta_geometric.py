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

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from app.scoring import _validate
from app.scoring._counts import beta_geometric_pmf
from app.scoring._model import FittedModel
from app.scoring._pairs import discounted_if_alive, expected_if_alive
from app.scoring._special import by_count, log_rising
from app.scoring._typing import FloatArray

_TINY = float(np.finfo(float).tiny)
_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True, kw_only=True)
class BetaGeometricModel(FittedModel):
    """A fitted BG/NBD or MBG/NBD. Every method takes numbers, lists or arrays of any shape.

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

    def p_alive(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> FloatArray:
        """Return the probability that a customer has not left by ``T``.

        Not a churn score: what it ranks is a latent state, and with the BG/NBD a customer without
        a repeat purchase is alive for certain. Use `p_no_purchase`.

        Parameters
        ----------
        x, t_x, T : array_like
            Repeat purchases, time of the last one, time observed; see the module of the model.

        Returns
        -------
        FloatArray
            In [0, 1], of the broadcast shape.

        Raises
        ------
        ValueError
            If a history is not possible (see `app.scoring._validate.history`).
        """
        x_, t_, T_ = _validate.history(x, t_x, T)
        return self._p_alive(x_, t_, T_)

    def expected_purchases(
        self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
    ) -> FloatArray:
        """Return the expected purchases in the ``horizon`` after ``T``.

        Parameters
        ----------
        x, t_x, T : array_like
            As for `p_alive`.
        horizon : array_like
            At least 0, in the unit of ``T``.

        Returns
        -------
        FloatArray
            At least 0, of the broadcast shape.

        Raises
        ------
        ValueError
            If a history is not possible, or a horizon negative or not finite.

        References
        ----------
        Fader, Hardie and Lee (2005), eq. (10), computed as `app.scoring._alive` says.
        """
        x_, t_, T_, ahead = self._history_and_horizon(x, t_x, T, horizon)
        b, age = self.b + self.first, self.alpha + T_
        count = expected_if_alive(self.a, b, self.r, x_, age, horizon=ahead)
        return self._p_alive(x_, t_, T_) * count

    def p_no_purchase(
        self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
    ) -> FloatArray:
        """Return the probability of no purchase in the ``horizon`` after ``T``: the churn risk.

        Parameters, errors and shape as for `expected_purchases`.

        Returns
        -------
        FloatArray
            In [0, 1], accurate near 0 as near 1.
        """
        x_, t_, T_, ahead = self._history_and_horizon(x, t_x, T, horizon)
        odds = self._odds_left(x_, t_, T_)
        return (odds + np.exp(-self._quiet(x_, T_, ahead))) / (1 + odds)

    def no_purchase_log_odds(
        self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
    ) -> FloatArray:
        """Return the log-odds of no purchase in the ``horizon`` after ``T``.

        Computed in logarithms throughout, so that they are finite and accurate where the
        probability itself rounds to 0 or 1. Parameters, errors and shape as for
        `expected_purchases`; at horizon 0, where the odds are infinite, about 708 or more.
        """
        x_, t_, T_, ahead = self._history_and_horizon(x, t_x, T, horizon)
        w = np.maximum(self._quiet(x_, T_, ahead), _TINY)
        u = self._log_odds_left(x_, t_, T_)
        if not self.first:
            u = np.where(x_ > 0, u, -math.inf)
        return np.logaddexp(u, -w) - np.log(-np.expm1(-w))

    def expected_purchases_new(self, t: ArrayLike) -> FloatArray:
        """Return the expected repeat purchases of a new customer in ``t`` after the first.

        Raises
        ------
        ValueError
            If a ``t`` is negative or not finite.

        References
        ----------
        Fader, Hardie and Lee (2005), eq. (9).
        """
        return self.expected_purchases(0, 0, 0, horizon=t)

    def pmf_new(self, n: ArrayLike, t: ArrayLike) -> FloatArray:
        """Return the probability that a new customer makes ``n`` repeat purchases in ``t``.

        Either all ``n`` were survived and no more came, or the customer left at the ``n``-th and
        could have made any number from ``n`` on.

        Raises
        ------
        ValueError
            If an ``n`` is not whole, or one is negative or not finite.

        References
        ----------
        Fader, Hardie and Lee (2005), eq. (8).
        """
        n_, t_ = _validate.broadcast(n=_validate.counts("n", n), t=_validate.non_negative("t", t))
        odds = np.maximum(t_.ravel() / self.alpha, _TINY)
        pmf = beta_geometric_pmf(
            n_.ravel(), self.r, np.log(odds), a=self.a, b=self.b, first=self.first
        )
        return pmf.reshape(n_.shape)

    def log_likelihood_each(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> FloatArray:
        """Return the log-likelihood of each history (a density in the unit of time).

        Parameters, errors and shape as for `p_alive`.

        References
        ----------
        Fader, Hardie and Lee (2005), eq. (6); Batislam, Denizel and Filiztekin (2007).
        """
        x_, t_, T_ = _validate.history(x, t_x, T)

        def of_count(x: FloatArray) -> FloatArray:
            n = x + self.first
            survived = log_rising(self.b, n) - log_rising(self.a + self.b, n)
            return log_rising(self.r, x) + survived

        u = self._log_odds_left(x_, t_, T_)
        timing = self.r * np.log1p(T_ / self.alpha) + x_ * np.log(self.alpha + T_)
        if not self.first:
            u = np.where(x_ > 0, u, -math.inf)
        return by_count(of_count, x_) - timing + np.logaddexp(0, u)

    def discounted_purchases(
        self,
        x: ArrayLike,
        t_x: ArrayLike,
        T: ArrayLike,
        *,
        annual_discount: float,
        periods_per_year: float,
        horizon: float | None = None,
    ) -> FloatArray:
        """Return the present value at ``T`` of one unit for each expected purchase.

        Parameters
        ----------
        x, t_x, T : array_like
            As for `p_alive`.
        annual_discount : float
            Effective annual rate: 0.10 means that 1.10 in a year is worth 1 now. It is
            converted exactly, ``log(1 + annual_discount) / periods_per_year`` a unit of time.
        periods_per_year : float
            Units of time in a year: 365.25 for days, 365.25 / 7 for weeks.
        horizon : float, optional
            How far ahead to count; everything by default.

        Returns
        -------
        FloatArray
            At least 0, of the broadcast shape.

        Raises
        ------
        ValueError
            If a history is not possible, a number is negative or not finite, or neither a
            horizon nor a discount bounds the sum.
        """
        x_, t_, T_ = _validate.history(x, t_x, T)
        rate = math.log1p(_validate.non_negative_number("annual_discount", annual_discount))
        rate /= _validate.positive_number("periods_per_year", periods_per_year)
        if horizon is not None:
            horizon = _validate.non_negative_number("horizon", horizon)
        if rate == 0:
            if horizon is None:
                message = "without a discount a horizon is needed"
                raise ValueError(message)
            return self.expected_purchases(x_, t_, T_, horizon=horizon)
        end = math.inf if horizon is None else horizon
        b, age = self.b + self.first, self.alpha + T_
        count = discounted_if_alive(self.a, b, self.r, x_, age, horizon=end, rate=rate)
        return self._p_alive(x_, t_, T_) * count

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

    def _history_and_horizon(
        self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, horizon: ArrayLike
    ) -> tuple[FloatArray, ...]:
        """Return checked arrays; a horizon that is an array has their shape."""
        history = _validate.history(x, t_x, T)
        ahead = _validate.non_negative("horizon", horizon)
        if not ahead.ndim:
            return *history, ahead
        x_, t_, T_ = history
        return _validate.broadcast(x=x_, t_x=t_, T=T_, horizon=ahead)
