"""Purchase histories that several test files share."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import numpy as np
import pytest

from app.scoring.histories import purchase_summary
from app.scoring.histories.features import Facts
from app.scoring.histories.purchase_summary import PurchaseSummary

DATA = Path(__file__).parent / "data"
CDNOW = Path(__file__).parents[2] / "app" / "sample" / "cdnow_sample.txt"


def read_cdnow(path: Path, **options: int) -> tuple[np.ndarray, ...]:
    """Customer, day number, dollars: the last columns but the CDs are the same in both files."""
    raw = np.loadtxt(path, **options)
    days = [
        dt.date(n // 10_000, n // 100 % 100, n % 100).toordinal() for n in raw[:, -3].astype(int)
    ]
    return raw[:, -4].astype(int), np.array(days), raw[:, -1]


@pytest.fixture(scope="session")
def cdnow_log() -> tuple[np.ndarray, ...]:
    """The CDNOW sample to 1998-06-30: customer, day number, dollars."""
    return read_cdnow(CDNOW)


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
def cdnow_facts(cdnow_log: tuple[np.ndarray, ...]) -> Facts:
    """The CDNOW sample as facts."""
    customer, day, amount = cdnow_log
    return Facts(customer=customer, day=day, amount=amount)


@pytest.fixture(scope="session")
def online_retail_facts(online_retail_log: tuple[np.ndarray, ...]) -> Facts:
    """UCI Online Retail as facts."""
    customer, day, cents = online_retail_log
    return Facts(customer=customer, day=day, amount=cents / 100)


@pytest.fixture(scope="session")
def cdnow_master_facts() -> Facts:
    """All 23,570 CDNOW customers, where ``CLM_SCORING_DATA`` names the folder of the file."""
    folder = os.environ.get("CLM_SCORING_DATA")
    if folder is None:
        pytest.skip("CLM_SCORING_DATA is not set: CDNOW_master.txt is not in the repository")
    customer, day, amount = read_cdnow(Path(folder) / "CDNOW_master.txt", skiprows=1)
    return Facts(customer=customer, day=day, amount=amount)


@pytest.fixture(scope="session")
def telco() -> tuple[np.ndarray, np.ndarray]:
    """The IBM telco sample: tenure, monthly charges and senior; who churned."""
    table = np.loadtxt(DATA / "telco_churn.csv", delimiter=",", skiprows=1)
    return table[:, :3], table[:, 3]
