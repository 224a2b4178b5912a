"""Where columns are computed: few at once, many in a thread, so that no request waits."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

INLINE_ROWS = 500
"""Rows that are computed on the event loop; more go to a thread."""

P = ParamSpec("P")
T = TypeVar("T")


async def compute(rows: int, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Call a function of so many rows, which does no I/O."""
    if rows > INLINE_ROWS:
        return await asyncio.to_thread(function, *arguments, **named)
    return function(*arguments, **named)
