"""The service that is stormed and killed, and how often."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.prepared import prepared  # noqa: F401  # a fixture
from tests.service import Service, running_service


@dataclass(frozen=True)
class Faults:
    """How much is done to a service; `make faults` does more, of all kinds."""

    admission_limit: int
    requests: int
    kills_of_database: int
    killed_runs: int
    kills_in_run: int


FEW = Faults(
    admission_limit=200,
    requests=400,
    kills_of_database=2,
    killed_runs=1,
    kills_in_run=4,
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def faults() -> Faults:
    return FEW


@pytest.fixture(scope="session")
def service(prepared: Path, faults: Faults) -> Iterator[Service]:  # noqa: F811
    limit = str(faults.admission_limit)
    with running_service(
        prepared=prepared, CLM_ADMISSION_LIMIT=limit, CLM_WAIT_SECONDS="30"
    ) as service:
        yield service
