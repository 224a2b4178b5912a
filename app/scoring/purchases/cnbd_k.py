r"""The (M)BG/CNBD-k models: as the (M)BG/NBD, with purchases more regular than at random.

Assumptions: while alive, a customer passes through phases at a rate :math:`\lambda`, and every
``k``-th phase is a purchase, so that gaps are Erlang-k; ``k = 1`` is the (M)BG/NBD. After every
repeat purchase (BG), or after the first one too (MBG, ``modified``), he leaves with probability
``p``. Over customers, :math:`\lambda` is Gamma(r, alpha), ``p`` is Beta(a, b), independently.

With ``m = r + k x`` and ``y = (T - t_x)/(alpha + T)``, up to ``k - 1`` phases of the current gap
may be over: ``j`` of them with the weight :math:`(m)_j/j!\,y^j`, ``Q`` the sum. The likelihood is

.. math::

    \log L = (k-1) \sum \log gap - x \log (k-1)! + \log (r)_{kx} - r \log(1 + T/\alpha)
             - k x \log(\alpha + T) + \log \frac{(b)_n}{(a + b)_n} + \log Q + \log(1 + e^u),

    u = \log \frac{a}{b + n - 1} + m \log \frac{\alpha + T}{\alpha + t_x} - \log Q

with ``n = x``, or ``n = x + 1`` if modified. P(alive) is :math:`1/(1 + e^u)`; no purchase in ``H``
by one alive is ``Q`` at ``T + H``, :math:`e^{-w}`. Expected purchases are exact: over the phases,
the rate and ``p``, see `app.scoring.purchases.phases`. (BTYDplus instead rescales the formula for
``k = 1`` by the customers who happen to be in the call.)

``k`` is found among `PHASES`: the regularity of customers with two gaps (`wheat_morrison`) says
where to start, and the likelihood climbs from there, one up or down, as long as it rises. It has
one peak in ``k`` as a rule, so this is the best of all at the cost of some three fits. 16 phases
are gaps to within a quarter of their mean; what is expected costs as much as their square.

References
----------
Platzer and Reutterer (2016), Ticking Away the Moments: Timing Regularity Helps to Better Predict
Customer Activity, Marketing Science 35(5), 779-799.
Reutterer, Platzer and Schroeder (2021), Leveraging Purchase Regularity for Predicting Customer
Behavior the Easy Way, International Journal of Research in Marketing 38(1), 194-215.
Wheat and Morrison (1990), Estimating Purchase Regularity with Two Interpurchase Times, Journal of
Marketing Research 27(1), 87-93.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.histories.collapse import Histories, collapse
from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray
from app.scoring.purchases.cnbd import CnbdModel
from app.scoring.purchases.erlang_likelihood import ErlangBetaGeometric
from app.scoring.purchases.likelihood_fit import Recipe, Sample, fallback, fit_rows

PHASES: Final[tuple[int, ...]] = (*range(1, 9), 10, 12, 14, 16)


@dataclass(frozen=True, kw_only=True)
class Model(CnbdModel):
    """A fitted MBG/CNBD-k or BG/CNBD-k."""


def wheat_morrison(share: ArrayLike) -> float:
    """Return the regularity ``k`` of Erlang gaps from pairs of successive gaps.

    Parameters
    ----------
    share : array_like
        For each customer, the first of two gaps as a share of their sum, in (0, 1), shape (n,).

    Returns
    -------
    float
        1 is as at random, more is more regular; NaN with fewer than two customers.

    Raises
    ------
    ValueError
        If a share is negative or not finite.

    References
    ----------
    Wheat and Morrison (1990): a share is Beta(k, k).
    """
    shares = validation.non_negative("share", share)
    # The mean is known to be one half, whichever gap is called the first.
    return _regularity(float(np.mean((shares - 0.5) ** 2)) if shares.size > 1 else math.nan)


def _regularity(variance: float) -> float:
    return (1 - 4 * variance) / (8 * max(variance, 1e-9))


def fit(
    x: ArrayLike,
    t_x: ArrayLike,
    T: ArrayLike,
    *,
    sum_log_gaps: ArrayLike,
    k: int | None = None,
    modified: bool = True,
    weights: ArrayLike | None = None,
) -> Model:
    """Fit by maximum likelihood.

    Parameters
    ----------
    x : array_like
        Repeat purchases, whole numbers, shape (n,).
    t_x : array_like
        Time of the last purchase since the first, 0 where ``x`` is 0, shape (n,).
    T : array_like
        Time observed since the first purchase, in the same unit, shape (n,).
    sum_log_gaps : array_like
        Sum of the logarithms of the gaps between purchases in that unit, 0 where ``x`` is 0,
        shape (n,).
    k : int, optional
        Phases of a gap, at least 1; found as the module says by default.
    modified : bool
        MBG if true, BG if not.
    weights : array_like, optional
        How many customers each row stands for, shape (n,).

    Returns
    -------
    Model
        Always, with a status that says how far to trust it.

    Raises
    ------
    ValueError
        If shapes do not fit, a history is not possible, or ``k`` is not a whole number above 0.
    """
    gaps = validation.as_float("sum_log_gaps", sum_log_gaps)
    sample = Sample.of(x, t_x, T, weights)
    if gaps.shape != np.shape(x) or not np.isfinite(gaps).all():
        message = "sum_log_gaps must be finite numbers, one for each customer"
        raise ValueError(message)
    if k is not None and (k < 1 or k != math.floor(k)):
        message = "k must be a whole number of at least 1"
        raise ValueError(message)
    if weights is not None:
        gaps = gaps[np.asarray(weights) > 0]
    weight = np.ones(gaps.size) if sample.weights is None else sample.weights
    if sample.thin:
        model = fallback(Model, _recipe(int(k or 1), modified=modified), sample)
        return _with_gaps(model, sample, gaps, weight)
    rows = collapse(sample.x, sample.t_x, sample.T, sample.weights)
    tried: dict[int, Model] = {}

    def at(phases: int) -> Model:
        if phases not in tried:
            longest = float(sample.T.max())
            # The gaps are a factor of the likelihood, so that they need not be kept by row.
            model = fit_rows(
                Model, _recipe(phases, modified=modified), rows, longest=longest, n=sample.n
            )
            tried[phases] = _with_gaps(model, sample, gaps, weight)
        return tried[phases]

    if k is not None:
        return at(int(k))
    return at(_climb(lambda phases: at(phases).log_likelihood, _start(sample, gaps, weight)))


def _start(sample: Sample, gaps: FloatArray, weight: FloatArray) -> int:
    """Return the rounded regularity of the customers with two gaps."""
    two = sample.x == 2
    count = float(weight[two].sum())
    if not count:
        return 1
    # Two gaps with product e^g and sum t are as far from half of t as the quadratic formula says.
    square = 0.25 - np.exp(gaps[two] - 2 * np.log(sample.t_x[two]))
    variance = float(weight[two] @ np.clip(square, 0, 0.25)) / count
    return min(PHASES, key=lambda k: abs(k - _regularity(variance)))


def _climb(value: Callable[[int], float], k: int) -> int:
    """Return where ``value`` is highest among its neighbours."""
    at = PHASES.index(k)
    for step in (1, -1):
        while 0 <= at + step < len(PHASES) and value(PHASES[at + step]) > value(PHASES[at]):
            at += step
    return PHASES[at]


def _with_gaps(model: Model, sample: Sample, gaps: FloatArray, weight: FloatArray) -> Model:
    """Return the model with the factor of the gaps in its likelihood."""
    times = float(weight @ sample.x)
    factor = (model.k - 1) * float(weight @ gaps) - times * math.lgamma(model.k)
    return replace(model, log_likelihood=model.log_likelihood + factor)


def _recipe(k: int, *, modified: bool) -> Recipe:
    def likelihood(rows: Histories) -> ErlangBetaGeometric:
        return ErlangBetaGeometric(rows, k, int(modified))

    return Recipe(
        likelihood=likelihood,
        start=lambda rate: [0.0, -math.log(k * rate), math.log(0.5), math.log(2.0)],
        prior=lambda rate: {"r": 0.5, "alpha": 0.5 / (k * rate), "a": 0.9, "b": 1.6},
        bound=np.array([10.0, 30.0, 10.0, 10.0]),
        fields={"k": k, "modified": modified},
        powers=k,
    )
