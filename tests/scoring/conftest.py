"""Purchase histories that several test files share."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from app.scoring import purchase_summary
from app.scoring.purchase_summary import PurchaseSummary

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def cdnow() -> PurchaseSummary:
    """The CDNOW sample as of 1997-09-30, in days."""
    raw = np.loadtxt(DATA / "CDNOW_sample.txt")
    days = [
        dt.date(n // 10_000, n // 100 % 100, n % 100).toordinal() for n in raw[:, 2].astype(int)
    ]
    as_of = dt.date(1997, 9, 30).toordinal()
    return purchase_summary.summarise(raw[:, 1].astype(int), days, raw[:, 4], as_of=as_of)


@pytest.fixture(scope="session")
def cdnow_weeks(cdnow: PurchaseSummary) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same histories, times in weeks."""
    return cdnow.x, cdnow.t_x / 7, cdnow.T / 7


@pytest.fixture(scope="session")
def online_retail() -> tuple[np.ndarray, ...]:
    """UCI Online Retail: x, t_x, T and the number of customers."""
    return tuple(np.loadtxt(DATA / "online_retail_histories.csv", delimiter=",", skiprows=1).T)
