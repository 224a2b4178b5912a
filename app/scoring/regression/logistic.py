r"""Logistic regression with a ridge penalty, and recalibration of scores.

.. math:: P(y = 1) = 1 / (1 + e^{-\eta}), \qquad \eta = \beta_0 + \sum_j \beta_j x_j.

Maximised is :math:`\sum w (y \eta - \log(1 + e^\eta)) - (\rho/2) \sum_j (\beta_j s_j)^2`, with
``s_j`` the standard deviation of column ``j`` and the intercept free, by damped Newton steps:
iteratively reweighted least squares, with a step never taken that loses likelihood. Coefficients
come back in the units of the columns, so that they are equal in whatever unit one measures.

The status says how far to trust them:

``fallback``
    Fewer than `MIN_EVENTS` rows with ``y = 1``, or with ``y = 0``: the intercept is the shrunk
    share, ``log((n_1 + 1/2) / (n_0 + 1/2))``, and every coefficient 0.
``separated``
    The log-odds of every row have the right sign, or, without a penalty, some still run to
    infinity: the data set no limit to the coefficients.
``weakly_identified``
    A column is constant, or some combination of the standardised columns has, from the data
    alone, a standard error above `MAX_ERROR` on the log-odds.

References
----------
Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, sections 3.4 and 4.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.newton import maximise
from app.scoring.regression.logit import Likelihood, inverse_and_step
from app.scoring.regression.recalibration import (
    MIN_EVENTS,
    Isotonic,
    Platt,
    isotonic,
    platt,
    sigmoid,
)

__all__ = ["MIN_EVENTS", "Isotonic", "Model", "Platt", "Terms", "fit", "isotonic", "platt"]

LogisticStatus: TypeAlias = Literal["ok", "separated", "weakly_identified", "fallback"]

MAX_ERROR = 1.0

_BOUND = 200.0  # of a parameter in standardised columns
_STILL_MOVING = 0.1  # in log-odds, by a Newton step that gains nothing: on the way to infinity


@dataclass(frozen=True, eq=False)
class Terms:
    """Parts of log-odds: ``base + parts.sum(axis=-1) == total``, up to rounding.

    Attributes
    ----------
    base : float
        The log-odds of the reference.
    parts : FloatArray
        What each column adds by differing from the reference, shape (..., k).
    total : FloatArray
        Shape (...).
    """

    base: float
    parts: FloatArray
    total: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A fitted logistic regression.

    Attributes
    ----------
    intercept : float
        The log-odds where every column is 0.
    coefficients : FloatArray
        What one unit of each column adds to the log-odds, shape (k,).
    covariance : FloatArray
        Of (intercept, coefficients), from the inverse Hessian with its penalty, shape
        (k + 1, k + 1); NaN where it is not known.
    log_likelihood : float
        Without the penalty; NaN for a model made by `from_params`.
    status : str
        ``ok | separated | weakly_identified | fallback``; see the module.
    n : float
        Rows fitted, or the sum of their weights.
    """

    intercept: float
    coefficients: FloatArray
    covariance: FloatArray
    log_likelihood: float = math.nan
    status: LogisticStatus = "ok"
    n: float = 0

    @classmethod
    def from_params(cls, *, intercept: float, coefficients: ArrayLike) -> Self:
        """Build a model without fitting it.

        Raises
        ------
        ValueError
            If a number is not finite, or the coefficients are not one-dimensional.
        """
        beta = validation.as_float("coefficients", coefficients)
        if np.ndim(beta) != 1 or not np.isfinite(beta).all() or not math.isfinite(intercept):
            message = "intercept and coefficients must be finite, coefficients one-dimensional"
            raise ValueError(message)
        unknown = np.full((beta.size + 1,) * 2, math.nan)
        return cls(intercept=float(intercept), coefficients=beta.copy(), covariance=unknown)

    @property
    def standard_errors(self) -> FloatArray:
        """Of the intercept and each coefficient, shape (k + 1,); NaN where not known."""
        return np.sqrt(np.diag(self.covariance))

    def log_odds(self, X: ArrayLike) -> FloatArray:
        """Return the log-odds of ``y = 1``.

        Parameters
        ----------
        X : array_like
            Finite, shape (..., k), in the units of the columns fitted.

        Returns
        -------
        FloatArray
            Shape (...).

        Raises
        ------
        ValueError
            If a value is not finite, or the columns are not ``k``.
        """
        return _finite(X, self.coefficients.size) @ self.coefficients + self.intercept

    def probability(self, X: ArrayLike) -> FloatArray:
        """Return the probability of ``y = 1``; parameters, shape and errors as for `log_odds`."""
        return sigmoid(self.log_odds(X))

    def contributions(self, X: ArrayLike, reference: ArrayLike) -> Terms:
        """Return what each column adds to the log-odds of a reference.

        Parameters
        ----------
        X : array_like
            Shape (..., k).
        reference : array_like
            Shape (k,). ValueError as for `log_odds`.
        """
        start = _finite(reference, self.coefficients.size)
        if start.ndim != 1:
            message = "reference must be one row"
            raise ValueError(message)
        base = float(start @ self.coefficients) + self.intercept
        parts = (_finite(X, self.coefficients.size) - start) * self.coefficients
        return Terms(base=base, parts=parts, total=base + parts.sum(axis=-1))


def fit(
    X: ArrayLike, y: ArrayLike, *, ridge: float = 1.0, weights: ArrayLike | None = None
) -> Model:
    """Fit by penalised maximum likelihood.

    Parameters
    ----------
    X : array_like
        Finite, shape (n, k).
    y : array_like
        0 or 1, shape (n,).
    ridge : float
        At least 0. The default is worth a prior in which a standard deviation of a column
        changes the log-odds by about 1; against many rows it is next to nothing.
    weights : array_like, optional
        How many rows each row stands for, shape (n,).

    Returns
    -------
    Model
        Always, with a status that says how far to trust it.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, a ``y`` is neither 0 nor 1, or ``ridge`` or
        a weight is negative.
    """
    strength = validation.non_negative_number("ridge", ridge)
    X_, y_, w = _sample(X, y, weights)
    n, events = float(w.sum()), float(w @ y_)
    centre = math.log((events + 0.5) / (n - events + 0.5))
    likelihood = Likelihood(X_, y_, w, strength)
    size = X_.shape[1] + 1
    if min(events, n - events) < MIN_EVENTS:
        return Model(
            intercept=centre,
            coefficients=np.zeros(size - 1),
            covariance=np.full((size, size), math.nan),
            log_likelihood=likelihood.unpenalised(np.append(centre, np.zeros(size - 1)))[0],
            status="fallback",
            n=n,
        )
    optimum = maximise(likelihood, likelihood.start(centre), bound=np.full(size, _BOUND))
    theta, units = optimum.theta, likelihood.units()
    value, gradient, hessian = likelihood.unpenalised(theta)
    inverse, step = inverse_and_step(optimum.curvature, gradient)
    with np.errstate(over="ignore", invalid="ignore"):  # columns measured in 1e-200
        params, covariance = units @ theta, units @ inverse @ units.T
    status: LogisticStatus = "ok"
    apart = bool(np.all((2 * y_ - 1) * likelihood.log_odds(theta) > 0))
    moving = strength == 0 and float(np.abs(likelihood.log_odds(step)).max()) > _STILL_MOVING
    seen = float(np.linalg.eigvalsh(-hessian)[0]) >= MAX_ERROR**-2
    if apart or moving:
        status = "separated"
    elif not (likelihood.spread > 0).all() or not optimum.interior or not seen:
        status = "weakly_identified"
    return Model(
        intercept=float(params[0]),
        coefficients=params[1:],
        covariance=covariance,
        log_likelihood=value,
        status=status,
        n=n,
    )


def _finite(X: ArrayLike, columns: int) -> FloatArray:
    array = np.asarray(validation.as_float("X", X))
    if array.ndim < 1 or array.shape[-1] != columns or not np.isfinite(array).all():
        message = f"X must be finite and have {columns} columns"
        raise ValueError(message)
    return array


def _sample(
    X: ArrayLike, y: ArrayLike, weights: ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return columns, outcomes and weights, checked, without rows that stand for nobody."""
    table, outcome = np.asarray(validation.as_float("X", X)), validation.outcomes("y", y)
    if table.ndim != 2 or table.shape[0] != outcome.size or not np.isfinite(table).all():
        message = "X must be finite, two-dimensional, and have a row for each y"
        raise ValueError(message)
    w = validation.sample(outcome, weights=weights)
    if w is None:
        return table, outcome, np.ones(outcome.size)
    return table[w > 0], outcome[w > 0], w[w > 0]
