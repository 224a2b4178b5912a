"""Values of a kernel that few customers ask for again and again, from what is remembered of it.

At a given number of purchases a kernel is analytic in the logarithm of the age ``alpha + T``. Over
an octave of ages a polynomial through its Chebyshev nodes gives it to rounding, whoever asks: a
score card takes one of these in place of the integrals that it is made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeAlias

import numpy as np

from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.blocks import blocks
from app.scoring.purchases.alive import nodes_needed

Kernel: TypeAlias = Callable[[FloatArray, FloatArray], FloatArray]

MOST_ROWS: Final = 256
"""Rows at most that are looked up one by one."""
LEARNT_AT_ONCE: Final = 4
"""New octaves that one question may learn: each costs as much as some rows, and others wait."""
KEPT = 30_000
"""Octaves at most that are remembered; then all are forgotten."""
_POINTS: Final = nodes_needed(math.log(2.0) / 2, 38.0)
_ANGLES: Final = math.pi * (np.arange(_POINTS) + 0.5) / _POINTS
_PLACES: Final = np.arange(_POINTS)
_NODES: Final = (np.cos(_ANGLES) + 1) / 2
_BASIS: Final = np.cos(_PLACES[:, None] * _ANGLES) * np.where(_PLACES, 2, 1)[:, None] / _POINTS

_Octave: TypeAlias = tuple[Hashable, float, int]
_series: dict[_Octave, FloatArray] = {}
_asked_again: ContextVar[bool] = ContextVar("asked_again", default=False)


@contextmanager
def asked_again() -> Iterator[None]:
    """Say that what few rows ask for within will be asked for again, and is to be remembered.

    What a fit or a comparison evaluates once is not: there, each row is evaluated for itself.
    """
    token = _asked_again.set(True)
    try:
        yield
    finally:
        _asked_again.reset(token)


def pays(rows: int) -> bool:
    """Say whether so many rows are to be looked up in what is remembered."""
    return rows <= MOST_ROWS and _asked_again.get()


def row_by_row(kernel: Kernel, x: FloatArray, age: FloatArray) -> FloatArray:
    """Return ``kernel`` of each row, evaluated for it alone.

    Parameters
    ----------
    kernel : callable
        ``(x, age) -> values`` with ``x`` ascending of shape (g,), ``age`` and values (g, m).
    x, age : FloatArray
        Shape (n,).
    """
    order = np.argsort(x, kind="stable")
    result = np.empty(x.size)
    for part in blocks(x.size):  # a kernel holds dozens of numbers for each row
        some = order[part]
        result[some] = kernel(x[some], age[some, None])[:, 0]
    return result


def on_rows(name: Hashable, kernel: Kernel, x: FloatArray, age: FloatArray) -> FloatArray:
    """Return the same, to rounding, from what is remembered of the kernel.

    Parameters
    ----------
    name : hashable
        What the kernel is known by: another one for other parameters.
    kernel, x, age
        As for `row_by_row`; few rows.
    """
    log_age = np.log2(age)
    octave = np.floor(log_age)
    octaves = [(name, *each) for each in zip(x.tolist(), octave.astype(int).tolist(), strict=True)]
    _learn(kernel, octaves)
    found = [_series.get(each) for each in octaves]
    known = [series for series in found if series is not None]
    result = np.empty(x.size)
    held = np.array([series is not None for series in found])
    if known:
        z = 2 * (log_age - octave)[held] - 1
        terms = np.cos(np.arccos(np.clip(z, -1, 1))[:, None] * _PLACES)
        result[held] = (terms * np.array(known)).sum(axis=1)
    if len(known) < x.size:
        result[~held] = row_by_row(kernel, x[~held], age[~held])
    return result


def count() -> int:
    """Return how many octaves are remembered."""
    return len(_series)


def forget() -> None:
    """Forget all octaves."""
    _series.clear()


def _learn(kernel: Kernel, octaves: list[_Octave]) -> None:
    """Remember some of the octaves that are new."""
    new = [each for each in dict.fromkeys(octaves) if each not in _series][:LEARNT_AT_ONCE]
    if not new:
        return
    if len(_series) + len(new) > KEPT:
        _series.clear()
    new.sort(key=lambda each: each[1])
    x = np.array([each[1] for each in new])
    age = np.exp2(np.array([each[2] for each in new])[:, None] + _NODES)
    values = kernel(x, age) @ _BASIS.T
    _series.update(zip(new, values, strict=True))
