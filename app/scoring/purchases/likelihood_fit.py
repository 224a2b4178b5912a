"""Maximum likelihood for every model of purchases, whatever the data look like.

A fit is a damped Newton ascent in the log-parameters over collapsed histories. What comes back
says how far to trust it:

``fallback``
    Fewer than `MIN_GAPS` gaps between purchases or `MIN_CUSTOMERS` customers. The
    parameters are a prior: the purchase rate of these data, with half a purchase in one more
    average lifetime added, at the heterogeneity and dropout found for CDNOW in the literature.
``no_dropout_identified``
    For a model with dropout: either the likelihood gains less than `MIN_GAIN` over the same
    model without (a likelihood ratio with two degrees of freedom at the 5 % level), or the
    model believes that fewer than `MIN_LEFT` of the customers have left: then its P(alive)
    tells nobody apart.
``weakly_identified``
    A parameter ran to a bound, the standard error of its logarithm exceeds `MAX_LOG_ERROR`,
    so that its 95 % interval spans a factor of fifty, or the ascent used up its evaluations
    before it converged: a budget counted in rows, for models that are slow to evaluate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.histories.collapse import Histories, collapse
from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray, Status
from app.scoring.numerics.fitted_model import covariance_of
from app.scoring.numerics.newton import Evaluation, Objective, Optimum, maximise
from app.scoring.purchases.purchase_model import PurchaseModel

MIN_GAPS = 20
MIN_CUSTOMERS = 5
MIN_GAIN = 3.0
MIN_LEFT = 0.01
MAX_LOG_ERROR = 1.0

_SAMPLE = 10_000  # customers that bring the start close, when there are many more
_CLOSE = 1e-6  # how close, in log-likelihood; they differ from all others by far more
_FIRST_SAMPLE = 2000
_ROUGH_TRIES = 20
_TRIES, _ROWS = 4, 100_000  # how often all rows are evaluated after that, and how many at least

ModelT = TypeVar("ModelT", bound=PurchaseModel)


class Likelihood(Protocol):
    """The log-likelihood of histories as a function of the log-parameters."""

    def __call__(self, theta: FloatArray) -> Evaluation:
        """Return value, gradient and Hessian."""
        ...

    @property
    def no_dropout(self) -> Objective | None:
        """The same in the first two parameters, where nobody leaves; None if nobody can."""
        ...

    def share_left(self, theta: FloatArray) -> float:
        """Return the share of all customers that have left, in expectation."""
        ...


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to fit one kind of model.

    Attributes
    ----------
    likelihood, rough : callable
        Histories to a log-likelihood; a faster, less exact one to start with.
    start, prior : callable
        From the purchase rate to log-parameters to start from, and to parameters to fall back
        on.
    bound : FloatArray
        Of the absolute log-parameters, with times in units of the longest ``T``.
    times : tuple of int
        Which parameters are times.
    powers : int
        How many powers of time a purchase brings into the likelihood.
    fields : dict
        What else the model is made of.
    """

    likelihood: Callable[[Histories], Likelihood]
    rough: Callable[[Histories], Likelihood] | None = None
    start: Callable[[float], list[float]]
    prior: Callable[[float], dict[str, float]]
    bound: FloatArray
    times: tuple[int, ...] = (1,)
    powers: int = 1
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """Checked customers with a weight above 0."""

    x: FloatArray
    t_x: FloatArray
    T: FloatArray
    weights: FloatArray | None
    n: float

    @classmethod
    def of(cls, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, weights: ArrayLike | None) -> Sample:
        """Check histories and weights."""
        x_, t_, T_ = validation.history(x, t_x, T)
        w = validation.sample(x_, ("t_x", t_), ("T", T_), weights=weights)
        if w is not None and not w.all():
            x_, t_, T_, w = x_[w > 0], t_[w > 0], T_[w > 0], w[w > 0]
        return cls(x_, t_, T_, w, x_.size if w is None else float(w.sum()))

    @property
    def thin(self) -> bool:
        """Whether there is too little to learn from."""
        x, w = self.x, self.weights
        gaps = float(x.sum() if w is None else w @ x)
        return self.n < MIN_CUSTOMERS or gaps < MIN_GAPS


def fit(
    model: type[ModelT],
    recipe: Recipe,
    x: ArrayLike,
    t_x: ArrayLike,
    T: ArrayLike,
    *,
    weights: ArrayLike | None,
) -> ModelT:
    """Fit ``model``; see `app.scoring.purchases.bg_nbd.fit`."""
    sample = Sample.of(x, t_x, T, weights)
    if sample.thin:
        return fallback(model, recipe, sample)
    rows = collapse(sample.x, sample.t_x, sample.T, sample.weights)
    return fit_rows(model, recipe, rows, longest=float(sample.T.max()), n=sample.n)


def fit_rows(
    model: type[ModelT], recipe: Recipe, rows: Histories, *, longest: float, n: float
) -> ModelT:
    """Fit ``model`` to collapsed histories in units of the ``longest`` time."""
    likelihood = recipe.likelihood(rows)
    optimum = _maximum(recipe, rows, likelihood)
    params = np.exp(optimum.theta)
    params[list(recipe.times)] *= longest
    covariance, identified = covariance_of(params, optimum.curvature, most=MAX_LOG_ERROR)
    status: Status = "ok" if identified and optimum.interior else "weakly_identified"
    if _without_dropout(recipe, rows, optimum, likelihood):
        status = "no_dropout_identified"
    return model.of(
        dict(zip(model.names, params.tolist(), strict=True)),
        **recipe.fields,
        covariance=covariance,
        log_likelihood=float(optimum.value)
        - recipe.powers * float(rows.weight @ rows.x) * math.log(longest),
        status=status,
        n=n,
    )


def _maximum(recipe: Recipe, rows: Histories, likelihood: Likelihood) -> Optimum:
    """Return the maximum, approached through a sample when rows are many."""
    rate = float(rows.weight @ rows.x) / float(rows.weight @ rows.T)
    start = np.array(recipe.start(rate))
    rough, most = recipe.rough or recipe.likelihood, recipe.bound
    for size in (_FIRST_SAMPLE, _SAMPLE):
        if rows.x.size > (size if recipe.rough else 4 * size):
            few = rough(rows.sample(size))
            found = maximise(few, start, bound=most, enough=_CLOSE, tries=_ROUGH_TRIES)
            # A bound that the smallest sample ran to need not be one of the others'.
            start = found.theta if found.interior or size == _SAMPLE else start
    if recipe.rough and rows.x.size <= _SAMPLE:
        start = maximise(rough(rows), start, bound=most, enough=_CLOSE, tries=_ROUGH_TRIES).theta
    if recipe.rough is None or rows.x.size <= _FIRST_SAMPLE:
        return maximise(likelihood, start, bound=most)
    return maximise(likelihood, start, bound=most, tries=max(_TRIES, _ROWS // rows.x.size))


def _without_dropout(
    recipe: Recipe, rows: Histories, optimum: Optimum, likelihood: Likelihood
) -> bool:
    """Return whether the data cannot tell dropout from none at all."""
    limit = likelihood.no_dropout
    if limit is None:
        return False
    if likelihood.share_left(optimum.theta) < MIN_LEFT:
        return True
    start, bound = optimum.theta[:2], recipe.bound[:2]
    if rows.x.size > 4 * _SAMPLE:
        few = recipe.likelihood(rows.sample(_SAMPLE)).no_dropout
        assert few is not None
        start = maximise(few, start, bound=bound).theta
        # One evaluation near the maximum, and what is left to climb, bound it closely enough.
        close = maximise(limit, start, bound=bound, steps=0)
        if optimum.value - close.value - 2 * close.predicted_gain > MIN_GAIN:
            return False
    best = maximise(limit, start, bound=bound)
    return optimum.value - best.value < MIN_GAIN


def fallback(model: type[ModelT], recipe: Recipe, sample: Sample) -> ModelT:
    """Return the prior, at the shrunk purchase rate of the data."""
    x, t_x, T = sample.x, sample.t_x, sample.T
    weight = np.ones(x.size) if sample.weights is None else sample.weights
    exposure = float(weight @ T)
    lifetime = exposure / sample.n if exposure > 0 else 1.0
    params = recipe.prior((float(weight @ x) + 0.5) / (exposure + lifetime))
    unknown = np.full((len(params),) * 2, math.nan)
    prior = model.of(params, **recipe.fields, covariance=unknown)
    return model.of(
        params,
        **recipe.fields,
        covariance=unknown,
        log_likelihood=float(weight @ prior.log_likelihood_each(x, t_x, T)),
        status="fallback",
        n=sample.n,
    )
