"""Equal histories are counted once: a million customers in whole days are some 100,000 rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.scoring.numerics.array_types import FloatArray, IntArray
from app.scoring.numerics.special import digamma, log_rising, trigamma

_DOT_LIMIT = 1 << 12


@dataclass(frozen=True)
class Histories:
    """Purchase histories with their weights, all of shape (n,)."""

    x: FloatArray
    t_x: FloatArray
    T: FloatArray
    weight: FloatArray

    def sample(self, size: int) -> Histories:
        """Return about ``size`` customers at even steps through the weights.

        No random numbers: from sorted rows this is a stratified sample that does not depend
        on the order in which the customers came.
        """
        reach = np.cumsum(self.weight)
        picks = np.searchsorted(reach, (np.arange(size) + 0.5) * (reach[-1] / size))
        rows, weight = np.unique(picks, return_counts=True)
        return Histories(self.x[rows], self.t_x[rows], self.T[rows], weight.astype(float))


def collapse(
    x: FloatArray, t_x: FloatArray, T: FloatArray, weights: FloatArray | None
) -> Histories:
    """Return the distinct histories, sorted, with times in units of the longest ``T``.

    Times on a common lattice (whole days, whole days / 7, hundredths of a week) pack into one
    integer a row, and one sort finds the equal rows. Other rows are returned as they are.
    """
    longest = float(T.max())
    plain = Histories(
        x, t_x / longest, T / longest, np.ones(x.size) if weights is None else weights
    )
    step = _lattice_step(t_x, T)
    if step is None:
        return plain
    spans = int(np.rint(longest / step)) + 1
    if (float(x.max()) + 1) * spans * spans >= 2.0**62:
        return plain
    key: IntArray = x.astype(np.int64)
    for time in (t_x, T):
        key *= spans
        key += time.astype(np.int64) if step == 1 else np.rint(time / step).astype(np.int64)
    rows, weight = _count(key, weights)
    rows, T_ = np.divmod(rows, spans)
    x_, t_ = np.divmod(rows, spans)
    unit = step / longest
    return Histories(x_.astype(float), t_ * unit, T_ * unit, weight)


def _count(key: IntArray, weights: FloatArray | None) -> tuple[IntArray, FloatArray]:
    """Return the distinct keys, sorted, and the weight of each."""
    if weights is not None:
        distinct, group = np.unique(key, return_inverse=True)
        return distinct, np.bincount(group, weights=weights).astype(float)
    key.sort()
    first = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
    return key[first], np.diff(first, append=key.size).astype(float)


def _lattice_step(t_x: FloatArray, T: FloatArray) -> float | None:
    """Return a step of which every time is a multiple (within 1e-9 of a step), or None."""
    stride = max(1, T.size // 1000)
    some = np.unique(np.concatenate((t_x[::stride], T[::stride], [0.0])))
    if np.array_equal(some, np.floor(some)):
        step = 1.0
    else:
        gaps = np.diff(some)
        longest = float(T.max())
        step = float(gaps[gaps > 1e-9 * longest].min(initial=longest))
        step = longest / float(np.rint(longest / step))  # sheds the rounding of a difference
    for time in (t_x, T):
        if step == 1.0:
            fits = np.array_equal(time, np.floor(time))
        else:
            scaled = time / step
            fits = bool(np.abs(scaled - np.rint(scaled)).max() < 1e-9)
        if not fits:
            return None
    return step


class RisingSum:
    """The sum of ``weight * log (c)_n`` over customers, as a function of ``c``.

    As ``log (c)_n = sum_{i<n} log(c + i)``, the sum needs only how many customers have ``n > i``,
    and one dot product a derivative. Beyond a length that nobody reaches, gamma functions.
    """

    def __init__(self, n: FloatArray, weight: FloatArray) -> None:
        short = np.minimum(n, _DOT_LIMIT).astype(np.intp)
        at = np.bincount(short, weights=weight)
        self._more = np.cumsum(at[::-1])[::-1][1:].copy()  # weight with n > i
        self._i = np.arange(self._more.size, dtype=float)
        beyond = n > _DOT_LIMIT
        self._rest = n[beyond] - _DOT_LIMIT
        self._rest_weight = weight[beyond]

    def __call__(self, c: float) -> tuple[float, float, float]:
        """Return the sum and its first two derivatives at ``c > 0``."""
        term = c + self._i
        inverse = 1 / term
        value = float(self._more @ np.log(term))
        first = float(self._more @ inverse)
        second = -float(self._more @ (inverse * inverse))
        if self._rest.size:
            base = np.asarray(c + _DOT_LIMIT)
            value += float(self._rest_weight @ log_rising(base, self._rest))
            first += float(self._rest_weight @ (digamma(base + self._rest) - digamma(base)))
            second += float(self._rest_weight @ (trigamma(base + self._rest) - trigamma(base)))
        return value, first, second
