"""Damped Newton ascent in a box, for likelihoods with an analytic gradient and Hessian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from app.scoring.numerics.array_types import BoolArray, FloatArray

Evaluation: TypeAlias = tuple[float, FloatArray, FloatArray]
Objective: TypeAlias = Callable[[FloatArray], Evaluation]

_GAIN = 1e-10  # stop when a further step promises less log-likelihood than this
_ROUNDING = 1e-15  # or less than this share of it
_TINY_STEP = 1e-6  # in log-parameters; the curvature is the same at both ends
_LONGEST_STEP = 2.0  # in log-parameters: a factor of about seven
_MAX_STEPS = 100
_HALVINGS = 30


@dataclass(frozen=True)
class Optimum:
    """Where an ascent ended.

    Attributes
    ----------
    theta : FloatArray
        The parameters, shape (k,).
    value : float
        The objective there.
    curvature : FloatArray
        Minus the Hessian there, shape (k, k).
    predicted_gain : float
        What one further step would add; next to nothing when converged.
    interior : bool
        Whether the ascent converged, away from every bound.
    """

    theta: FloatArray
    value: float
    curvature: FloatArray
    predicted_gain: float
    interior: bool


def maximise(
    objective: Objective,
    start: FloatArray,
    *,
    bound: FloatArray,
    steps: int = _MAX_STEPS,
    tries: int = _MAX_STEPS * _HALVINGS,
    enough: float = _GAIN,
) -> Optimum:
    """Climb from ``start`` inside ``|theta| <= bound``.

    The Newton decrement decides when to stop: it is the log-likelihood a step promises, so
    it means the same for ten customers and ten million, in hours and in years.

    Parameters
    ----------
    objective : callable
        ``theta -> (value, gradient, Hessian)``.
    start, bound : FloatArray
        Shape (k,).
    steps : int
        The largest number of steps; 0 only evaluates.
    tries : int
        How many points may be evaluated after the first, steps halved included. Where that
        ends an ascent early, the optimum is the best so far, and not ``interior``.
    enough : float
        The step that promises less is the last.

    Returns
    -------
    Optimum
    """
    theta = np.clip(start, -bound, bound)
    value, gradient, hessian = objective(theta)
    for _ in range(steps):
        step, gain = _newton_step(theta, gradient, hessian, bound)
        if gain < _GAIN and np.abs(step).max() < _TINY_STEP:
            # Taken, but not worth another evaluation.
            theta, value = np.clip(theta + step, -bound, bound), value + gain
            gradient = np.zeros_like(gradient)
            break
        before = value
        theta, (value, gradient, hessian), used = _search(
            objective, theta, step, bound, (value, gradient, hessian), min(tries, _HALVINGS)
        )
        tries -= used
        # Where a step no longer climbs, what it promised is no more than rounding.
        if gain < max(enough, _ROUNDING * abs(value)) or value <= before or tries < 1:
            break
    _, gain = _newton_step(theta, gradient, hessian, bound)
    interior = bool(gain < max(1e-6, 1e-12 * abs(value)) and np.all(np.abs(theta) < bound))
    return Optimum(theta, value, -hessian, gain, interior)


def _newton_step(
    theta: FloatArray, gradient: FloatArray, hessian: FloatArray, bound: FloatArray
) -> tuple[FloatArray, float]:
    """Return the step and the gain it promises, leaving out parameters pressed on a bound."""
    on_bound: BoolArray = np.abs(theta) >= bound
    fixed = on_bound & (theta * gradient >= 0)
    while True:
        step = np.zeros_like(theta)
        free = ~fixed
        if not free.any():
            return step, 0.0
        curvature, axes = np.linalg.eigh(-hessian[np.ix_(free, free)])
        # Where the surface is not concave, |curvature| still points uphill.
        size = np.abs(curvature)
        damped = np.maximum(size, 1e-13 * size.max() + 1e-300)
        step[free] = axes @ ((axes.T @ gradient[free]) / damped)
        outward = on_bound & (theta * step > 0)
        if not outward.any():
            break
        fixed |= outward
    gain = 0.5 * float(gradient @ step)
    return step * min(1.0, _LONGEST_STEP / float(np.abs(step).max(initial=1e-300))), gain


def _search(
    objective: Objective,
    theta: FloatArray,
    step: FloatArray,
    bound: FloatArray,
    current: Evaluation,
    tries: int,
) -> tuple[FloatArray, Evaluation, int]:
    """Return the first point along the step, halved as often as needed, that is not lower.

    And its evaluation, and how many it took.

    A step ends at the first bound it meets: parameters that only matter together, as a ratio,
    would come apart if one were held back alone.
    """
    noise = 1e-14 * abs(current[0])
    room = np.where(step > 0, bound - theta, bound + theta)
    first = float(np.min(room[step != 0] / np.abs(step[step != 0]), initial=1.0))
    if first < 1:
        met = (step != 0) & (room <= first * np.abs(step))
        step = np.where(met, np.copysign(room, step), first * step)
    for used in range(1, tries + 1):
        trial = np.clip(theta + step, -bound, bound)
        found = objective(trial)
        if found[0] >= current[0] - noise and np.isfinite(found[2]).all():
            return trial, found, used
        step = step / 2
    return theta, current, tries
