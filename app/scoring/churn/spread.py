"""By how much totals of expected purchases are off, beyond chance: what intervals have to hold.

At each window that is judged, the purchases that were expected by the risk that serves, as it was
known at its start, are held against those made. Single customers differ from what is expected of
them by chance, and many of them hardly do together; what windows are off by beyond that, the
business itself did, and no number of customers takes it away.
"""

from __future__ import annotations

import numpy as np

from app.scoring.churn.candidates import Judged
from app.scoring.churn.observation import Landmark
from app.scoring.churn.walk_forward import Track
from app.scoring.histories.features import Facts
from app.scoring.numerics.array_types import FloatArray
from app.scoring.spend.intervals import Between, Purchases, between_windows, shape_of


def learn(track: Track, on: Judged, told: FloatArray) -> Between:
    """Return by how much what serves was off in the windows.

    Parameters
    ----------
    track : Track
        Of what serves.
    on : Judged
    told : FloatArray
        Probability of no purchase, of each customer of the windows, shape (n,).
    """
    past, rows = track.past, []
    for place, at in enumerate(on.at):
        mark, chance = past.marks[at], 1 - told[on.window == place]
        process = track.risks[max(one for one in track.risks if one <= at)].process
        known, ahead = mark.features, past.ahead(mark.day, past.window)
        if_any = process.purchases_if_any(known.x, known.t_x, known.T, horizon=ahead)
        expected = Purchases.of(chance, if_any, shape_of(process, known.x))
        made = purchases(past.facts, mark)
        rows.append((made, float((chance * if_any).sum()), float(expected.variance.sum())))
    return between_windows(*np.array(rows, dtype=np.float64).reshape(-1, 3).T)


def purchases(facts: Facts, mark: Landmark) -> int:
    """Return the purchase days of the customers of a window within it; see `observation.buyers`."""
    customer, day, amount = (np.asarray(column) for column in facts.log(mark.end))
    rows = (day > mark.day) & (day <= mark.end) & (amount >= 0)
    rows &= np.isin(customer, mark.customer)
    days = customer[rows].astype(np.int64) * (mark.window + 1) + (day[rows] - mark.day)
    return int(np.unique(days).size)
