"""A log told to a real service as if its past days were now, and asked over HTTP."""

import contextlib
import datetime as dt
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.logs import BusinessLog
from tests.service import running_service

HERE = Path(__file__).parents[1]
HORIZON = 90
BATCH, PAGE = 1000, 500
PATIENCE = 600
SETTINGS = {"CLM_CURRENCY": "USD", "CLM_TIME_ZONE": "UTC", "CLM_SCORING_EVERY": "off"}


class Replayed:
    """A service of a tree that knows a log up to some day."""

    def __init__(self, client: httpx.Client, log: BusinessLog, pid: int) -> None:
        self.client, self.log, self._pid = client, log, pid
        self.known = 0  # the last day told
        self.rows = np.argsort(np.asarray(log.facts.day), kind="stable")

    def until(self, cut: int) -> None:
        """Tell what happened up to a day, fit a model as of its end, and score everybody by it."""
        customer, day, amount = (np.asarray(part) for part in self.log.facts.log(cut))
        rows = [row for row in self.rows if self.known < day[row] <= cut]
        for begin in range(0, len(rows), BATCH):
            items = [
                {
                    "customer_id": f"c{customer[row]}",
                    "transaction_id": f"t{row}",
                    "occurred_at": f"{dt.date.fromordinal(int(day[row]))}T12:00:00Z",
                    "amount": {"amount": f"{amount[row]:.2f}"},
                }
                for row in rows[begin : begin + BATCH]
            ]
            made = self.post("/v1/transactions/bulk", {"items": items})
            assert made["counts"]["created"] == len(items), made["counts"]
        self.known = cut
        asked = {"as_of": self.as_of, "horizon_days": HORIZON}
        model = self.done(self.post("/v1/models", asked))["result"]["model_id"]
        self.post(f"/v1/models/{model}/activate", {})
        self.run()

    @property
    def as_of(self) -> str:
        return dt.date.fromordinal(self.known).isoformat()

    def run(self) -> dict[str, Any]:
        return self.done(self.post("/v1/scoring-runs", {"as_of": self.as_of}))

    def get(self, path: str, **asked: Any) -> Any:
        return _body(self.client.get(path, params=asked))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return _body(self.client.post(path, json=body))

    def done(self, operation: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while operation["state"] in ("pending", "running"):
            assert time.monotonic() < deadline, operation
            time.sleep(0.02)
            operation = self.get(f"/v1/operations/{operation['id']}")
        assert operation["state"] == "succeeded", operation
        return operation

    def cpu(self) -> float:
        """Return the processor seconds that API, worker and database have taken so far."""
        parents, ticks = {}, {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                pid, _, rest = stat.read_text(encoding="utf-8").partition(" ")
                fields = rest.rpartition(")")[2].split()
                parents[int(pid)] = int(fields[1])
                ticks[int(pid)] = sum(map(int, fields[11:15]))  # own, and of children that ended

        def ours(pid: int) -> bool:
            return pid == self._pid or (pid in parents and ours(parents[pid]))

        return sum(n for pid, n in ticks.items() if ours(pid)) / os.sysconf("SC_CLK_TCK")

    def everybody(self) -> dict[str, dict[str, Any]]:
        """Return the rows of the published run by customer, from one stream."""
        form = {"accept": "application/x-ndjson"}
        answer = self.client.get("/v1/scores", headers=form).raise_for_status()
        rows = map(json.loads, answer.text.splitlines())
        return {row["customer_id"]: row for row in rows}

    def listed(self, most: int | None = None, **asked: Any) -> list[dict[str, Any]]:
        """Return the customers on the list of churn risks, in its order."""
        items: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get("/v1/churn-risks", limit=min(most or PAGE, PAGE), **asked, **cursor)
            items += page["items"]
            if page["next_cursor"] is None or (most is not None and len(items) >= most):
                return items[:most]
            cursor = {"cursor": page["next_cursor"]}


@contextlib.contextmanager
def service(log: BusinessLog, tree: Path = HERE) -> Iterator[Replayed]:
    """Run the service of a tree, with a worker and nothing told yet."""
    settings = {**SETTINGS, "PYTHONPATH": str(tree.resolve())}
    with (
        running_service(worker=True, **settings) as running,
        httpx.Client(
            base_url=running.url, headers=running.headers, timeout=120, trust_env=False
        ) as client,
    ):
        yield Replayed(client, log, running.pid)


def _body(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()


def number(money: Any) -> float:
    """Return an amount; what is not told is nothing."""
    return 0.0 if money is None else float(money["amount"])
