"""How the BG/NBD and the MBG/NBD are fitted."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.purchases.beta_geometric import BetaGeometricModel
from app.scoring.purchases.likelihood_fit import Recipe, fit
from app.scoring.purchases.poisson_likelihood import BetaGeometric

ModelT = TypeVar("ModelT", bound=BetaGeometricModel)


def fit_beta_geometric(
    model: type[ModelT],
    x: ArrayLike,
    t_x: ArrayLike,
    T: ArrayLike,
    *,
    weights: ArrayLike | None,
) -> ModelT:
    """Fit ``model``; see `bg_nbd.fit`. The prior is that of Fader et al. (2005)."""
    recipe = Recipe(
        likelihood=lambda rows: BetaGeometric(rows, model.first),
        start=lambda rate: [0.0, -math.log(rate), math.log(0.5), math.log(2.0)],
        prior=lambda rate: {"r": 0.25, "alpha": 0.25 / rate, "a": 0.8, "b": 2.4},
        bound=np.array([10.0, 30.0, 10.0, 10.0]),
    )
    return fit(model, recipe, x, t_x, T, weights=weights)
