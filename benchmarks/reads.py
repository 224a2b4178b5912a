"""What is asked of customers beside the bare route with one `fetchrow`, under the same server.

Customers by the thousand, a fitted model and a published run. Each path is asked in turn, over one
connection and over sixteen, then at half of its rate in an open loop. A look-up of 1,000 is timed
over HTTP, and the worst answer of `/livez` meanwhile. `--before FOLDER` asks another tree in turn.
"""

import argparse
import contextlib
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks import bare, business, load
from benchmarks.load import Load

CONNECTIONS = (1, 16)
BARE = "bare route"
BEFORE = ", before"
PATHS = {
    "customer": "/v1/customers/{}",
    "stage": "/v1/customers/{}/stage",
    "score card": "/v1/customers/{}/scores",
}
PAGE = "page of 50"
LOOKED_UP, LIVE_RATE = 1000, 50.0


@dataclass(frozen=True)
class Asked:
    """A way to ask a process for something."""

    port: int
    pid: int
    paths: list[str]
    headers: dict[str, str]

    def load(self, connections: int, seconds: float, rate: float | None = None) -> Load:
        return Load(self.port, self.paths, self.headers, connections, seconds, rate)


@dataclass(frozen=True)
class Tree:
    """A service that knows the business."""

    client: httpx.Client
    asked: dict[str, Asked]

    @property
    def live(self) -> Asked:
        customer = self.asked["customer"]
        return Asked(customer.port, customer.pid, ["/livez"], {})


@contextlib.contextmanager
def peopled(customers: int, tree: Path | None) -> Iterator[Tree]:
    with business.service(tree) as (service, client):
        business.tell(client, business.purchases(customers))
        business.learn(service, client, tree)
        names = [business.name(number) for number in range(0, customers, max(customers // 500, 1))]
        port = client.base_url.port
        assert port is not None

        def of(paths: list[str]) -> Asked:
            return Asked(port, service.pid, paths, service.headers)

        asked = {what: of([path.format(name) for name in names]) for what, path in PATHS.items()}
        asked[PAGE] = of(pages(client))
        with bare.running(service.dsn, names[0]) as (bare_port, pid):
            paths = [bare.PATH.format(name) for name in names]
            yield Tree(client, {BARE: Asked(bare_port, pid, paths, {}), **asked})


def pages(client: httpx.Client) -> list[str]:
    """Return the paths of the first pages of the list."""
    first = "/v1/churn-risks?limit=50"
    found = [first]
    while len(found) < 10:
        cursor = client.get(found[-1]).raise_for_status().json()["next_cursor"]
        if cursor is None:
            break
        found.append(f"{first}&cursor={cursor}")
    return found


def rates(every: dict[str, Asked], connections: int, seconds: float, rounds: int) -> list[str]:
    """Ask everything in turn; tell rates and what the process spent, and return the ratios."""
    found: dict[str, list[tuple[float, float]]] = {what: [] for what in every}
    for _ in range(rounds):
        for what, asked in every.items():
            before = load.processor(asked.pid)
            answered = load.ask(asked.load(connections, seconds))
            spent = (load.processor(asked.pid) - before) / answered.requests
            found[what].append((answered.per_second, spent * 1e3))
    for what, turns in found.items():
        rate, spent = (statistics.median(column) for column in zip(*turns, strict=True))
        told = load.ask(every[what].load(connections, seconds, rate / 2))
        print(f"{connections:2} connections, {what}: {rate:.0f} a second, {spent:.2f} ms of the "
              f"processor each; at {rate / 2:.0f} a second p50 {told.p50:.1f}, p99 {told.p99:.1f} "
              f"ms; load {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip
    return [
        f"{what}, {connections} connections: "
        f"{statistics.median(a / b for (a, _), (b, _) in zip(turns, found[BARE], strict=True)):.3f}"
        f" x the requests of the bare route"
        for what, turns in found.items()
        if what != BARE
    ]


def lookups(tree: Tree, customers: int, rounds: int) -> str:
    """Return how long a look-up takes, and how long others wait meanwhile."""
    body = {"customer_ids": [business.name(number) for number in range(min(customers, LOOKED_UP))]}

    def look_up() -> float:
        started = time.perf_counter()
        tree.client.post("/v1/scores/lookup", json=body).raise_for_status()
        return time.perf_counter() - started

    look_up()
    times = []
    with ThreadPoolExecutor(1) as pool:
        live = pool.submit(load.ask, tree.live.load(4, 3.0 + rounds, LIVE_RATE))
        time.sleep(1.5)  # until the generator has begun
        while not live.done():
            times.append(look_up())
        paused = live.result()
    return (f"look-up of {len(body['customer_ids']):,}: {statistics.median(times) * 1e3:.0f} ms; "
            f"/livez meanwhile {paused.worst:.0f} ms at worst, p99 {paused.p99:.0f}")  # fmt: skip


def main(customers: int, seconds: float, rounds: int, before: Path | None) -> None:
    most = load.limit().per_second
    by = "wrk" if load.WRK else "the generator"
    print(f"{by} alone: {most:,.0f} a second; load {os.getloadavg()[0]:.1f}", flush=True)
    with contextlib.ExitStack() as stack:
        trees = {"": stack.enter_context(peopled(customers, None))}
        if before is not None:
            trees[BEFORE] = stack.enter_context(peopled(customers, before))
        asked = {
            what + mark: own
            for mark, tree in trees.items()
            for what, own in tree.asked.items()
            if not (mark and what == BARE)
        }
        lines = [
            line
            for connections in CONNECTIONS
            for line in rates(asked, connections, seconds, rounds)
        ]
        lines += [lookups(tree, customers, rounds) + mark for mark, tree in trees.items()]
    print("\n".join(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, help="folder of another tree")
    given = parser.parse_args()
    main(given.customers, given.seconds, given.rounds, given.before)
