r"""Who buys less often, or for less, than before: by more than chance would have it.

The mean of the last `RECENT` gaps (values) is compared with that of all before them, at least
`EARLIER`. It counts where it is at least `LONGER` times as long (at most `LESS` times as much), and
where that would happen to at most one in forty customers whose habits have not changed: gaps and
values are gamma distributed about the customer's own mean, so that the ratio of two means is an F
ratio. Their shape is learnt from how the last three of each customer differ among themselves: for
``n`` gammas of shape ``a`` the squared coefficient of variation, of the sample variance, has the
mean ``n / (n a + 1)`` whatever the customer's own mean. A silence that is not over is no gap: it
belongs to `app.scoring.churn.rhythm`.

References
----------
Paulson (1942), An Approximate Normalization of the Analysis of Variance Distribution, Annals of
Mathematical Statistics 13(2), 233-235.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from app.scoring.histories import features as histories
from app.scoring.histories.features import Features
from app.scoring.numerics.array_types import BoolArray, FloatArray

RECENT: Final = histories.RECENT
EARLIER: Final = 3
LONGER: Final = 1.5
LESS: Final = 2 / 3
MIN_CUSTOMERS: Final = 50
SHAPES: Final = (0.1, 100.0)

_Z: Final = 1.959963984540054  # exceeded by one in forty


@dataclass(frozen=True)
class Shapes:
    """How regular customers are, each about the own mean.

    Attributes
    ----------
    gap, value : float
        Shape of the gamma distribution of gaps, and of values: 1 as at random, more the more
        regular.
    """

    gap: float = 1.0
    value: float = 1.0

    @classmethod
    def fit(cls, features: Features) -> Shapes:
        """Return the shapes of customers; 1 where fewer than `MIN_CUSTOMERS` tell."""
        return cls(_shape(features, "gap"), _shape(features, "value"))

    def as_dict(self) -> dict[str, float]:
        """Return plain numbers by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, float]) -> Shapes:
        """Return the shapes that `as_dict` described."""
        return cls(**stored)

    def less_often(self, features: Features) -> BoolArray:
        """Return who of n customers has come to buy less often, shape (n,)."""
        found = features.x >= RECENT + EARLIER
        if found.any():
            last, earlier, before = _parted(features, "gap", features.t_x, features.x, found)
            fewer = last >= LONGER * earlier
            fewer &= _beyond_chance(last, earlier, many=RECENT, few=before, shape=self.gap)
            found[found] = fewer
        return found

    def for_less(self, features: Features) -> BoolArray:
        """Return who of n customers has come to spend less on a purchase day, shape (n,)."""
        days = features.x + 1
        found = days >= RECENT + EARLIER
        if found.any():
            total = features.mean_value * days
            last, earlier, before = _parted(features, "value", total, days, found)
            less = last <= LESS * earlier
            less &= _beyond_chance(earlier, last, many=before, few=RECENT, shape=self.value)
            found[found] = less
        return found


def _last(features: Features, name: str, rows: BoolArray | slice) -> FloatArray:
    """Return the last gaps or values, NaN where there are fewer, shape (`RECENT`, rows)."""
    return np.array([getattr(features, f"{name}_{back + 1}")[rows] for back in range(RECENT)])


def _shape(features: Features, name: str) -> float:
    last = _last(features, name, slice(None))
    last = last[:, ~np.isnan(last).any(axis=0) & (last.sum(axis=0) > 0)]
    if last.shape[1] < MIN_CUSTOMERS:
        return 1.0
    spread = float(np.mean(last.var(axis=0, ddof=1) / last.mean(axis=0) ** 2))
    return float(np.clip(1 / max(spread, 1e-9) - 1 / RECENT, *SHAPES))


def _parted(
    features: Features, name: str, total: FloatArray, number: FloatArray, rows: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the mean of the last ones, that of those before, and how many these are."""
    last, before = _last(features, name, rows).sum(axis=0), number[rows] - RECENT
    return last / RECENT, np.maximum(total[rows] - last, 0.0) / before, before


def _beyond_chance(
    more: FloatArray,
    less: FloatArray,
    *,
    many: FloatArray | int,
    few: FloatArray | int,
    shape: float,
) -> BoolArray:
    """Say whether one mean exceeds another by more than chance, by Paulson's approximation.

    ``many`` are the addends of ``more``, ``few`` those of ``less``.
    """
    spread_more, spread_less = 1 / (9 * shape * many), 1 / (9 * shape * few)
    # The ratio as a product, so that nothing is divided by a mean of 0.
    root_more, root_less = np.cbrt(more), np.cbrt(less)
    shift = (1 - spread_less) * root_more - (1 - spread_more) * root_less
    scale = np.sqrt(spread_more * root_less**2 + spread_less * root_more**2)
    beyond: BoolArray = shift > _Z * scale
    return beyond
