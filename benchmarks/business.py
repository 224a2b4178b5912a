"""A business told to a service over HTTP: customers who come back, and leave, as people do."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.service import Service, running_service

HERE = Path(__file__).parents[1]
BATCH = 1000
WORKER = (
    "import sys; from app.config import Settings; from app.worker import work;"
    " work(Settings(scoring_every=None, log_level='ERROR'), sys.argv[1], until_eof=True)"
)


@contextlib.contextmanager
def service(tree: Path | None = None, **settings: str) -> Iterator[tuple[Service, httpx.Client]]:
    """Run the service of a tree, this one by default, and a client of it."""
    folder = (tree or HERE).resolve()
    with (
        running_service(PYTHONPATH=str(folder), CLM_SCORING_EVERY="off", **settings) as running,
        httpx.Client(
            base_url=running.url, headers=running.headers, timeout=600, trust_env=False
        ) as client,
    ):
        yield running, client


@contextlib.contextmanager
def workers(service: Service, count: int = 1, tree: Path | None = None) -> Iterator[list[int]]:
    """Run workers of a tree beside a service; yield their processes."""
    url = service.dsn.replace("postgresql:", "postgresql+asyncpg:")
    environment = {**os.environ, "PYTHONPATH": str((tree or HERE).resolve())}
    started = [
        subprocess.Popen([sys.executable, "-P", "-c", WORKER, url], stdin=subprocess.PIPE,
                         env=environment)
        for _ in range(count)
    ]  # fmt: skip
    try:
        yield [each.pid for each in started]
    finally:
        for each in started:
            assert each.stdin is not None
            each.stdin.close()
            each.wait(60)


def name(number: int) -> str:
    return f"c-{number:07}"


def purchases(customers: int, *, days: int = 730, seed: int = 1) -> list[dict[str, Any]]:
    """Return purchases of customers with rates and lives of their own, in order of time."""
    rng = np.random.default_rng(seed)
    began = rng.integers(2, days, customers)
    gap = np.maximum(rng.gamma(1.3, 45, customers), 3)
    left = rng.geometric(0.12, customers)  # purchases until they leave
    typical = rng.lognormal(3.2, 0.6, customers)
    now, made = datetime.now(UTC), []
    for customer in range(customers):
        ago, bought = float(began[customer]), 0
        while ago > 0.1 and bought < left[customer]:
            made.append((ago, customer, bought, typical[customer] * rng.lognormal(0, 0.4)))
            ago -= max(rng.exponential(gap[customer]), 0.01)
            bought += 1
    return [
        {
            "customer_id": name(customer),
            "transaction_id": f"t{number}",
            "occurred_at": (now - timedelta(days=ago)).isoformat(),
            "amount": {"amount": f"{amount:.2f}"},
        }
        for ago, customer, number, amount in sorted(made, reverse=True)
    ]


def tell(client: httpx.Client, items: list[dict[str, Any]], kind: str = "transactions") -> None:
    for start in range(0, len(items), BATCH):
        answer = client.post(f"/v1/{kind}/bulk", json={"items": items[start : start + BATCH]})
        assert not answer.raise_for_status().json()["counts"]["rejected"], answer.text[:500]


def done(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Start an operation, and return it once a worker has done it."""
    operation: dict[str, Any] = client.post(path, json=body).raise_for_status().json()
    while operation["state"] not in ("succeeded", "failed"):
        time.sleep(0.2)
        operation = client.get(f"/v1/operations/{operation['id']}").json()
    assert operation["state"] == "succeeded", operation
    return operation


def learn(service: Service, client: httpx.Client, tree: Path | None = None) -> None:
    """Fit a model and publish a run, by a worker that is gone before anything is timed."""
    with workers(service, tree=tree):
        done(client, "/v1/models", {"activate": True})
        done(client, "/v1/scoring-runs", {})
