"""The hiatus rule: who has been silent for long has left.

One cut on the days since the last purchase. It knows nothing else, and on many data sets it ranks
customers as well as any model does, which is why it stands beside each of them.

References
----------
Wuebben and von Wangenheim (2008), Instant Customer Base Analysis: Managerial Heuristics Often
"Get It Right", Journal of Marketing 72(3), 82-93.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from app.scoring import _validate
from app.scoring._typing import FloatArray


def score(t_x: ArrayLike, T: ArrayLike) -> FloatArray:
    """Return the silence ``T - t_x`` as a churn score: higher means more likely gone.

    Raises
    ------
    ValueError
        Unless ``0 <= t_x <= T`` and both are finite.
    """
    last, age = _validate.broadcast(
        t_x=_validate.non_negative("t_x", t_x), T=_validate.non_negative("T", T)
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
    quiet, back = _validate.non_negative("silence", silence), np.asarray(returned)
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
