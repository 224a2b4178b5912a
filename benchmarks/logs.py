"""The logs of real businesses that figures are told of, and the days they are looked at from.

CDNOW and `rfm_orders.csv` stand in a folder, given as an argument or in `CLM_SCORING_DATA`;
without one, the 1/10 sample of CDNOW that the repository has.
"""

import datetime as dt
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from app.scoring.histories.features import Facts
from benchmarks import populations

RETAIL = Path(__file__).parents[1] / "tests" / "scoring" / "data" / "online_retail_log.csv"
RETAIL_BEGAN = dt.date(2010, 12, 1).toordinal()
CUTS = 4


@dataclass(frozen=True)
class BusinessLog:
    """Days are ordinals; no cut is earlier than `first_cut`."""

    name: str
    facts: Facts
    first_cut: int

    @property
    def end(self) -> int:
        return int(np.max(self.facts.day))

    def cuts(self, ahead: int) -> list[int]:
        """Return the days to look from, the last one with so many days after it."""
        return np.linspace(self.first_cut, self.end - ahead, CUTS).round().astype(int).tolist()

    def some(self, most: int) -> "BusinessLog":
        """Return the log of so many customers at most, drawn at random."""
        who = np.unique(np.asarray(self.facts.customer))
        if who.size <= most:
            return self
        drawn = np.random.default_rng(0).choice(who, most, replace=False)
        return replace(self, facts=self.facts.of(np.sort(drawn)))

    def purchases(self, who: np.ndarray, *, after: int, until: int) -> np.ndarray:
        """Return on how many days each of some customers, ascending, bought."""
        customer, day, amount = (np.asarray(part) for part in self.facts.log(until))
        rows = (day > after) & (day <= until) & (amount >= 0) & np.isin(customer, who)
        each = np.unique(np.column_stack([customer[rows], day[rows]]), axis=0)
        return np.bincount(np.searchsorted(who, each[:, 0]), minlength=who.size)


def folder(given: str | None = None) -> Path | None:
    found = given or os.environ.get("CLM_SCORING_DATA")
    return None if found is None else Path(found)


def cdnow(data: Path | None) -> BusinessLog:
    if data is None:
        columns = populations.cdnow_log(populations.CDNOW)
    else:
        columns = populations.cdnow_log(data / "CDNOW_master.txt", skiprows=1)
    name = "CDNOW sample" if data is None else "CDNOW"
    return BusinessLog(name, _facts(*columns), dt.date(1997, 6, 30).toordinal())


def retail() -> BusinessLog:
    customer, day, cents = np.loadtxt(RETAIL, int, delimiter=",", skiprows=1).T
    facts = _facts(customer, day + RETAIL_BEGAN, cents / 100)
    return BusinessLog("Online Retail", facts, RETAIL_BEGAN + 120)


def orders(data: Path) -> BusinessLog:
    rows = np.loadtxt(data / "rfm_orders.csv", str, delimiter=",", skiprows=1)
    day = np.array([dt.date.fromisoformat(text).toordinal() for text in rows[:, 1]])
    facts = _facts(rows[:, 0].astype(int), day, rows[:, 2].astype(float))
    return BusinessLog("rfm_orders", facts, dt.date(2004, 12, 31).toordinal())


def every(data: Path | None) -> list[BusinessLog]:
    return [cdnow(data), retail(), *([] if data is None else [orders(data)])]


def _facts(customer: np.ndarray, day: np.ndarray, amount: np.ndarray) -> Facts:
    return Facts(customer=customer, day=day, amount=amount)
