"""What lifetimes tells of histories, where it is installed: risk of no purchase, and purchases."""

import importlib.util
import warnings
from typing import Any

import numpy as np

INSTALLED = importlib.util.find_spec("lifetimes") is not None
NAMES = "lifetimes BG/NBD", "lifetimes MBG/NBD", "lifetimes Pareto/NBD"
WEEK = 7

Told = tuple[np.ndarray, np.ndarray]


def told(history: tuple[np.ndarray, ...], horizon: int) -> dict[str, Told]:
    """Return what each peer tells of histories in days; a peer that makes no numbers is left out.

    Equal histories are fitted once, by their number. Times are in weeks, as in its manual.
    """
    import lifetimes  # noqa: PLC0415

    x, t_x, T = history
    rows, of, n = np.unique(
        np.column_stack([x, t_x / WEEK, T / WEEK]), axis=0, return_inverse=True, return_counts=True
    )
    fitters = dict(zip(NAMES, (lifetimes.BetaGeoFitter, lifetimes.ModifiedBetaGeoFitter,
                               lifetimes.ParetoNBDFitter), strict=True))  # fmt: skip
    found = {}
    for name, fitter in fitters.items():
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            p, purchases = _of(fitter, rows.T, n, horizon / WEEK)
        if np.isfinite(p).all() and np.isfinite(purchases).all():
            found[name] = np.clip(p, 0, 1)[of.ravel()], purchases[of.ravel()]
    return found


def _of(fitter: Any, rows: np.ndarray, n: np.ndarray, ahead: float) -> Told:
    from lifetimes.utils import ConvergenceError  # noqa: PLC0415

    nothing = np.full(rows.shape[1], np.nan)
    try:
        model = fitter().fit(*rows, weights=n, initial_params=np.ones(4))  # not at random
    except ConvergenceError:
        return nothing, nothing
    made = model.conditional_expected_number_of_purchases_up_to_time(ahead, *rows)
    if hasattr(model, "conditional_probability_of_n_purchases_up_to_time"):
        p = model.conditional_probability_of_n_purchases_up_to_time(0, ahead, *rows)
    else:
        # Who leaves does so at a purchase: none comes from who has left, or is still to wait.
        r, alpha = model.params_["r"], model.params_["alpha"]
        waits = ((alpha + rows[2]) / (alpha + rows[2] + ahead)) ** (r + rows[0])
        p = 1 - np.asarray(model.conditional_probability_alive(*rows)) * (1 - waits)
    return np.asarray(p, dtype=float), np.asarray(made, dtype=float)
