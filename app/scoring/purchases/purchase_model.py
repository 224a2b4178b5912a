"""What every model of purchases offers: checked input in, arrays out; the models fill in how."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.fitted_model import FittedModel

_LEAST_LOG = -700.0  # e to this is still a number


@dataclass(frozen=True, kw_only=True)
class PurchaseModel(FittedModel, ABC):
    """A fitted model of purchases. Every method takes numbers, lists or arrays of any shape.

    All are functions of the history of a customer: ``x`` repeat purchases, the last at ``t_x``,
    observed for ``T`` since the first purchase, in one unit of time.
    """

    def p_alive(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> FloatArray:
        """Return the probability that a customer has not left by ``T``.

        Not a churn score: what it ranks is a latent state, and with the BG/NBD a customer without
        a repeat purchase is alive for certain. Use `p_no_purchase`.

        Parameters
        ----------
        x, t_x, T : array_like
            Repeat purchases, time of the last one, time observed.

        Returns
        -------
        FloatArray
            In [0, 1], of the broadcast shape.

        Raises
        ------
        ValueError
            If a history is not possible (see `app.scoring.numerics.validation.history`).
        """
        return self._p_alive(*validation.history(x, t_x, T))

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
        See the module of the model.
        """
        return self._expected(*validation.history_and_horizon(x, t_x, T, horizon))

    def purchases_if_any(
        self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
    ) -> FloatArray:
        """Return the expected purchases in the ``horizon`` of those who make any.

        That is `expected_purchases` over the chance of any; whether the customer is alive cancels
        out, so that nothing underflows. Parameters and errors as for `expected_purchases`.

        Returns
        -------
        FloatArray
            At least 1, its limit where the horizon goes to 0; of the broadcast shape.
        """
        given = validation.history_and_horizon(x, t_x, T, horizon)
        return _at_least_one(self._expected_alive(*given), self._log_any_alive(*given))

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
        return self._p_none(*validation.history_and_horizon(x, t_x, T, horizon))

    def no_purchase_log_odds(
        self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
    ) -> FloatArray:
        """Return the log-odds of no purchase in the ``horizon`` after ``T``.

        Computed in logarithms throughout, so that they are finite and accurate where the
        probability itself rounds to 0 or 1. Parameters, errors and shape as for
        `expected_purchases`; at horizon 0, where the odds are infinite, some 700 or more.
        """
        return self._log_odds_none(*validation.history_and_horizon(x, t_x, T, horizon))

    def silence_if_active(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> FloatArray:
        """Return the probability that a customer who has not left would be silent so long.

        Of one who bought ``x`` times again, the last time at ``t_x``, and did not leave then: that
        the next gap is longer than ``T - t_x``. With the rate Gamma(r + x, alpha + t_x) by then,
        it is ``((alpha + t_x) / (alpha + T)) ** (r + x)``. Nothing is said of whether he left.

        Parameters, errors and shape as for `p_alive`.

        Returns
        -------
        FloatArray
            In [0, 1], 1 without a silence and falling with it.
        """
        silent: FloatArray = np.exp(
            np.minimum(self._log_silence(*validation.history(x, t_x, T)), 0)
        )
        return silent

    def expected_purchases_new(self, t: ArrayLike) -> FloatArray:
        """Return the expected repeat purchases of a new customer in ``t`` after the first.

        Raises
        ------
        ValueError
            If a ``t`` is negative or not finite.
        """
        return self.expected_purchases(0, 0, 0, horizon=t)

    def pmf_new(self, n: ArrayLike, t: ArrayLike) -> FloatArray:
        """Return the probability that a new customer makes ``n`` repeat purchases in ``t``.

        Returns
        -------
        FloatArray
            In [0, 1], of the broadcast shape.

        Raises
        ------
        ValueError
            If an ``n`` is not whole, or one is negative or not finite.
        """
        n_, t_ = validation.broadcast(
            n=validation.counts("n", n), t=validation.non_negative("t", t)
        )
        return self._pmf(n_.ravel(), t_.ravel()).reshape(n_.shape)

    def log_likelihood_each(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> FloatArray:
        """Return the log-likelihood of each history (a density in the unit of time).

        Parameters, errors and shape as for `p_alive`.
        """
        return self._log_likelihood(*validation.history(x, t_x, T))

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
        history = validation.history(x, t_x, T)
        rate = validation.discount_rate(annual_discount, periods_per_year)
        if horizon is not None:
            horizon = validation.non_negative_number("horizon", horizon)
        if rate == 0:
            if horizon is None:
                message = "without a discount a horizon is needed"
                raise ValueError(message)
            return self.expected_purchases(*history, horizon=horizon)
        end = math.inf if horizon is None else horizon
        return self._p_alive(*history) * self._discounted_alive(*history, end=end, rate=rate)

    def discounted_if_any(
        self,
        x: ArrayLike,
        t_x: ArrayLike,
        T: ArrayLike,
        *,
        annual_discount: float,
        periods_per_year: float,
        horizon: float,
    ) -> FloatArray:
        """Return the present value of one unit for each purchase of those who make any.

        As `purchases_if_any`, of `discounted_purchases`, whose parameters and errors it has; save
        that a horizon is needed.

        Returns
        -------
        FloatArray
            Not negative, of the broadcast shape.
        """
        history = validation.history(x, t_x, T)
        rate = validation.discount_rate(annual_discount, periods_per_year)
        end = validation.non_negative_number("horizon", horizon)
        if rate == 0:
            return self.purchases_if_any(*history, horizon=end)
        soonest = math.exp(-rate * end)  # no purchase within the horizon is worth less
        value = self._discounted_alive(*history, end=end, rate=rate)
        return _at_least_one(value, self._log_any_alive(*history, np.asarray(end)), least=soonest)

    def _expected(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        return self._p_alive(x, t_x, T) * self._expected_alive(x, t_x, T, ahead)

    def _log_silence(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Return the log-chance of no purchase since ``t_x`` by one alive: gaps without memory."""
        params = self.params
        return -(params["r"] + x) * np.log1p((T - t_x) / (params["alpha"] + t_x))

    @abstractmethod
    def _p_alive(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _expected_alive(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        """Return the expected purchases of a customer known to be alive."""

    @abstractmethod
    def _log_any_alive(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        """Return the log-chance of any purchase of a customer known to be alive."""

    @abstractmethod
    def _p_none(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray: ...

    @abstractmethod
    def _log_odds_none(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray: ...

    @abstractmethod
    def _pmf(self, n: FloatArray, t: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _log_likelihood(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _discounted_alive(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, *, end: float, rate: float
    ) -> FloatArray:
        """Return the discounted purchases of a customer known to be alive."""


def _at_least_one(value: FloatArray, log_any: FloatArray, *, least: float = 1.0) -> FloatArray:
    """Return ``value`` over the chance of any: who makes any purchase makes one."""
    found: FloatArray = np.maximum(value / np.exp(np.maximum(log_any, _LEAST_LOG)), least)
    return found
