"""What the scoring benchmarks are fed with: CDNOW, and customers simulated after it."""

import dataclasses
import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.scoring.histories import purchase_summary

CDNOW = Path(__file__).parents[1] / "app" / "sample" / "cdnow_sample.txt"
CALIBRATION_END = dt.date(1997, 9, 30).toordinal()  # after 39 weeks
SEED = 20_250_101
R, ALPHA, A, B = 0.243, 7 * 4.414, 0.793, 2.426  # of CDNOW by the literature, in days
P, Q, V = 6.25, 3.74, 15.44
AGES = 189, 273


@dataclass(frozen=True)
class Population:
    """Purchase histories; ``paid`` and ``mean_value`` of the repeat purchases."""

    unit: float  # in days
    x: NDArray[np.float64]
    t_x: NDArray[np.float64]
    T: NDArray[np.float64]
    paid: NDArray[np.float64]
    mean_value: NDArray[np.float64]

    def in_days(self) -> "Population":
        return dataclasses.replace(self, unit=1.0, t_x=self.t_x * self.unit, T=self.T * self.unit)

    @property
    def n(self) -> int:
        return self.x.size


@dataclass(frozen=True)
class Log:
    customer: NDArray[np.int64]
    day: NDArray[np.int64]
    amount: NDArray[np.float64]
    as_of: int


def cdnow_log(path: Path, *, skiprows: int = 0) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return customer, day number and dollars, of the sample or of the whole log."""
    raw = np.loadtxt(path, skiprows=skiprows)
    day = [dt.datetime.strptime(f"{date:.0f}", "%Y%m%d").toordinal() for date in raw[:, -3]]  # noqa: DTZ007
    return raw[:, -4].astype(int), np.array(day), raw[:, -1]


def cdnow() -> Population:
    """Return the CDNOW sample after 39 weeks, in weeks as in the literature."""
    seen = purchase_summary.summarise(*cdnow_log(CDNOW), as_of=CALIBRATION_END)
    paid = seen.paid_repeat_days.astype(float)
    return Population(7, seen.x.astype(float), seen.t_x / 7, seen.T / 7, paid, seen.mean_value)


def simulated(n: int) -> Population:
    """Return a BG/NBD population with Gamma-Gamma spend, in whole days."""
    rng = np.random.default_rng(SEED)
    rate = rng.gamma(R, 1 / ALPHA, n)
    leaves = rng.beta(A, B, n)
    T = rng.integers(AGES[0], AGES[1], n, endpoint=True).astype(float)
    x, t_x, at = np.zeros(n), np.zeros(n), np.zeros(n)
    here = np.arange(n)
    while here.size:
        with np.errstate(divide="ignore", over="ignore"):
            at[here] += rng.exponential(size=here.size) / rate[here]
        here = here[at[here] <= T[here]]
        x[here] += np.floor(at[here]) > t_x[here]  # purchases of one day are one occasion
        t_x[here] = np.floor(at[here])
        here = here[rng.random(here.size) >= leaves[here]]
    mean_value = rng.gamma(np.maximum(P * x, P)) / np.maximum(x, 1) / rng.gamma(Q, 1 / V, n)
    return Population(1, x, t_x, T, x, np.where(x > 0, mean_value, 0.0))


def log(rows: int, customers: int) -> Log:
    """Return purchases of two years in random order."""
    rng = np.random.default_rng(SEED)
    days = 730
    amount = np.round(0.01 + rng.gamma(P, 6, rows), 2)
    return Log(rng.integers(0, customers, rows), rng.integers(0, days, rows), amount, days)
