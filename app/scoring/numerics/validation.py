"""The one place where inputs are checked; a failure is a ``ValueError`` that names its cause."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring.numerics.array_types import FloatArray


def as_float(name: str, values: ArrayLike) -> FloatArray:
    """Return ``values`` as a float64 array of any shape.

    Raises
    ------
    ValueError
        If the values are not real numbers, or ragged.
    """
    # A numpy scalar behaves as an array of no dimension, many times faster.
    if isinstance(values, np.float64):
        return values  # type: ignore[return-value]
    if isinstance(values, float | int):
        return np.float64(values)  # type: ignore[return-value]
    if isinstance(values, np.ndarray) and values.dtype == np.float64:
        return values
    try:
        array = np.asarray(values)
    except ValueError:  # ragged
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        message = f"{name} must be an array of real numbers"
        raise ValueError(message)
    result: FloatArray = array.astype(np.float64)[()]
    return result


def real(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return ``values`` as an array of real numbers of their own kind, itself if it is one.

    Raises
    ------
    ValueError
        As for `as_float`.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
        return values
    return np.asarray(as_float(name, values))


def non_negative(name: str, values: ArrayLike) -> FloatArray:
    """Return ``values`` as floats, all finite and at least zero.

    Raises
    ------
    ValueError
        If a value is negative, NaN or infinite.
    """
    array = as_float(name, values)
    if isinstance(array, float):
        valid = 0 <= array < math.inf
    else:
        valid = bool(((array >= 0) & (array < math.inf)).all())
    if not valid:
        message = f"{name} must be finite and not negative"
        raise ValueError(message)
    return array


def finite(name: str, values: ArrayLike) -> FloatArray:
    """Return ``values`` as floats, all finite.

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    """
    array = as_float(name, values)
    if not np.isfinite(array).all():
        message = f"{name} must be finite"
        raise ValueError(message)
    return array


def counts(name: str, values: ArrayLike) -> FloatArray:
    """Return ``values`` as floats that are whole and at least zero.

    Raises
    ------
    ValueError
        If a value is negative, not finite or not whole.
    """
    array = non_negative(name, values)
    if isinstance(array, float):
        valid = array == math.floor(array)
    else:
        valid = bool((array == np.floor(array)).all())
    if not valid:
        message = f"{name} must be whole numbers"
        raise ValueError(message)
    return array


def broadcast(**arrays: FloatArray) -> tuple[FloatArray, ...]:
    """Return the arrays in their common shape (read-only views where repeated).

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    values = tuple(arrays.values())
    shape = values[0].shape
    if all(value.shape == shape for value in values):
        return values
    try:
        return tuple(np.broadcast_arrays(*values))
    except ValueError:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in arrays.items())
        message = f"shapes do not fit together: {shapes}"
        raise ValueError(message) from None


def history(
    x: ArrayLike, t_x: ArrayLike, T: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return purchase histories as floats of one shape.

    Parameters
    ----------
    x, t_x, T : array_like
        Repeat purchases, time of the last one since the first purchase, time observed.

    Raises
    ------
    ValueError
        Unless every row has ``x`` whole, ``0 <= t_x <= T < inf``, and ``t_x > 0`` exactly
        when ``x > 0``.
    """
    x_, t_, T_ = as_float("x", x), as_float("t_x", t_x), as_float("T", T)
    if isinstance(x_, float) and isinstance(t_, float) and isinstance(T_, float):
        # a dozen numpy calls would cost more than the prediction itself
        valid = 0 <= t_ <= T_ < math.inf and 0 <= x_ < math.inf and (x_ > 0) == (t_ > 0)
        valid = valid and x_ == math.floor(x_)
    else:
        x_, t_, T_ = broadcast(x=x_, t_x=t_, T=T_)
        # NaN fails every comparison, and t_x < inf follows from t_x <= T.
        checks = (x_ >= 0) & (x_ == np.floor(x_)) & (t_ >= 0) & (t_ <= T_)
        checks &= (x_ < math.inf) & (math.inf > T_) & ((x_ > 0) == (t_ > 0))
        valid = bool(checks.all())
    if not valid:
        _explain(x_, t_, T_)
    return x_, t_, T_


def history_and_horizon(
    x: ArrayLike, t_x: ArrayLike, T: ArrayLike, horizon: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return checked arrays; a horizon that is an array has their shape."""
    x_, t_, T_ = history(x, t_x, T)
    ahead = non_negative("horizon", horizon)
    if ahead.ndim:
        x_, t_, T_, ahead = broadcast(x=x_, t_x=t_, T=T_, horizon=ahead)
    return x_, t_, T_, ahead


def discount_rate(annual_discount: float, periods_per_year: float) -> float:
    """Return the continuous rate of a unit of time."""
    rate = math.log1p(non_negative_number("annual_discount", annual_discount))
    return rate / positive_number("periods_per_year", periods_per_year)


def _explain(x: FloatArray, t_x: FloatArray, T: FloatArray) -> None:
    """Raise the ``ValueError`` of the first rule that a row breaks."""
    counts("x", x)
    non_negative("t_x", t_x)
    non_negative("T", T)
    if np.any(t_x > T):
        message = "t_x must not exceed T"
    elif np.any((x == 0) & (t_x != 0)):
        message = "t_x must be 0 where x is 0"
    else:
        message = "t_x must be positive where x is positive"
    raise ValueError(message)


def sample(
    x: ArrayLike, *others: tuple[str, FloatArray], weights: ArrayLike | None
) -> FloatArray | None:
    """Check that a sample to fit is one-dimensional and return its weights as floats.

    Raises
    ------
    ValueError
        If an array is not one-dimensional, or weights are negative, not finite, or of
        another length.
    """
    shape = np.shape(x)
    if len(shape) != 1 or any(value.shape != shape for _, value in others):
        message = "fit takes one-dimensional arrays of one length"
        raise ValueError(message)
    if weights is None:
        return None
    checked = non_negative("weights", weights)
    if checked.shape != shape:
        message = f"weights have shape {checked.shape}, the customers {shape}"
        raise ValueError(message)
    return checked


def positive_number(name: str, value: float) -> float:
    """Return ``value`` as a float, finite and greater than zero.

    Raises
    ------
    ValueError
        If it is not.
    """
    number = as_float(name, value)
    if not isinstance(number, float) or not 0 < number < math.inf:
        message = f"{name} must be a positive finite number"
        raise ValueError(message)
    return float(number)


def non_negative_number(name: str, value: float) -> float:
    """Return ``value`` as a float, finite and at least zero.

    Raises
    ------
    ValueError
        If it is not.
    """
    number = as_float(name, value)
    if not isinstance(number, float) or not 0 <= number < math.inf:
        message = f"{name} must be a finite number, not negative"
        raise ValueError(message)
    return float(number)


def outcomes(name: str, values: ArrayLike) -> FloatArray:
    """Return ``values`` as a one-dimensional array of 0 and 1.

    Raises
    ------
    ValueError
        If a value is neither, or the shape another.
    """
    array = as_float(name, values)
    if np.ndim(array) != 1 or not bool(((array == 0) | (array == 1)).all()):
        message = f"{name} must be one-dimensional, and each value 0 or 1"
        raise ValueError(message)
    return array


def predictions(p: ArrayLike, y: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return probabilities and outcomes, at least one, as one-dimensional arrays.

    Raises
    ------
    ValueError
        If nobody is given, shapes differ, a ``p`` is not in [0, 1], or a ``y`` not 0 or 1.
    """
    p_, y_ = as_float("p", p), outcomes("y", y)
    if np.shape(p_) != y_.shape or not y_.size or not bool(((p_ >= 0) & (p_ <= 1)).all()):
        message = "p must be probabilities, one for each y, and not empty"
        raise ValueError(message)
    return p_, y_
