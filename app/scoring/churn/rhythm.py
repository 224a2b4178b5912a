r"""Rhythm: where a customer stands against the own usual gap between purchases.

With ``S`` the probability that a customer of this history who is still active would be silent for
at least this long, `STATUSES` are

* ``on_time``: ``S > cuts.due``;
* ``due``: at most that, and more than ``cuts.overdue``;
* ``overdue``: at most that;
* ``lost``: no longer on time (``S <= cuts.due``), and the learnt chance of any purchase within the
  next `LOST_DAYS` is below ``cuts.lost``.

Both are needed: where hardly anybody buys again, that chance is small for whoever bought today,
and says something of the business and nothing of the customer. Only a silence does.

After a repeat purchase ``S`` is what the model of purchases says
(`PurchaseModel.silence_if_active`), by the customer's own times so far. After one purchase there
is no gap of one's own, and customers who never come back are many: then ``S`` is learnt from the
gaps after the first purchase of those who did come back,

.. math:: S(s) = 1 - \frac{F(s)}{F(\tau)} \cdot \frac{n}{n + 1}

with ``F`` the Kaplan-Meier estimate of having come back by ``s``, of everybody, so that a young
customer, who can show a short gap only, counts for as long as he was watched; ``tau`` the longest
time that `MIN_AT_RISK` were watched for; ``n`` those who came back. Where ``tau`` is less than
`LOST_DAYS`, late returns are still to be seen: ``F`` is taken on to it, growing with the logarithm
of time as it did over the last doubling, as it does in heavy-tailed gaps. Too little to learn from
(fewer than `MIN_RETURNED` came back; or as many did in the second half of the time watched as in
the first, so that the usual gap is not behind yet) leaves one purchase to the model, too.

References
----------
Kaplan and Meier (1958), Nonparametric Estimation from Incomplete Observations, Journal of the
American Statistical Association 53, 457-481.
Maller and Zhou (1992), Estimating the Proportion of Immunes in a Censored Sample, Biometrika 79,
731-739: the distribution of those who do return, and when they were watched for long enough.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.histories.features import Facts
from app.scoring.histories.purchase_days import purchase_days
from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray, IntArray
from app.scoring.purchases.purchase_model import PurchaseModel
from app.seasons import Season

STATUSES: Final = ("on_time", "due", "overdue", "lost")
ON_TIME, DUE, OVERDUE, LOST = range(4)
LOST_DAYS: Final = 365
MIN_RETURNED: Final = 50
MIN_AT_RISK: Final = 50
KNOTS: Final = 64


@dataclass(frozen=True)
class Cuts:
    """Probabilities at which one status turns into the next.

    Attributes
    ----------
    due, overdue : float
        At most so likely a silence is due, is overdue; ``0 < overdue < due < 1``.
    lost : float
        Whoever is not on time and buys within `LOST_DAYS` with less than this chance is lost, in
        (0, 1).
    """

    due: float = 0.5
    overdue: float = 0.1
    lost: float = 0.1

    def __post_init__(self) -> None:
        """Raise ValueError unless the cuts are in order."""
        if not (0 < self.overdue < self.due < 1 and 0 < self.lost < 1):
            message = "cuts must be 0 < overdue < due < 1 and 0 < lost < 1"
            raise ValueError(message)


@dataclass(frozen=True)
class FirstGaps:
    """How long those who come back take to, as knots.

    Attributes
    ----------
    days : tuple of float
        Ascending, from 0 on.
    chance : tuple of float
        That somebody who comes back takes longer, falling from 1 on, always positive.
    returned : int
        Customers who came back.
    """

    days: tuple[float, ...]
    chance: tuple[float, ...]
    returned: int

    def at(self, silence: FloatArray) -> FloatArray:
        """Return ``S`` of silences in days; beyond the last knot it falls as 1 / time."""
        last = self.days[-1]
        within: FloatArray = np.interp(silence, self.days, self.chance)
        return np.where(silence > last, within * last / np.maximum(silence, last), within)

    def until(self, chance: float) -> float:
        """Return the silence in days from which on ``S`` is at most a chance, in (0, 1)."""
        if chance < self.chance[-1]:
            return self.days[-1] * self.chance[-1] / chance
        return float(np.interp(-chance, [-each for each in self.chance], self.days))


@dataclass(frozen=True)
class Rhythm:
    """What a model knows of rhythm: `learn` makes it."""

    cuts: Cuts = Cuts()
    first_gaps: FirstGaps | None = None

    def chance_if_active(
        self,
        process: PurchaseModel,
        x: ArrayLike,
        t_x: ArrayLike,
        T: ArrayLike,
        *,
        unit: float = 1.0,
        waited: ArrayLike | None = None,
    ) -> FloatArray:
        """Return ``S``: the chance of so long a silence of one who is still active.

        Parameters
        ----------
        process : PurchaseModel
            The fitted model of purchases.
        x, t_x, T : array_like
            Histories; times in days.
        unit : float
            Days in the unit of time of the process.
        waited : array_like, optional
            Days since the first purchase as the first gaps count them: seasonal ones where these
            were learnt in a season. ``T`` by default.

        Returns
        -------
        FloatArray
            In [0, 1], of the broadcast shape; never rises with the silence.

        Raises
        ------
        ValueError
            If a history is not possible.
        """
        own = process.silence_if_active(x, np.asarray(t_x) / unit, np.asarray(T) / unit)
        if self.first_gaps is None:
            return own
        since = np.asarray(T if waited is None else waited, dtype=float)
        return np.where(np.asarray(x) > 0, own, self.first_gaps.at(since))

    def status(self, chance: ArrayLike, any_purchase: ArrayLike) -> IntArray:
        """Return the statuses as indices into `STATUSES`.

        Parameters
        ----------
        chance : array_like
            As `chance_if_active` returns it, shape (n,).
        any_purchase : array_like
            The learnt chance of any purchase within the next `LOST_DAYS`, shape (n,).
        """
        s, returns = np.asarray(chance), np.asarray(any_purchase)
        late = (s <= self.cuts.due).astype(np.int64) + (s <= self.cuts.overdue)
        return np.where((late != ON_TIME) & (returns < self.cuts.lost), LOST, late)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Rhythm:
        """Return the rhythm that `as_dict` described."""
        gaps = stored["first_gaps"]
        kept = gaps and FirstGaps(tuple(gaps["days"]), tuple(gaps["chance"]), gaps["returned"])
        return cls(Cuts(**stored["cuts"]), kept)


def learn(
    facts: Facts, *, as_of: int, cuts: Cuts | None = None, season: Season | None = None
) -> Rhythm:
    """Return the rhythm that facts up to a day teach.

    Parameters
    ----------
    facts : Facts
        Of everybody, or of a sample of customers.
    as_of : int
        The last day that counts.
    cuts : Cuts, optional
        By default those of `Cuts`.
    season : Season, optional
        Where there is one, the first gaps are in its days.

    Raises
    ------
    ValueError
        As for `purchase_summary.summarise`.
    """
    seen = purchase_days(*facts.log(as_of), as_of=as_of)
    first = seen.day[seen.start]
    returned = np.diff(seen.start, append=seen.day.size) > 1
    second = seen.day[np.minimum(seen.start + 1, max(seen.day.size - 1, 0))]
    end = np.where(returned, second, as_of)
    waited = end - first if season is None else season.between(first, end)
    return Rhythm(cuts or Cuts(), first_gaps(waited, returned))


def first_gaps(waited: ArrayLike, returned: ArrayLike) -> FirstGaps | None:
    """Return how long those who come back take to; None where there is too little to learn from.

    Parameters
    ----------
    waited : array_like
        Days from the first purchase to the second, or to now, shape (n,).
    returned : array_like of bool
        Whether there was a second, shape (n,).

    Raises
    ------
    ValueError
        If a wait is negative or not finite.
    """
    wait = np.sort(validation.non_negative("waited", waited))
    back = np.asarray(returned, dtype=bool)
    gaps = np.sort(validation.non_negative("waited", waited)[back])
    if gaps.size < MIN_RETURNED or wait.size < MIN_AT_RISK:
        return None
    days = np.unique(gaps)
    at_risk = wait.size - np.searchsorted(wait, days, side="left")
    events = np.diff(np.searchsorted(gaps, days, side="right"), prepend=0)
    came_back = 1 - np.cumprod(1 - events / at_risk)
    watched = at_risk >= MIN_AT_RISK
    # Days and not gaps: nobody who came back late is as telling as many who did.
    last = float(wait[-MIN_AT_RISK])
    days = np.concatenate(([0.0], days[watched]))
    came_back = np.concatenate(([0.0], came_back[watched]))

    def share(time: float) -> float:
        return float(came_back[np.searchsorted(days, time, side="right") - 1])

    by_last, by_half = share(last), share(last / 2)
    if by_half <= 0 or by_last >= 2 * by_half:
        return None
    all_told = by_last
    if last < LOST_DAYS:
        growth = (by_last - by_half) / math.log(2)
        more = np.geomspace(last, LOST_DAYS, 9)[1:]
        days = np.concatenate((days, more))
        came_back = np.append(came_back, by_last + growth * np.log(more / last))
        came_back = np.minimum(came_back, 1.0)
        all_told = float(came_back[-1])
    chance = 1 - came_back / all_told * gaps.size / (gaps.size + 1)
    return FirstGaps(*_thinned(days, chance), int(gaps.size))


def _thinned(days: FloatArray, chance: FloatArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return at most `KNOTS` knots, evenly apart in the chance, both ends among them."""
    wanted = np.linspace(chance[0], chance[-1], KNOTS)
    kept = np.unique(np.searchsorted(-chance, -wanted, side="left"))
    kept = np.union1d(kept[kept < days.size], [0, days.size - 1])
    return tuple(days[kept].tolist()), tuple(chance[kept].tolist())
