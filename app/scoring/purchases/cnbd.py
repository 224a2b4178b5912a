"""Predictions of the (M)BG/CNBD-k; `app.scoring.purchases.cnbd_k` says what it assumes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.blocks import blocks
from app.scoring.numerics.special import by_count, log_rising
from app.scoring.purchases.alive import legendre
from app.scoring.purchases.counts import beta_geometric_pmf
from app.scoring.purchases.phases import phased_if_alive
from app.scoring.purchases.purchase_model import PurchaseModel

_TINY = float(np.finfo(float).tiny)
_SMALL = 0.7


@dataclass(frozen=True, kw_only=True)
class CnbdModel(PurchaseModel):
    """A fitted MBG/CNBD-k or BG/CNBD-k.

    Attributes
    ----------
    r, alpha : float
        Shape and rate of the gamma distribution of the rates of phases; ``alpha`` is a time.
    a, b : float
        Of the beta distribution of the probability of leaving at a purchase.
    k : int
        Phases of a gap between purchases.
    modified : bool
        Whether a customer may leave right after the first purchase.
    """

    names: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")

    r: float
    alpha: float
    a: float
    b: float
    k: int
    modified: bool = True

    @classmethod
    def from_params(cls, *, k: float, modified: bool = True, **params: float) -> Self:  # type: ignore[override]
        """Build a model without fitting it.

        Parameters
        ----------
        k : int
            Phases of a gap, at least 1.
        modified : bool
            MBG if true, BG if not.
        **params : float
            Every other parameter by name, positive and finite.

        Raises
        ------
        ValueError
            If a parameter is missing, unknown, or out of its range.
        """
        whole = validation.positive_number("k", k)
        if whole != math.floor(whole):
            message = "k must be a whole number of at least 1"
            raise ValueError(message)
        checked = cls.checked(params)
        unknown = np.full((4, 4), math.nan)
        return cls.of(checked, k=int(whole), modified=modified, covariance=unknown)

    @property
    def params(self) -> dict[str, float]:
        """The parameters by name, ``k`` among them."""
        return {name: getattr(self, name) for name in (*self.names, "k")}

    @property
    def first(self) -> int:
        """How many chances to leave precede the first repeat purchase."""
        return int(self.modified)

    def log_likelihood_each(
        self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, *, sum_log_gaps: ArrayLike | None = None
    ) -> FloatArray:
        """Return the log-likelihood of each history (a density in the unit of time).

        Parameters
        ----------
        x, t_x, T : array_like
            As for `p_alive`.
        sum_log_gaps : array_like, optional
            Sum of the logarithms of the gaps, of the same shape. Without it the factor that
            depends on the gaps and ``k`` alone is left out.

        Raises
        ------
        ValueError
            If a history is not possible, or shapes do not fit.
        """
        x_, t_, T_ = validation.history(x, t_x, T)
        value = self._log_likelihood(x_, t_, T_)
        if sum_log_gaps is None:
            return value
        gaps = validation.as_float("sum_log_gaps", sum_log_gaps)
        value, gaps = validation.broadcast(value=value, sum_log_gaps=gaps)
        factor: FloatArray = (self.k - 1) * gaps - x_ * math.lgamma(self.k)
        return value + factor

    def _log_waiting(self, m: FloatArray, y: FloatArray) -> FloatArray:
        """Return ``log Q``."""
        term = total = np.ones_like(m * y)
        for j in range(1, self.k):
            term = term * (y * (m + j - 1) / j)
            total = total + term
        return np.log(total)

    def _log_silence(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Return the log-tail of a gap of ``k`` phases, over the rates that ``x`` gaps leave."""
        m = self.r + self.k * x
        waiting = self._log_waiting(m, (T - t_x) / (self.alpha + T))
        return waiting - m * np.log1p((T - t_x) / (self.alpha + t_x))

    def _phase_shares(self, m: FloatArray, y: FloatArray) -> list[FloatArray]:
        """Return the probability that ``j`` phases of the current gap are over, ``j < k``."""
        terms = [np.ones_like(m * y)]
        for j in range(1, self.k):
            terms.append(terms[-1] * (y * (m + j - 1) / j))
        total = np.sum(terms, axis=0)
        return [term / total for term in terms]

    def _log_odds_left(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Return ``u``; minus infinity where there was no chance to leave."""
        before_last = x if self.first else np.maximum(x - 1, 0)
        m = self.r + self.k * x
        growth = m * np.log1p((T - t_x) / (self.alpha + t_x))
        waiting = self._log_waiting(m, (T - t_x) / (self.alpha + T))
        u = growth - waiting + np.log(self.a / (self.b + before_last))
        return u if self.first else np.where(x > 0, u, -math.inf)

    def _p_alive(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        return np.exp(-np.logaddexp(0, self._log_odds_left(x, t_x, T)))

    def _expected_alive(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        return self._count(x, t_x, T, ahead, 0.0)

    def _discounted_alive(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, *, end: float, rate: float
    ) -> FloatArray:
        return self._count(x, t_x, T, np.float64(end), rate)  # type: ignore[arg-type]

    def _count(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray, rate: float
    ) -> FloatArray:
        age = self.alpha + T
        shares = self._phase_shares(self.r + self.k * x, (T - t_x) / age)
        return phased_if_alive(
            self.a, self.b + self.first, self.r, self.k, x, age, shares, horizon=ahead, rate=rate
        )

    def _quiet(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        """Return ``w``: minus the log-probability of no purchase by a customer alive."""
        m, age, idle = self.r + self.k * x, self.alpha + T, T - t_x
        w = m * np.log1p(ahead / age) + self._log_waiting(m, idle / age)
        return np.maximum(w - self._log_waiting(m, (idle + ahead) / (age + ahead)), 0.0)

    def _p_none(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        u = self._log_odds_left(x, t_x, T)
        quiet = np.logaddexp(u, -self._quiet(x, t_x, T, ahead)) - np.logaddexp(0, u)
        p: FloatArray = np.exp(np.minimum(quiet, 0.0))
        return p

    def _log_odds_none(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        w = self._quiet(x, t_x, T, ahead)
        any_of = self._log_any_alive(x, t_x, T, ahead)
        return np.logaddexp(self._log_odds_left(x, t_x, T), -w) - any_of

    def _log_any_alive(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        w = self._quiet(x, t_x, T, ahead)
        found = np.atleast_1d(np.log(-np.expm1(-np.maximum(w, _SMALL))))
        soon = np.flatnonzero(w < _SMALL)
        for part in blocks(soon.size):  # the integral holds dozens of numbers for each
            at = np.unravel_index(soon[part], found.shape)
            some = (np.broadcast_to(each, found.shape)[at] for each in (x, t_x, T, ahead))
            found[at] = self._log_soon(*some)
        return found.reshape(np.shape(w))[()]

    def _log_soon(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        """Return the log-chance of a purchase by a customer alive, where it is small.

        As an integral over the time of the purchase nothing cancels, however small it is.
        """
        m, age = self.r + self.k * x, self.alpha + T
        y = (T - t_x) / age
        nodes, weights = legendre(24)
        length = np.log1p(ahead / age)
        v = np.asarray(length)[..., None] * nodes
        start = np.asarray(y)[..., None]
        now = start - (1 - start) * np.expm1(-v)
        density = now ** (self.k - 1) * np.exp(-np.asarray(m)[..., None] * v)
        integral = np.log(np.maximum(density @ weights * length, _TINY))
        return integral + log_rising(m, self.k) - math.lgamma(self.k) - self._log_waiting(m, y)

    def _pmf(self, n: FloatArray, t: FloatArray) -> FloatArray:
        log_odds = np.log(np.maximum(t / self.alpha, _TINY))
        return beta_geometric_pmf(
            n, self.r, log_odds, a=self.a, b=self.b, first=self.first, phases=self.k
        )

    def _log_likelihood(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        def of_count(x: FloatArray) -> FloatArray:
            n = x + self.first
            survived = log_rising(self.b, n) - log_rising(self.a + self.b, n)
            return log_rising(self.r, self.k * x) + survived

        timing = self.r * np.log1p(T / self.alpha) + self.k * x * np.log(self.alpha + T)
        m = self.r + self.k * x
        waiting = self._log_waiting(m, (T - t_x) / (self.alpha + T))
        u = self._log_odds_left(x, t_x, T)
        return by_count(of_count, x) - timing + waiting + np.logaddexp(0, u)
