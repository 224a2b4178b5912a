"""How each kind of fault is done, and how long it lasts."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from tests.chaos_proxy import ChaosProxy
from tests.faults.chaos import slow_readers
from tests.faults.chaos.deployment import Deployment
from tests.faults.chaos.schedule import Fault

SPARE_BYTES = 600_000
_Action = Callable[[Deployment, Fault], Awaitable[None]]


def _to_database(deployment: Deployment, fault: Fault) -> list[ChaosProxy]:
    """Return the ways to the database that a fault is of: that of one process, or of all."""
    proxies = deployment.before_database
    return proxies if fault.share < 0.3 else [proxies[fault.target]]


def children(parent: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found.append(int(stat.parent.name))
    return sorted(found)


async def _kill_api(deployment: Deployment, fault: Fault) -> None:
    await asyncio.to_thread(deployment.apis[fault.target].kill)


async def _kill_worker(deployment: Deployment, fault: Fault) -> None:
    await asyncio.to_thread(deployment.workers[fault.target].kill)


async def _stop_api(deployment: Deployment, fault: Fault) -> None:
    deployment.apis[fault.target].signal(signal.SIGSTOP)


async def _stop_worker(deployment: Deployment, fault: Fault) -> None:
    deployment.workers[fault.target].signal(signal.SIGSTOP)


async def _kill_postmaster(deployment: Deployment, _: Fault) -> None:
    os.kill(deployment.postmaster(), signal.SIGKILL)


async def _kill_backend(deployment: Deployment, fault: Fault) -> None:
    with suppress(ProcessLookupError):
        backends = children(deployment.postmaster())
        os.kill(backends[int(fault.share * len(backends))], signal.SIGKILL)


async def _fill_disk(deployment: Deployment, fault: Fault) -> None:
    await asyncio.to_thread(deployment.disk.fill, int(SPARE_BYTES * fault.share))


async def _cut(deployment: Deployment, fault: Fault) -> None:
    for _ in range(3):
        for proxy in _to_database(deployment, fault):
            proxy.cut()
        await asyncio.sleep(fault.seconds / 3)


async def _slow_readers(deployment: Deployment, fault: Fault) -> None:
    port = deployment.ports[fault.target]
    await slow_readers.hold(port, deployment.key, readers=8, seconds=fault.seconds)


def _network(make: Callable[[ChaosProxy, Fault], None]) -> _Action:
    async def action(deployment: Deployment, fault: Fault) -> None:
        for proxy in _to_database(deployment, fault):
            make(proxy, fault)

    return action


def _answers(make: Callable[[ChaosProxy, Fault], None]) -> _Action:
    async def action(deployment: Deployment, fault: Fault) -> None:
        make(deployment.before_apis[fault.target], fault)

    return action


ACTIONS: dict[str, _Action] = {
    "kill_api": _kill_api,
    "kill_worker": _kill_worker,
    "stop_api": _stop_api,
    "stop_worker": _stop_worker,
    "kill_postmaster": _kill_postmaster,
    "kill_backend": _kill_backend,
    "fill_disk": _fill_disk,
    "slow_readers": _slow_readers,
    "cut": _cut,
    "cut_pieces": _network(lambda proxy, fault: proxy.cut_pieces(0.2 * fault.share)),
    "hole": _network(lambda proxy, _: proxy.hole()),
    "half_open": _network(
        lambda proxy, fault: proxy.half_open("to_client" if fault.share < 0.6 else "to_server")
    ),
    "stall": _network(lambda proxy, _: proxy.stall()),
    "delay": _network(lambda proxy, fault: proxy.delay(0.3 * fault.share)),
    "refuse": _network(lambda proxy, _: proxy.refuse()),
    "cut_answers": _answers(lambda proxy, fault: proxy.cut_pieces(0.5 * fault.share)),
    "slow_answers": _answers(lambda proxy, fault: proxy.delay(0.5 * fault.share)),
}


async def perform(
    deployment: Deployment, faults: tuple[Fault, ...], done: Counter[str]
) -> list[str]:
    """Do what a step holds, all at once, and end it; return the processes that ended by it."""

    async def one(fault: Fault) -> None:
        done[fault.kind] += 1
        loop = asyncio.get_running_loop()
        until = loop.time() + fault.seconds
        await ACTIONS[fault.kind](deployment, fault)
        await asyncio.sleep(max(0.0, until - loop.time()))

    await asyncio.gather(*(one(fault) for fault in faults))
    return await asyncio.to_thread(deployment.heal)
