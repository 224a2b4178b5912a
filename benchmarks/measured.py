"""Processor seconds and memory of a piece of work, each time in a process of its own."""

import ctypes
import math
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ENOUGH_SECONDS, MOST_ROUNDS, MOST_TURNS = 1.0, 5, 3
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Contender:
    """Something that takes part.

    ``start(input)`` makes ready and returns what is timed; ``digest(answer, input)`` returns what
    is told of the answer.
    """

    name: str
    start: Callable[[Any], Callable[[], Any]]
    digest: Callable[[Any, Any], dict[str, float]]


@dataclass(frozen=True)
class Measured:
    seconds: float
    megabytes: float
    figures: dict[str, float]


def race(
    contenders: list[Contender], given: Any, small: Any, *, budget: float = 10.0
) -> dict[str, Measured]:
    """Let all take turns, so that they see the same machine; return the best of each.

    Another turn starts while less than ``budget`` seconds are spent.
    """
    best: dict[str, Measured] = {}
    started = time.perf_counter()
    for _ in range(MOST_TURNS):
        for contender in contenders:
            now = _in_child(contender, given, small)
            before = best.get(contender.name, now)
            best[contender.name] = Measured(
                min(now.seconds, before.seconds),
                max(now.megabytes, before.megabytes),
                now.figures,
            )
        if time.perf_counter() - started > budget:
            break
    return best


def _in_child(contender: Contender, given: Any, small: Any) -> Measured:
    reader, writer = _FORK.Pipe(duplex=False)
    child = _FORK.Process(target=_measure, args=(writer, contender, given, small))
    child.start()
    writer.close()
    try:
        return reader.recv()
    finally:
        child.join()


def _measure(writer: Connection, contender: Contender, given: Any, small: Any) -> None:
    contender.start(small)()  # loads and compiles what is loaded and compiled once
    work = contender.start(given)
    before = _resident_megabytes()
    seconds: list[float] = []
    while len(seconds) < MOST_ROUNDS and sum(seconds) < ENOUGH_SECONDS:
        answer = None  # not two at a time
        started = time.process_time()
        answer = work()
        seconds.append(time.process_time() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    writer.send(Measured(min(seconds), peak - before, contender.digest(answer, given)))


def _resident_megabytes() -> float:
    """Return the memory in use, once what is free has been given back, and forget the peak."""
    if sys.platform != "linux":
        return math.nan  # neither units nor meaning of these figures are the same elsewhere
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
