"""The hiatus rule: who has been silent for long has left.

One cut on the days since the last purchase. It knows nothing else, and on many data sets it ranks
customers as well as any model does, which is why it stands beside each of them.

`fit` turns the cut into predictions, to be judged as those of a model are: what the customers on
either side of it did in an earlier window. `base_rate` is the same without a cut, one prediction
for everybody.

References
----------
Wuebben and von Wangenheim (2008), Instant Customer Base Analysis: Managerial Heuristics Often
"Get It Right", Journal of Marketing 72(3), 82-93.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray


@dataclass(frozen=True)
class Rule:
    """What to expect of customers silent for at most ``cut``, and of those silent for longer.

    Attributes
    ----------
    cut : float
        Infinite for the base rate, -1 where everybody counts as silent.
    window : float
        The time in which the customers were watched.
    returned : tuple of float
        Share of the recent and of the silent who bought in it, each shrunk by half a customer to
        either side, so that no prediction is certain.
    purchases : tuple of float
        Mean purchases of the recent and of the silent in it.
    """

    cut: float
    window: float
    returned: tuple[float, float]
    purchases: tuple[float, float]

    def p_no_purchase(self, silence: ArrayLike, *, horizon: float) -> FloatArray:
        """Return the probability of no purchase, carried to another horizon at a constant rate.

        Parameters
        ----------
        silence : array_like
            At least 0, of any shape.
        horizon : float
            Positive, in the unit of the window.

        Raises
        ------
        ValueError
            If a silence is negative or not finite, or the horizon not positive.
        """
        ahead = validation.positive_number("horizon", horizon) / self.window
        recent, silent = (math.exp(ahead * math.log1p(-share)) for share in self.returned)
        return np.where(validation.non_negative("silence", silence) <= self.cut, recent, silent)

    def expected_purchases(self, silence: ArrayLike, *, horizon: float) -> FloatArray:
        """Return the expected purchases; parameters and errors as for `p_no_purchase`."""
        ahead = validation.positive_number("horizon", horizon) / self.window
        recent, silent = (mean * ahead for mean in self.purchases)
        return np.where(validation.non_negative("silence", silence) <= self.cut, recent, silent)


def fit(silence: ArrayLike, purchases: ArrayLike, *, window: float) -> Rule:
    """Learn the best cut, and what customers on either side of it do.

    Parameters
    ----------
    silence : array_like
        At the start of the window, at least 0, shape (n,).
    purchases : array_like
        Made in the window, whole numbers, shape (n,).
    window : float
        Its length, positive.

    Raises
    ------
    ValueError
        If shapes differ or are not one-dimensional, nobody is given, or a value is out of range.
    """
    made = validation.counts("purchases", purchases)
    return _rule(best_cut(silence, made > 0), silence, made, window)


def base_rate(purchases: ArrayLike, *, window: float) -> Rule:
    """Learn what customers do on average; parameters and errors as for `fit`."""
    made = validation.counts("purchases", purchases)
    if made.ndim != 1 or not made.size:
        message = "purchases must be one-dimensional and not empty"
        raise ValueError(message)
    return _rule(math.inf, np.zeros(made.size), made, window)


def _rule(cut: float, silence: ArrayLike, made: FloatArray, window: float) -> Rule:
    length = validation.positive_number("window", window)
    recent = np.asarray(silence) <= cut
    sides = made[recent], made[~recent]
    shares = [(np.count_nonzero(side) + 0.5) / (side.size + 1) for side in sides]
    means = [float(side.sum()) / max(side.size, 1) for side in sides]
    return Rule(cut, length, (shares[0], shares[1]), (means[0], means[1]))


def score(t_x: ArrayLike, T: ArrayLike) -> FloatArray:
    """Return the silence ``T - t_x`` as a churn score: higher means more likely gone.

    Raises
    ------
    ValueError
        Unless ``0 <= t_x <= T`` and both are finite.
    """
    last, age = validation.broadcast(
        t_x=validation.non_negative("t_x", t_x), T=validation.non_negative("T", T)
    )
    if np.any(last > age):
        message = "t_x must not exceed T"
        raise ValueError(message)
    return age - last


def best_cut(silence: ArrayLike, returned: ArrayLike) -> float:
    """Return the cut with the best accuracy: silent for longer means not expected back.

    Parameters
    ----------
    silence : array_like
        Of each customer, at least 0, shape (n,).
    returned : array_like of bool
        Whether the customer bought again afterwards, shape (n,).

    Returns
    -------
    float
        An observed silence, the least where several are equally good, or -1 where it is best
        to expect nobody back.

    Raises
    ------
    ValueError
        If shapes differ or are not one-dimensional, nobody is given, or a value is out of range.
    """
    quiet, back = validation.non_negative("silence", silence), np.asarray(returned)
    if quiet.ndim != 1 or quiet.shape != back.shape or not quiet.size:
        message = "silence and returned must be one-dimensional, of one length, and not empty"
        raise ValueError(message)
    if not np.all((back == 0) | (back == 1)):
        message = "returned must be true or false"
        raise ValueError(message)
    order = np.argsort(quiet, kind="stable")
    quiet = quiet[order]
    # Raising the cut past a customer wins one who came back and loses one who did not.
    hits = np.cumsum(np.where(back[order].astype(bool), 1, -1))
    last_of_equals = np.flatnonzero(np.append(quiet[1:] != quiet[:-1], True))
    best = last_of_equals[np.argmax(hits[last_of_equals])]
    return float(quiet[best]) if hits[best] > 0 else -1.0
