"""Customers whose histories are alike, so that what follows from a history is computed once.

Many have bought once, and of the same age there are many; or all that counts is the number of
purchases and the age. Both are found without sorting, as long as they are whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from app.scoring.numerics.array_types import FloatArray, IntArray

LEAST: Final = 512  # customers; of fewer it costs more than it saves
_ROOM = 4  # pairs that there could be, for each customer
_WORTH = 0.9  # of the customers, at most, are to be left


@dataclass(frozen=True, eq=False)
class Distinct:
    """One of each that are alike.

    Attributes
    ----------
    rows : IntArray
        Where one of each stands, shape (m,).
    places : IntArray
        For each customer the place of the like one in ``rows``, shape (n,).
    """

    rows: IntArray
    places: IntArray


def pairs(x: FloatArray, T: FloatArray) -> Distinct | None:
    """Return who differs in purchases or age.

    Parameters
    ----------
    x, T : FloatArray
        Purchases and age, shape (n,).

    Returns
    -------
    Distinct or None
        None where that would not pay, or ages are not whole numbers.
    """
    if x.ndim != 1 or x.size < LEAST:
        return None
    width = float(T.max()) + 1
    room = (float(x.max()) + 1) * width
    if not room <= _ROOM * x.size or (np.floor(T) != T).any():
        return None
    key = (x * width + T).astype(np.int64)
    one_of = np.full(int(room), -1, np.int64)
    one_of[key] = np.arange(x.size)
    there = one_of >= 0
    number = np.cumsum(there) - 1
    return _if_fewer(one_of[there], number[key])


def histories(x: FloatArray, t_x: FloatArray, T: FloatArray) -> Distinct | None:
    """Return who differs; of those who purchased again, all do unless nobody has been silent.

    Parameters
    ----------
    x, t_x, T : FloatArray
        Histories, shape (n,).

    Returns
    -------
    Distinct or None
        As for `pairs`.
    """
    if x.ndim != 1 or x.size < LEAST:
        return None
    if np.array_equal(t_x, T):
        return pairs(x, T)
    again = x > 0
    once = np.flatnonzero(~again)
    alike = pairs(x[once], T[once])
    if alike is None:
        return None
    others = np.flatnonzero(again)
    places = np.empty(x.size, np.int64)
    places[others] = np.arange(others.size)
    places[once] = others.size + alike.places
    return _if_fewer(np.concatenate((others, once[alike.rows])), places)


def _if_fewer(rows: IntArray, places: IntArray) -> Distinct | None:
    return Distinct(rows, places) if rows.size <= _WORTH * places.size else None
