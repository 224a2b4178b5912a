r"""Purchases, age and silence as reasons, when they act together.

Let ``f(x, T, q)`` be the log-odds of a customer, ``q`` the share of the age that was silent, and
``x0, T0, q0`` the reference. The *effect* of a cause is what is lost when it alone is set to the
reference, all else the customer's own: ``f(x, T, q) - f(x0, T, q)`` for purchases. The reasons add
up to ``f(x, T, q) - f(x0, T0, q0)``, and each is to have the sign of its effect: then taking away
the cause of whatever raises the risk lowers it, the largest reason included.

Where ``f`` rises with ``T`` and with ``q`` at every ``x``, such reasons exist. Were no effect
positive, and the sum nevertheless, then ``T <= T0`` and ``q <= q0``, so that
``f(x, T, q) <= f(x0, T, q) <= f(x0, T0, q0)``: the sum is not positive. The same holds with all
signs turned. (Where there is no repeat purchase ``f`` does not depend on ``q``, and nothing is
silence; effects of exactly 0 go with either sign.) The MBG/NBD, the BG/NBD and the NBD rise so:
at a larger ``T`` and equal ``q`` the rate is lower, and the silence says more. So do the features
of `app.scoring.churn.design` with weights of at least 0.

Of all such reasons those closest to the mean over every order of replacement are taken
(Shapley's): parts of the wrong sign become 0, and the rest bears the difference. With a process
that does not rise so (the Pareto/NBD and the CNBD-k in places) a sum may have no effect of its
sign: whoever buys at equal gaps is less likely to buy right after a purchase, and at the very next
day. It is then of the three *together*, a reason of its own: taking all of them away is what takes
it away.

References
----------
Shapley (1953), A value for n-person games, Annals of Mathematics Studies 28, 307-317.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, TypeAlias

import numpy as np

from app.scoring.histories import distinct
from app.scoring.numerics import validation
from app.scoring.numerics.array_types import BoolArray, FloatArray
from app.scoring.numerics.blocks import blocks

_TINY = float(np.finfo(float).tiny)
Function: TypeAlias = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
Corners: TypeAlias = dict[tuple[bool, ...], FloatArray]
REFERENCE: Final = (False, False, False)
MIXED: Final = tuple(side for side in product((False, True), repeat=3) if side != REFERENCE)

_UNKNOWN_SILENCE = 0.5  # of the age of a reference that never bought again


@dataclass(frozen=True, eq=False)
class Reasons:
    """Parts of log-odds: ``base`` and all ``parts`` add up to ``total``, up to rounding.

    Attributes
    ----------
    base : float
        The log-odds of the reference customer.
    parts : dict
        By cause, in the order of `churn_risk.CAUSES`, what the customer adds by it, each of
        shape (n,).
    total : FloatArray
        The log-odds of the customers, shape (n,).
    """

    base: float
    parts: dict[str, FloatArray]
    total: FloatArray


def silent_share(reference: tuple[float, float, float]) -> float:
    """Return the share of the age, in [0, 1], that silence is compared with.

    Parameters
    ----------
    reference : tuple of float
        ``x, t_x, T``, in any unit of time.
    """
    x, t_x, T = reference
    return (T - t_x) / T if x > 0 else _UNKNOWN_SILENCE


class MixedHistories:
    """Histories between the customers' and the reference's.

    A history without a repeat purchase has no silence of its own: where ``x`` comes from the
    other side, the silence does too, or is half of the age where the reference has none.
    """

    def __init__(
        self,
        own: tuple[FloatArray, FloatArray, FloatArray],
        reference: tuple[float, float, float],
    ) -> None:
        self._own = validation.history(*own)
        x, t_x, T = self._own
        x0, t0, T0 = (float(number) for number in validation.history(*reference))
        self._reference = x0, t0, T0
        self._q0 = q0 = silent_share(self._reference)
        self._q = np.where(x > 0, (T - t_x) / np.maximum(T, _TINY), q0)

    def at(self, own: tuple[bool, ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return ``x, t_x, T`` with purchases, age and silence own or the reference's."""
        (x, t_x, T), (x0, t0, T0) = self._own, self._reference
        x_ = x if own[0] else np.full_like(x, x0)
        T_ = T if own[1] else np.full_like(T, T0)
        if own[1] and own[2]:
            exact, q = np.where(x > 0, t_x, T * (1 - self._q0)), None
        elif not own[1] and not own[2] and x0 > 0:
            exact, q = np.full_like(T, t0), None
        else:
            q = self._q if own[2] else np.full_like(T, self._q0)
            exact = T_ * (1 - q)
        # A repeat purchase needs some time, however little, between the first and the last.
        least = np.where(x_ > 0, _TINY, 0.0)
        T_ = np.maximum(T_, least)
        return x_, np.where(x_ > 0, np.clip(exact, least, T_), 0.0), T_


def shares(
    function: Function,
    own: tuple[FloatArray, FloatArray, FloatArray],
    reference: tuple[float, float, float],
    base: float,
) -> FloatArray:
    """Return what each of the three causes adds, and what they do together, shape (4, n).

    ``base`` is of the reference.
    """
    alike = distinct.histories(*own)
    if alike is None:
        return _shares(function, own, reference, base)
    x, t_x, T = (column[alike.rows] for column in own)
    return _shares(function, (x, t_x, T), reference, base)[:, alike.places]


def _shares(
    function: Function,
    own: tuple[FloatArray, FloatArray, FloatArray],
    reference: tuple[float, float, float],
    base: float,
) -> FloatArray:
    result = np.empty((4, own[0].size))
    shared = _without_silence(function, own, reference)
    others = [side for side in MIXED if side not in shared]
    for part in blocks(own[0].size):
        x, t_x, T = (column[part] for column in own)
        found = _at(function, MixedHistories((x, t_x, T), reference), others)
        corners = {**found, **{side: column[part] for side, column in shared.items()}}
        result[:, part] = _split({side: corners[side] for side in MIXED}, base)
    return result


def _without_silence(
    function: Function,
    own: tuple[FloatArray, FloatArray, FloatArray],
    reference: tuple[float, float, float],
) -> Corners:
    """Return the corners whose silence is the reference's, if they are few: of ``x`` and ``T``."""
    x, t_x, T = own
    alike = distinct.pairs(x, T)
    if alike is None:
        return {}
    x, t_x, T = x[alike.rows], t_x[alike.rows], T[alike.rows]
    sides = [side for side in MIXED if not side[2]]
    found = _at(function, MixedHistories((x, t_x, T), reference), sides)
    return {side: column[alike.places] for side, column in found.items()}


def _at(function: Function, mixed: MixedHistories, sides: Sequence[tuple[bool, ...]]) -> Corners:
    """Return the function at some corners, from one call: of few customers calls are the cost."""
    x, t_x, T = (np.stack(columns) for columns in zip(*map(mixed.at, sides), strict=True))
    return dict(zip(sides, function(x, t_x, T), strict=True))


def _split(corners: Corners, base: float) -> FloatArray:
    """Return what `shares` does, from the values with every subset of the causes replaced."""
    own = corners[True, True, True]
    corners[REFERENCE] = np.full(own.shape, base)
    mean = np.array([_shapley(corners, cause) for cause in range(3)])
    effect = np.array([own - corners[_switched((True,) * 3, cause)] for cause in range(3)])
    return _agreeing(mean, effect, own - base)


def _switched(side: tuple[bool, ...], cause: int) -> tuple[bool, ...]:
    return tuple(value != (i == cause) for i, value in enumerate(side))


def _shapley(corners: Corners, cause: int) -> FloatArray:
    """Return the mean step over the six orders of replacement."""
    weight = (1 / 3, 1 / 6, 1 / 3)  # by how many of the others have been replaced before
    steps = [
        weight[sum(side) - 1] * (value - corners[_switched(side, cause)])
        for side, value in corners.items()
        if side[cause]
    ]
    total: FloatArray = np.sum(steps, axis=0)
    return total


def _agreeing(mean: FloatArray, effect: FloatArray, total: FloatArray) -> FloatArray:
    """Return parts with the signs of the effects, the same sum, and else as the means.

    The fourth is what no effect supports.
    """
    raises, lowers = effect > 0, effect < 0
    parts = np.where(raises, np.maximum(mean, 0), np.where(lowers, np.minimum(mean, 0), 0.0))
    rest = total - parts.sum(axis=0)
    takers = np.where(rest > 0, raises, lowers)
    some: BoolArray = np.asarray(takers.any(axis=0))
    size = np.where(takers, np.abs(effect), 0.0)
    given = size / np.where(some, size.sum(axis=0), 1.0)
    parts = parts + np.where(some, rest * given, 0.0)
    return _without_takers(parts, total, some)


def _without_takers(parts: FloatArray, total: FloatArray, some: BoolArray) -> FloatArray:
    """Shrink parts whose sum is too large where nothing opposes them; add what is of no cause."""
    now = parts.sum(axis=0)
    shrinks = ~some & (now != 0) & (now * total >= 0)
    parts = parts * np.where(shrinks, total / np.where(shrinks, now, 1.0), 1.0)
    remainder = np.where(some | shrinks, 0.0, total - now)
    return np.concatenate((parts, remainder[None]))
