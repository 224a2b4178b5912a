"""Purchase histories that several test files share."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from app.scoring import purchase_summary
from app.scoring.purchase_summary import PurchaseSummary

DATA = Path(__file__).parent / "data"
CDNOW = Path(__file__).parents[2] / "app" / "sample" / "cdnow_sample.txt"

# No test is timed: a busy machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def cdnow_log() -> tuple[np.ndarray, ...]:
    """The CDNOW sample to 1998-06-30: customer, day number, dollars."""
    raw = np.loadtxt(CDNOW)
    days = [
        dt.date(n // 10_000, n // 100 % 100, n % 100).toordinal() for n in raw[:, 2].astype(int)
    ]
    return raw[:, 1].astype(int), np.array(days), raw[:, 4]


@pytest.fixture(scope="session")
def cdnow(cdnow_log: tuple[np.ndarray, ...]) -> PurchaseSummary:
    """The CDNOW sample as of 1997-09-30, in days."""
    return purchase_summary.summarise(*cdnow_log, as_of=dt.date(1997, 9, 30).toordinal())


@pytest.fixture(scope="session")
def cdnow_weeks(cdnow: PurchaseSummary) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same histories, times in weeks."""
    return cdnow.x, cdnow.t_x / 7, cdnow.T / 7


@pytest.fixture(scope="session")
def online_retail() -> tuple[np.ndarray, ...]:
    """UCI Online Retail: x, t_x, T and the number of customers."""
    return tuple(np.loadtxt(DATA / "online_retail_histories.csv", delimiter=",", skiprows=1).T)


@pytest.fixture(scope="session")
def online_retail_log() -> tuple[np.ndarray, ...]:
    """UCI Online Retail: customer, day from 2010-12-01 to day 373, cents."""
    return tuple(np.loadtxt(DATA / "online_retail_log.csv", int, delimiter=",", skiprows=1).T)


@pytest.fixture(scope="session")
def telco() -> tuple[np.ndarray, np.ndarray]:
    """The IBM telco sample: tenure, monthly charges and senior; who churned."""
    table = np.loadtxt(DATA / "telco_churn.csv", delimiter=",", skiprows=1)
    return table[:, :3], table[:, 3]
