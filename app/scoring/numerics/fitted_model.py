"""What every fitted model has in common: parameters by name, their uncertainty, a status."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray, Status


@dataclass(frozen=True, kw_only=True)
class FittedModel:
    """A model's parameters and what is known about them. Equal if parameters and status are.

    Attributes
    ----------
    log_likelihood : float
        Of the data fitted; NaN for a model made by `from_params`.
    covariance : FloatArray
        Of the parameters in the order of ``names``, shape (k, k), from the inverse Hessian of
        the log-parameters; NaN where it is not known.
    status : str
        ``ok``; ``weakly_identified``: the data barely determine some parameter;
        ``no_dropout_identified``: dropout cannot be told from none at all; ``fallback``: too
        little data, the parameters are a prior.
    n : float
        Customers fitted: rows, or the sum of their weights.
    """

    names: ClassVar[tuple[str, ...]] = ()

    log_likelihood: float = field(default=math.nan, compare=False)
    covariance: FloatArray = field(compare=False, repr=False)
    status: Status = "ok"
    n: float = field(default=0, compare=False)

    @classmethod
    def from_params(cls, **params: float) -> Self:
        """Build a model without fitting it.

        Parameters
        ----------
        **params : float
            Every parameter by name, positive and finite.

        Raises
        ------
        ValueError
            If a parameter is missing, unknown, or not a positive finite number.
        """
        checked = cls.checked(params)
        return cls.of(checked, covariance=np.full((len(checked),) * 2, math.nan))

    @classmethod
    def checked(cls, params: dict[str, float]) -> dict[str, float]:
        """Return the parameters, each named and a positive finite number, or raise."""
        if set(params) != set(cls.names):
            message = f"expected the parameters {', '.join(cls.names)}, got {', '.join(params)}"
            raise ValueError(message)
        return {name: validation.positive_number(name, params[name]) for name in cls.names}

    @classmethod
    def of(cls, params: dict[str, float], **rest: object) -> Self:
        """Build a model of parameters that need no check, with whatever is known about them."""
        return cls(**params, **rest)  # type: ignore[arg-type]

    @property
    def params(self) -> dict[str, float]:
        """The parameters by name."""
        return {name: getattr(self, name) for name in self.names}

    @property
    def standard_errors(self) -> dict[str, float]:
        """The standard error of each parameter, by name; NaN where it is not known."""
        return dict(zip(self.names, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))


def covariance_of(
    params: FloatArray, curvature: FloatArray, *, most: float
) -> tuple[FloatArray, bool]:
    """Return the covariance of parameters fitted on the log scale, and whether it is usable.

    Parameters
    ----------
    params : FloatArray
        The parameters, shape (k,).
    curvature : FloatArray
        Minus the Hessian of the log-likelihood in the log-parameters, shape (k, k).
    most : float
        The largest standard error of a log-parameter that still counts as identified.

    Returns
    -------
    covariance : FloatArray
        Shape (k, k); all NaN when the curvature is not positive definite.
    identified : bool
    """
    values, axes = np.linalg.eigh(curvature)
    if not values[0] > 1e-12 * values[-1]:
        return np.full_like(curvature, math.nan), False
    log_covariance = (axes / values) @ axes.T
    identified = bool(np.sqrt(np.diag(log_covariance)).max() <= most)
    return log_covariance * np.outer(params, params), identified
