"""Callers who go on whatever is done to a service, and tell how long each answer took and when."""

import asyncio
import contextlib
import itertools
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator

import httpx

POLL_SECONDS = 0.1
AWAY = "refused connect"


class Balancer:
    """A round-robin over the addresses that say they are ready."""

    def __init__(self, key: str) -> None:
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"}, timeout=30, verify=False,
            limits=httpx.Limits(max_connections=None, keepalive_expiry=30),
        )  # fmt: skip
        self._ready: dict[str, bool] = {}
        self._turns = itertools.count()

    def add(self, address: str) -> None:
        self._ready[address] = False

    def remove(self, address: str) -> None:
        del self._ready[address]

    def is_ready(self, address: str) -> bool:
        return self._ready[address]

    async def until(self, address: str, *, ready: bool) -> None:
        while self._ready[address] is not ready:  # noqa: ASYNC110  # `watch` looks again and again
            await asyncio.sleep(POLL_SECONDS / 2)

    async def watch(self) -> None:
        while True:
            for address in list(self._ready):
                answer = None
                with contextlib.suppress(httpx.HTTPError):
                    answer = await self._client.get(f"{address}/readyz")
                if address in self._ready:
                    self._ready[address] = answer is not None and answer.status_code == 200
            await asyncio.sleep(POLL_SECONDS)

    async def send(
        self, method: str, path: str, body: object, headers: dict[str, str]
    ) -> str | None:
        """Return what went wrong, if anything; a connection that is refused is tried elsewhere."""
        ready = [address for address, is_ready in self._ready.items() if is_ready]
        address = ready[next(self._turns) % len(ready)]
        try:
            answer = await self._client.request(
                method, f"{address}{path}", json=body, headers=headers
            )
        except httpx.ConnectError:
            return AWAY
        except httpx.HTTPError as error:
            return type(error).__name__
        return None if answer.is_success else f"{answer.status_code} {answer.text[:200]}"


class Callers:
    """Some callers, each one request after the other: of four one is a write."""

    def __init__(self, balancer: Balancer, *, writes: int = 4) -> None:
        self._balancer, self._writes = balancer, writes
        self._stopping = False
        self.phase = ""
        self.took: dict[str, list[float]] = defaultdict(list)
        self.failed: dict[str, Counter[str]] = defaultdict(Counter)
        self.acknowledged: set[str] = set()

    @contextlib.asynccontextmanager
    async def calling(self, number: int) -> AsyncIterator[None]:
        watching = asyncio.create_task(self._balancer.watch())
        tasks = [asyncio.create_task(self._go_on(f"r{each}")) for each in range(number)]
        try:
            yield
        finally:
            self._stopping = True
            await asyncio.gather(*tasks)
            watching.cancel()

    async def _go_on(self, name: str) -> None:
        for turn in itertools.count():
            if self._stopping:
                return
            customer, sent = f"{name}-{turn % 20}", f"{name}-{turn}"
            if turn < 20 or turn % self._writes == 0:
                body = {
                    "customer_id": customer,
                    "transaction_id": sent,
                    "occurred_at": "2026-01-31T12:00:00Z",
                    "amount": {"amount": "12.50"},
                }
                if await self._ask("POST", "/v1/transactions", body, {"Idempotency-Key": sent}):
                    self.acknowledged.add(sent)
            else:
                await self._ask("GET", f"/v1/customers/{customer}/scores", None, {})

    async def _ask(self, method: str, path: str, body: object, headers: dict[str, str]) -> bool:
        started = time.perf_counter()
        while (told := await self._balancer.send(method, path, body, headers)) == AWAY:
            self.failed[self.phase][AWAY] += 1
        self.took[self.phase].append(time.perf_counter() - started)
        if told is not None:
            self.failed[self.phase][told] += 1
        return told is None

    def report(self) -> None:
        """Print a line for each phase, then what went wrong."""
        print(f"{'phase':24}{'requests':>9}{'failed':>8}{'refused':>8}   p50 ms   p99 ms  worst ms")
        for phase, took in self.took.items():
            wrong = self.failed[phase]
            failed = sum(count for name, count in wrong.items() if name != AWAY)
            cuts = statistics.quantiles(took, n=100, method="inclusive")
            print(
                f"{phase:24}{len(took):9}{failed:8}{wrong[AWAY]:8}"
                f"{cuts[49] * 1e3:9.1f}{cuts[98] * 1e3:9.1f}{max(took) * 1e3:10.1f}"
            )
            for name in wrong.keys() - {AWAY}:
                print(f"  {wrong[name]} times: {name}")
