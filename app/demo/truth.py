"""What the model is worth: fitted on the first 39 weeks of the log, judged on the next 39."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from app.demo.data import Purchase
from app.scoring.histories import purchase_summary
from app.scoring.purchases import bg_nbd, hiatus

FITTED_UP_TO = date(1997, 9, 30)
JUDGED_UP_TO = date(1998, 6, 30)
WEEKS_AHEAD = (JUDGED_UP_TO - FITTED_UP_TO).days / 7
PUBLISHED = {"r": "0.24259", "alpha": "4.4136", "a": "0.79292", "b": "2.4259"}
PUBLISHED_LOG_LIKELIHOOD = "-9582.4292"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Decile:
    """A tenth of the customers, the most promising first, by the model and by silence."""

    customers: int
    predicted: float
    actual: float
    bought: float
    actual_by_silence: float
    bought_by_silence: float


@dataclass(frozen=True, slots=True)
class Truth:
    """Predictions beside what happened; counts are purchase days."""

    fitted: dict[str, str]
    log_likelihood: str
    deciles: list[Decile]
    actual: int
    predicted: float
    predicted_by_pace: float
    mean_error: float
    mean_error_by_pace: float
    auc: float
    auc_by_silence: float

    @property
    def agrees(self) -> bool:
        """Whether the fit equals the published one to the last printed digit."""
        return self.fitted == PUBLISHED and self.log_likelihood == PUBLISHED_LOG_LIKELIHOOD


def judge(log: list[Purchase]) -> Truth:
    """Fit, predict, and compare; whole days divided by 7 are the weeks of the literature."""
    seen, later = _summary(log, FITTED_UP_TO), _summary(log, JUDGED_UP_TO)
    x, t_x, age = seen.x.astype(float), seen.t_x / 7, seen.T / 7
    actual = (later.x - seen.x).astype(float)
    model = bg_nbd.fit(x, t_x, age)
    predicted = model.expected_purchases(x, t_x, age, horizon=WEEKS_AHEAD)
    likely = 1 - model.p_no_purchase(x, t_x, age, horizon=WEEKS_AHEAD)
    # The plain rules: who has been silent for long has left; who stays keeps the old pace.
    silence = hiatus.score(t_x, age)
    pace = x / age * WEEKS_AHEAD
    return Truth(
        fitted={name: _as_precise_as(text, model.params[name]) for name, text in PUBLISHED.items()},
        log_likelihood=_as_precise_as(PUBLISHED_LOG_LIKELIHOOD, model.log_likelihood),
        deciles=list(_deciles(predicted, silence, actual)),
        actual=int(actual.sum()),
        predicted=float(predicted.sum()),
        predicted_by_pace=float(pace.sum()),
        mean_error=float(np.abs(predicted - actual).mean()),
        mean_error_by_pace=float(np.abs(pace - actual).mean()),
        auc=area_under_curve(likely, actual > 0),
        auc_by_silence=area_under_curve(-silence, actual > 0),
    )


def _summary(log: list[Purchase], up_to: date) -> purchase_summary.PurchaseSummary:
    return purchase_summary.summarise(
        [purchase.customer for purchase in log],
        [purchase.on.toordinal() for purchase in log],
        [float(purchase.amount) for purchase in log],
        as_of=up_to.toordinal(),
    )


def _as_precise_as(text: str, value: float) -> str:
    return f"{value:.{len(text.partition('.')[2])}f}"


def _deciles(predicted: Floats, silence: Floats, actual: Floats) -> Iterator[Decile]:
    """Cut the customers into ten near-equal groups twice; ties stay in the order of the ids."""
    by_model = np.array_split(np.argsort(-predicted, kind="stable"), 10)
    by_silence = np.array_split(np.argsort(silence, kind="stable"), 10)
    for mine, quiet in zip(by_model, by_silence, strict=True):
        yield Decile(
            customers=len(mine),
            predicted=float(predicted[mine].mean()),
            actual=float(actual[mine].mean()),
            bought=float((actual[mine] > 0).mean()),
            actual_by_silence=float(actual[quiet].mean()),
            bought_by_silence=float((actual[quiet] > 0).mean()),
        )


def area_under_curve(score: Floats, happened: NDArray[np.bool_]) -> float:
    """Return how often one who bought has the higher score than one who did not; ties are half."""
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    hits = int(happened.sum())
    misses = len(happened) - hits
    return float((rank[happened].sum() - hits * (hits + 1) / 2) / (hits * misses))
