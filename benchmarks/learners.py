"""What scikit-learn's logistic regression and histogram boosting tell of the same customers.

They learn from the same days and labels as churn risk does, with its features and what else is
usual: purchases and money of the last 30, 90, 180 and 365 days, the time of year, and how long
there have been customers.
"""

import importlib.util

import numpy as np

from app.scoring.churn import observation, rolling
from app.scoring.churn.design import Scales, design
from app.scoring.histories.features import Facts, Features, features_at

INSTALLED = importlib.util.find_spec("sklearn") is not None
LOGISTIC, BOOSTING = "logistic", "boosting"
RECENT = 30, 90, 180, 365
YEAR = 365.25
FEW = 5  # customers of either outcome


def told(facts: Facts, cut: int, horizon: int) -> dict[str, np.ndarray]:
    """Return the risk of no purchase of everybody known at a cut, by peer."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    marks = rolling.landmarks(facts, cut, horizon)
    if not marks or observation.events(marks) < FEW:
        return {}
    scales = Scales.fit(marks[-1].features)
    columns = [
        _columns(facts, mark.day, horizon, mark.customer, mark.features, scales) for mark in marks
    ]
    rows, churned = np.concatenate(columns), np.concatenate([mark.churned for mark in marks])
    customer, features = features_at(facts, as_of=cut)
    now = _columns(facts, cut, horizon, customer, features, scales)
    peers = {
        LOGISTIC: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        BOOSTING: HistGradientBoostingClassifier(random_state=0),
    }
    return {name: peer.fit(rows, churned).predict_proba(now)[:, 1] for name, peer in peers.items()}


def _columns(
    facts: Facts, day: int, horizon: int, who: np.ndarray, features: Features, scales: Scales
) -> np.ndarray:
    process = observation.fit_process(features, "mbg_nbd")
    own = design(features, process, scales, window=horizon)
    customer, days, amount = (np.asarray(part) for part in facts.log(day))
    seen = (days <= day) & (amount >= 0) & np.isin(customer, who)
    row, ago, money = np.searchsorted(who, customer[seen]), day - days[seen], amount[seen]
    recent = []
    for within in RECENT:
        late = ago < within
        recent += [
            np.bincount(row[late], minlength=who.size),
            np.bincount(row[late], weights=money[late] / scales.value, minlength=who.size),
        ]
    turn = 2 * np.pi * day / YEAR
    first = int(np.min(facts.day))
    same = np.broadcast_to([np.sin(turn), np.cos(turn), np.log1p(day - first)], (who.size, 3))
    return np.column_stack([own, np.log1p(np.column_stack(recent)), same])
