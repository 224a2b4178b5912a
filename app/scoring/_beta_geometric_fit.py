"""Maximum likelihood for the BG/NBD and the MBG/NBD, whatever the data look like.

A fit is a damped Newton ascent in the log-parameters over collapsed histories. What comes back
says how far to trust it:

``fallback``
    Fewer than `MIN_CUSTOMERS` customers or `MIN_REPEATERS` with a repeat purchase. The
    parameters are a prior: the purchase rate of these data, with half a purchase in one more
    average lifetime added, at the heterogeneity and dropout that Fader, Hardie and Lee (2005)
    found for CDNOW.
``no_dropout_identified``
    Either the likelihood gains less than `MIN_GAIN` over the NBD, its limit without dropout (a
    likelihood ratio with two degrees of freedom at the 5 % level), or the model believes
    that fewer than `MIN_LEFT` of the customers have left: then its P(alive) tells nobody apart.
``weakly_identified``
    A parameter ran to a bound, or the standard error of its logarithm exceeds `MAX_LOG_ERROR`,
    so that its 95 % interval spans a factor of fifty.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from app.scoring import _validate
from app.scoring._beta_geometric import BetaGeometricModel
from app.scoring._collapse import Histories, collapse
from app.scoring._model import covariance_of
from app.scoring._newton import Optimum, maximise
from app.scoring._purchase_likelihood import BetaGeometric, NoDropout
from app.scoring._typing import FloatArray, Status

MIN_CUSTOMERS = 20
MIN_REPEATERS = 10
MIN_GAIN = 3.0
MIN_LEFT = 0.01
MAX_LOG_ERROR = 1.0

_PRIOR_R, _PRIOR_A, _PRIOR_B = 0.25, 0.8, 2.4
_BOUND = np.array([10.0, 30.0, 10.0, 10.0])  # of log (r, alpha / longest T, a, b)
_SAMPLE = 10_000  # customers that bring the start close, when there are many more

ModelT = TypeVar("ModelT", bound=BetaGeometricModel)


def fit_beta_geometric(
    model: type[ModelT],
    x: ArrayLike,
    t_x: ArrayLike,
    T: ArrayLike,
    *,
    weights: ArrayLike | None,
) -> ModelT:
    """Fit ``model``; see `app.scoring.bg_nbd.fit`."""
    x_, t_, T_ = _validate.history(x, t_x, T)
    w = _validate.sample(x_, ("t_x", t_), ("T", T_), weights=weights)
    if w is not None and not w.all():
        x_, t_, T_, w = x_[w > 0], t_[w > 0], T_[w > 0], w[w > 0]
    n = float(x_.size if w is None else w.sum())
    repeaters = float(np.count_nonzero(x_) if w is None else w[x_ > 0].sum())
    if n < MIN_CUSTOMERS or repeaters < MIN_REPEATERS:
        return _fallback(model, x_, t_, T_, np.ones(x_.size) if w is None else w)
    longest = float(T_.max())
    rows = collapse(x_, t_, T_, w)
    optimum, likelihood = _maximum(rows, model.first)
    params = np.exp(optimum.theta)
    params[1] *= longest
    covariance, identified = covariance_of(params, optimum.curvature, most=MAX_LOG_ERROR)
    status: Status = "ok" if identified and optimum.interior else "weakly_identified"
    if _without_dropout(optimum, likelihood):
        status = "no_dropout_identified"
    return model.of(
        dict(zip(model.names, params.tolist(), strict=True)),
        covariance=covariance,
        # each of the x purchase times is a density in the unit of time
        log_likelihood=optimum.value - float(rows.weight @ rows.x) * math.log(longest),
        status=status,
        n=x_.size if weights is None else n,
    )


def _maximum(rows: Histories, first: int) -> tuple[Optimum, BetaGeometric]:
    """Return the maximum of the likelihood, approached through a sample when rows are many."""
    rate = float(rows.weight @ rows.x) / float(rows.weight @ rows.T)
    start = np.log([1.0, 1.0 / rate, 0.5, 2.0])
    if rows.x.size > 4 * _SAMPLE:
        start = maximise(BetaGeometric(rows.sample(_SAMPLE), first), start, bound=_BOUND).theta
    likelihood = BetaGeometric(rows, first)
    return maximise(likelihood, start, bound=_BOUND), likelihood


def _without_dropout(optimum: Optimum, likelihood: BetaGeometric) -> bool:
    """Return whether the data cannot tell dropout from none at all."""
    if likelihood.share_left(optimum.theta) < MIN_LEFT:
        return True
    nbd = likelihood.no_dropout
    rows = nbd.rows
    start = optimum.theta[:2]
    if rows.x.size > 4 * _SAMPLE:
        start = maximise(NoDropout(rows.sample(_SAMPLE)), start, bound=_BOUND[:2]).theta
        # One evaluation near the maximum, and what is left to climb, bound it closely enough.
        close = maximise(nbd, start, bound=_BOUND[:2], steps=0)
        if optimum.value - close.value - 2 * close.predicted_gain > MIN_GAIN:
            return False
    limit = maximise(nbd, start, bound=_BOUND[:2])
    return optimum.value - limit.value < MIN_GAIN


def _fallback(
    model: type[ModelT], x: FloatArray, t_x: FloatArray, T: FloatArray, weight: FloatArray
) -> ModelT:
    """Return the prior, at the shrunk purchase rate of the data."""
    n = float(weight.sum())
    exposure = float(weight @ T)
    lifetime = exposure / n if exposure > 0 else 1.0
    rate = (float(weight @ x) + 0.5) / (exposure + lifetime)
    prior = model.from_params(r=_PRIOR_R, alpha=_PRIOR_R / rate, a=_PRIOR_A, b=_PRIOR_B)
    return model.of(
        prior.params,
        covariance=prior.covariance,
        log_likelihood=float(weight @ prior.log_likelihood_each(x, t_x, T)),
        status="fallback",
        n=n,
    )
