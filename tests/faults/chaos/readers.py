"""Callers who read, and one who has long work done."""

import asyncio
import json
from typing import Any

from app.lifecycle.presets import PRESETS
from tests.faults.chaos.caller import Caller
from tests.faults.chaos.writers import OWN_CUSTOMERS, SHARED_CUSTOMERS

OPEN = "pending", "running"
MAY_FAIL = frozenset(("no_model", "conflict", "preview_stale", "validation_failed"))
"""Codes with which an operation may end that is refused for what it was asked."""


class Reader(Caller):
    """Reads single customers, lists and whole exports; each answer is whole, or none."""

    async def act(self) -> None:
        if self.chance.random() < 0.15:
            await self._export()
            return
        own = f"writer-{self.chance.randrange(4)}-c{self.chance.randrange(OWN_CUSTOMERS)}"
        customer = self.chance.choice((own, f"shared-{self.chance.randrange(SHARED_CUSTOMERS)}"))
        path = self.chance.choice(
            (
                f"/v1/customers/{customer}",
                f"/v1/customers/{customer}/stage",
                f"/v1/customers/{customer}/scores",
                f"/v1/customers/{customer}/timeline?limit=20",
                "/v1/customers?limit=20",
                "/v1/transitions?limit=20",
                "/v1/reports/stages",
            )
        )
        answer = await self.ask("GET", path, (200, 404))
        if answer is not None:
            self.parsed(answer)

    async def _export(self) -> None:
        """A run is read whole, and each customer once."""
        headers = {"Accept": "application/x-ndjson"}
        answer = await self.ask("GET", "/v1/scores", (200, 404), headers=headers, tries=20)
        if answer is None or answer.status_code != 200:
            return
        try:
            rows = [json.loads(line) for line in answer.content.splitlines()]
        except ValueError:
            self.journal.blame("torn", f"/v1/scores {answer.content[-80:]!r}")
            return
        if len({row["run_id"] for row in rows}) > 1:
            self.journal.blame("torn", "/v1/scores tells of two runs")
        if len({row["customer_id"] for row in rows}) != len(rows):
            self.journal.blame("doubled", "/v1/scores tells of somebody twice")


class Operator(Caller):
    """Starts runs, fits, rebuilds and changes of policy, and waits for each to end."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._version = 1
        self._left: list[Any] = []

    async def act(self) -> None:
        if not self._left:
            works = [self._run, self._fit, self._rebuild, self._activate]
            self._left = self.chance.sample(works, len(works))
        await self._left.pop()()
        await asyncio.sleep(self.chance.uniform(0, 0.5))

    async def _run(self) -> None:
        await self.work("/v1/scoring-runs", {})

    async def _fit(self) -> None:
        await self.work("/v1/models", {"activate": True})

    async def _rebuild(self) -> None:
        await self.rebuilt()

    async def rebuilt(self) -> None:
        """Have everything derived anew; only while nobody writes it must be as it is kept."""
        await self.work("/v1/rebuilds", {})

    async def _activate(self) -> None:
        version = self._version % len(PRESETS) + 1
        preview = await self.work(f"/v1/policies/{version}/preview", {})
        if preview is None or preview["state"] != "succeeded":
            return
        asked = {"token": preview["result"]["token"], "max_drift": 1_000_000}
        done = await self.work(f"/v1/policies/{version}/activate", asked, (202, 409, 412))
        if done is not None and done["state"] == "succeeded":
            self._version = version

    async def work(
        self, path: str, body: dict[str, Any], expected: tuple[int, ...] = (202,)
    ) -> dict[str, Any] | None:
        """Start an operation under a key and wait for its end; None if it was refused."""
        self._requests += 1
        key = f"{self.name}-o{self._requests:06}"
        self.journal.keyed[key] = False
        answer = await self.ask("POST", path, expected, body=body, key=key)
        if answer is None or answer.status_code != 202:
            return None
        self.journal.counts["acknowledged"] += 1
        self.journal.keyed[key] = True
        operation: dict[str, Any] = self.parsed(answer)
        self.journal.operations.add(operation["id"])
        while operation["state"] in OPEN:
            await asyncio.sleep(0.1)
            shown = await self.ask("GET", f"/v1/operations/{operation['id']}", (200,))
            if shown is None or shown.status_code != 200:
                return None
            operation = self.parsed(shown)
        self.journal.counts["operations"] += 1
        if operation["state"] != "succeeded" and operation["error"]["code"] not in MAY_FAIL:
            self.journal.blame("failed", f"operation {path}: {operation['error']}")
        return operation
