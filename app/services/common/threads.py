"""Where columns and items are worked on, so that no other request waits for it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import ParamSpec, TypeVar

INLINE_ROWS = 500
"""Rows that are computed on the event loop; more go to a thread."""
TURN_SECONDS = 0.004
"""How long items are worked on before others have their turn."""

P = ParamSpec("P")
T = TypeVar("T")


async def compute(rows: int, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Call a function of so many rows, which does no I/O."""
    if rows > INLINE_ROWS:
        return await asyncio.to_thread(function, *arguments, **named)
    return function(*arguments, **named)


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield items, with a turn of the event loop for others whenever a while has passed.

    For work of Python alone, which a thread would share the interpreter with us for.
    """
    until = time.perf_counter() + TURN_SECONDS
    for item in items:
        yield item
        if time.perf_counter() >= until:
            await asyncio.sleep(0)
            until = time.perf_counter() + TURN_SECONDS
