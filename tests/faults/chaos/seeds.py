"""One seed after the other: a deployment, its callers, the steps of its schedule, what is told."""

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.chaos import checks, schedule, steps
from tests.faults.chaos.caller import Caller
from tests.faults.chaos.deployment import Deployment, deployed
from tests.faults.chaos.journal import Journal
from tests.faults.chaos.readers import Operator, Reader
from tests.faults.chaos.writers import Writer
from tests.prepared import prepare, reachable_folder

KEPT = Path(__file__).parent / "failed_seeds.txt"
BETWEEN_SECONDS = 0.5
OTHERS = "undeclared", "failed", "torn", "stuck", "late"
KILLS = "kill_api", "kill_worker", "kill_backend", "kill_postmaster"
PATIENCE_SECONDS = 90.0
_WRITERS, _READERS = 4, 2


def kept() -> list[int]:
    """Return the seeds that once failed."""
    lines = KEPT.read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


def in_order(first: int, *, alone: bool) -> Iterator[int]:
    """Yield what to run: the seeds that once failed, then one after the other."""
    if not alone:
        yield from kept()
        while True:
            yield first
            first += 1
    yield first


@contextmanager
def prepared_folder(given: Path | None) -> Iterator[Path]:
    """Yield a data folder with a migrated database to copy."""
    if given is not None:
        yield given
        return
    with reachable_folder() as folder:
        prepare(folder / "prepared")
        yield folder / "prepared"


@dataclass(frozen=True)
class Runner:
    """Runs seeds, each on a deployment of its own."""

    prepared: Path
    namespace: bool
    steps: int
    ready_seconds: float
    brief: bool

    async def run(self, seed: int) -> Counter[str]:
        """Run a seed and tell of it in a line; return what is summed over all of them."""
        plan = schedule.draw(seed, self.steps, brief=self.brief, disk=self.namespace)
        journal, done, started = Journal(), Counter[str](), time.monotonic()
        async with deployed(
            plan.ahead, seed, prepared=self.prepared, namespace=self.namespace
        ) as deployment:
            await self._ready(deployment, journal, PATIENCE_SECONDS, "the start")
            given = deployment.urls, deployment.key, journal, seed
            operator = Operator("operator", *given)
            callers = [
                operator,
                *(Writer(f"writer-{each}", *given) for each in range(_WRITERS)),
                *(Reader(f"reader-{each}", *given) for each in range(_READERS)),
            ]
            try:
                await self._storm(plan, deployment, journal, callers, done)
            finally:
                for each in callers:
                    await each.client.aclose()
            for name in await asyncio.to_thread(deployment.end):
                journal.blame("stuck", f"{name} did not end when it was told to")
            if journal.faults:
                log = shutil.copy(deployment.log, f"{tempfile.gettempdir()}/clm-faults-{seed}.log")
                print(f"  seed {seed}: what its processes logged is in {log}", flush=True)
        return tell(seed, plan, journal, done, time.monotonic() - started)

    async def _storm(
        self, plan: schedule.Schedule, deployment: Deployment, journal: Journal,
        callers: list[Caller], done: Counter[str],
    ) -> None:  # fmt: skip
        operator = next(each for each in callers if isinstance(each, Operator))
        for number, faults in enumerate(plan.steps, 1):
            what = f"step {number}: {', '.join(map(str, faults))}"
            before = len(journal.faults)
            stopping = asyncio.Event()
            acting = [asyncio.create_task(each.act_until(stopping)) for each in callers]
            try:
                await asyncio.sleep(BETWEEN_SECONDS)
                for name in await steps.perform(deployment, faults, done):
                    journal.blame("failed", f"{name} ended by itself at {what}")
                await self._ready(deployment, journal, self.ready_seconds, what)
                await asyncio.sleep(BETWEEN_SECONDS)
                stopping.set()
                ended, hanging = await asyncio.wait(acting, timeout=PATIENCE_SECONDS)
                for each in ended:
                    each.result()
                if hanging:
                    journal.blame("stuck", f"{len(hanging)} callers got no answer after {what}")
            finally:
                for each in acting:
                    each.cancel()
                await asyncio.gather(*acting, return_exceptions=True)
            await checks.all_of(deployment, journal, operator)
            for word, line in journal.faults[before:]:
                print(f"  {what}: {word}: {line}", flush=True)

    async def _ready(
        self, deployment: Deployment, journal: Journal, patience: float, what: str
    ) -> None:
        took = await deployment.seconds_until_ready(PATIENCE_SECONDS)
        journal.slowest = max(journal.slowest, took)
        if took >= PATIENCE_SECONDS:
            raise RuntimeError(f"not ready {took:.0f} s after {what}")
        if took > patience:
            journal.blame("late", f"ready {took:.1f} s after {what}")


def tell(
    seed: int, plan: schedule.Schedule, journal: Journal, done: Counter[str], seconds: float
) -> Counter[str]:
    """Print the line of a seed; return what of it is summed."""
    counts, blamed = journal.counts, Counter(word for word, _ in journal.faults)
    ahead = ", ".join(f"{each.total_seconds() / 3600:+.0f} h" for each in plan.ahead)
    happened = ", ".join(f"{count} {kind}" for kind, count in sorted(done.items()))
    print(
        f"seed {seed}: {'FAILED' if blamed else 'held'} in {seconds:.0f} s; {happened};"
        f" {counts['requests']} requests, {counts['acknowledged']} acknowledged writes,"
        f" {len(journal.acknowledged)} facts, {counts['refused']} answered 503,"
        f" {counts['unanswered']} unanswered, {counts['operations']} operations;"
        f" clocks {ahead}; ready after at most {journal.slowest:.1f} s;"
        f" losses {blamed['lost']}, doubles {blamed['doubled']}, differences {blamed['differs']},"
        f" others {sum(blamed[word] for word in OTHERS)}",
        flush=True,
    )
    for word, line in journal.faults:
        print(f"  {word}: {line}", flush=True)
    if blamed:
        print(f"  again: make faults SEED={seed}; to keep it: a line in {KEPT.name}", flush=True)
    total = Counter({"seeds": 1, "failing seeds": int(bool(blamed))}) + blamed
    total["steps"] = len(plan.steps)
    total["kills"] = sum(done[kind] for kind in KILLS)
    total["faults"] = done.total()
    for name in ("requests", "acknowledged"):
        total[name] = counts[name]
    return total


def summary(total: Counter[str]) -> str:
    """Return the last line."""
    return (
        f"faults: {total['seeds']} seeds, {total['failing seeds']} failing; {total['steps']} steps,"
        f" {total['faults']} faults, {total['kills']} of them kills; {total['requests']} requests,"
        f" {total['acknowledged']} acknowledged; losses {total['lost']},"
        f" doubles {total['doubled']}, differences {total['differs']},"
        f" others {sum(total[word] for word in OTHERS)}"
    )
