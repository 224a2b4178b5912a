"""Long work on the event loop lets others have their turn."""

import asyncio
import contextlib
import time

from app.services.common import threads


async def _busy(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


async def test_items_come_in_order_while_others_have_turns() -> None:
    seen: list[int | str] = []

    async def other() -> None:
        while True:
            seen.append("other")
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    async for item in threads.in_turns(range(3)):
        await _busy(2 * threads.TURN_SECONDS)
        seen.append(item)
    beside.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await beside
    assert [each for each in seen if each != "other"] == [0, 1, 2]
    assert seen.index(0) < seen.index("other") < seen.index(1)


async def test_nothing_to_do_is_nothing() -> None:
    assert [item async for item in threads.in_turns(())] == []
