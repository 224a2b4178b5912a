"""The log-likelihood of a logistic regression over standardised columns.

Each column is divided by its largest magnitude before its mean and spread are taken, so that
nothing overflows, and a column without spread drops out. In these units the Newton steps, the
penalty and every tolerance mean the same whatever the columns are measured in.
"""

from __future__ import annotations

import copy

import numpy as np

from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.blocks import blocks
from app.scoring.numerics.newton import Evaluation, maximise

_NO_SPREAD = 1e-13  # relative to the largest magnitude
_SAMPLE = 10_000  # rows that bring the start close, when there are many more


class Likelihood:
    """``sum w (y eta - log(1 + e^eta)) - ridge |beta|^2 / 2`` at (intercept, beta).

    An ``offset`` of each row is added to its ``eta`` as it is.

    Attributes
    ----------
    centre, spread : FloatArray
        Weighted mean and standard deviation of each column, shape (k,); spread 0 drops it.
    """

    def __init__(
        self,
        X: FloatArray,
        y: FloatArray,
        weight: FloatArray,
        ridge: float,
        *,
        offset: FloatArray | None = None,
    ) -> None:
        size = np.maximum(np.abs(X).max(axis=0, initial=0.0), np.finfo(float).tiny)
        total = max(float(weight.sum()), np.finfo(float).tiny)
        self.y, self.weight = y, weight
        self.offset = np.zeros(y.size) if offset is None else offset
        self.Z = np.ones((y.size, X.shape[1] + 1))
        columns = self.Z[:, 1:]
        np.divide(X, size, out=columns)
        mean = weight @ columns / total
        columns -= mean
        spread = np.sqrt(np.einsum("i,ij,ij->j", weight, columns, columns) / total)
        spread[spread <= _NO_SPREAD] = 0.0
        columns *= np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
        self.centre, self.spread = mean * size, spread * size
        self.penalty = np.append(0.0, np.where(spread > 0, ridge, 0.0))

    def log_odds(self, theta: FloatArray) -> FloatArray:
        """Return the log-odds of every row."""
        return self.Z @ theta + self.offset

    def start(self, centre: float) -> FloatArray:
        """Return where to start: the share alone, or the fit of a part when rows are many."""
        theta = np.append(centre, np.zeros(self.spread.size))
        if self.y.size <= 4 * _SAMPLE:
            return theta
        part = copy.copy(self)
        step = self.y.size // _SAMPLE
        part.y, part.weight, part.Z = self.y[::step], self.weight[::step], self.Z[::step]
        part.offset = self.offset[::step]
        part.penalty = np.append(0.0, np.ones(self.spread.size))
        return maximise(part, theta, bound=np.full(theta.size, 10.0)).theta

    def units(self) -> FloatArray:
        """Return the matrix from these parameters to those of the columns as they came."""
        inverse = np.divide(1.0, self.spread, out=np.zeros_like(self.spread), where=self.spread > 0)
        units = np.diag(np.append(1.0, inverse))
        units[0, 1:] = -self.centre * inverse
        return units

    def unpenalised(self, theta: FloatArray) -> Evaluation:
        """Return the log-likelihood, its gradient and its Hessian without the penalty."""
        value, gradient = 0.0, np.zeros(theta.size)
        hessian = np.zeros((theta.size, theta.size))
        for part in blocks(self.y.size):
            Z, y, w = self.Z[part], self.y[part], self.weight[part]
            eta = Z @ theta + self.offset[part]
            # Everything from e^-|eta| <= 1: nothing overflows, and small terms stay accurate.
            small = np.exp(-np.abs(eta))
            most = 1 / (1 + small)
            p = np.where(eta > 0, most, small * most)
            miss = y * np.maximum(-eta, 0) + (1 - y) * np.maximum(eta, 0)
            value -= float(w @ (miss + np.log1p(small)))
            rest = np.where(eta > 0, small * most, most)
            gradient += (w * (y * rest - (1 - y) * p)) @ Z
            hessian -= (Z * (w * small * most * most)[:, None]).T @ Z
        return value, gradient, hessian

    def __call__(self, theta: FloatArray) -> Evaluation:
        """Return the penalised log-likelihood, its gradient and its Hessian."""
        value, gradient, hessian = self.unpenalised(theta)
        pull = self.penalty * theta
        return (
            value - 0.5 * float(pull @ theta),
            gradient - pull,
            hessian - np.diag(self.penalty),
        )


def inverse_and_step(curvature: FloatArray, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the inverse (NaN if there is none, or none to trust) and the Newton step."""
    values, axes = np.linalg.eigh(curvature)
    seen = values > 1e-12 * values[-1]
    step = axes[:, seen] @ ((axes[:, seen].T @ gradient) / values[seen])
    if not seen.all():
        return np.full_like(curvature, np.nan), step
    return (axes / values) @ axes.T, step
