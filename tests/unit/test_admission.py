"""Who is admitted, in which order, and who is refused: the line by itself."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from app.edge import admission
from app.edge.admission import Admission, Ticket, operation_of
from app.errors import Overloaded


class World:
    """Eight slots, and what became of those who asked for one."""

    def __init__(self, *, slots: int = 8, in_flight: int = 20, seconds: float = 60.0) -> None:
        self.admission = Admission(slots, in_flight, seconds)
        self.running: list[str] = []
        self.refused: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.tickets: dict[str, Ticket] = {}

    async def ask(
        self, name: str, key: str = "k", operation: str = "read", *, short: bool = True
    ) -> None:
        ticket = self.tickets[name] = Ticket(key, operation, short)

        async def enter() -> None:
            try:
                await self.admission.enter(ticket)
            except Overloaded:
                self.refused.append(name)
            else:
                self.running.append(name)

        self.tasks.append(asyncio.create_task(enter()))
        await self.settle()

    async def end(self, name: str) -> None:
        self.admission.leave(self.tickets[name])
        self.running.remove(name)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)


def play(test: Callable[[World], Coroutine[Any, Any, None]], **kwargs: Any) -> None:
    async def main() -> None:
        world = World(**kwargs)
        await test(world)
        for task in world.tasks:
            task.cancel()
        await asyncio.gather(*world.tasks, return_exceptions=True)

    asyncio.run(main())


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds by which the clock of the line is ahead."""
    ahead = [0.0]
    real = admission.monotonic
    monkeypatch.setattr(admission, "monotonic", lambda: real() + ahead[0])
    return ahead


def test_writes_leave_slots_to_reads_and_are_served_when_one_ends() -> None:
    async def test(world: World) -> None:
        for number in range(8):
            await world.ask(f"w{number}", operation=f"write{number}", short=False)
        assert world.running == [f"w{number}" for number in range(6)]
        await world.ask("r0", operation="read0")
        await world.ask("r1", operation="read1")
        assert world.running[6:] == ["r0", "r1"]
        await world.end("r0")
        assert "w6" not in world.running
        await world.end("w0")
        assert world.running[-1] == "w6"

    play(test)


def test_the_last_slot_goes_to_a_key_or_an_operation_of_which_nothing_runs() -> None:
    async def test(world: World) -> None:
        for number in range(9):
            await world.ask(f"r{number}")
        assert len(world.running) == 7
        await world.ask("other", operation="other")
        assert world.running[-1] == "other"
        await world.end("other")
        assert world.running[-1] == "r6"
        await world.ask("stranger", key="stranger")
        assert world.running[-1] == "stranger"

    play(test)


def test_the_key_with_the_fewest_running_is_next() -> None:
    async def test(world: World) -> None:
        for number in range(12):
            await world.ask(f"a{number}", key="a")
        for number in range(4):
            await world.ask(f"b{number}", key="b")
        for number in range(7):
            await world.end(f"a{number}")
        keys = [world.tickets[name].key for name in world.running]
        assert sorted(keys) == ["a"] * 4 + ["b"] * 3

    play(test, in_flight=30)


def test_who_waits_too_long_is_refused_and_the_newest_is_then_served_first() -> None:
    async def test(world: World) -> None:
        await world.ask("first")
        await world.ask("late")
        await asyncio.wait(world.tasks[1:])
        assert world.refused == ["late"]
        assert world.admission.overloaded

    play(test, slots=1, seconds=0.01)

    async def order(world: World) -> None:
        for name in ("first", "old", "middle", "new"):
            await world.ask(name)
        assert world.refused == ["old"]
        await world.end("first")
        assert world.running == ["new"]

    play(order, slots=1, in_flight=3)


def test_without_overload_the_oldest_is_served_first() -> None:
    async def test(world: World) -> None:
        for name in ("first", "old", "new"):
            await world.ask(name)
        await world.end("first")
        assert world.running == ["old"]

    play(test, slots=1)


def test_one_who_fills_the_line_makes_place_for_others() -> None:
    async def test(world: World) -> None:
        for number in range(19):
            await world.ask(f"a{number}", key="a")
        await world.ask("b", key="b", operation="elsewhere")
        assert not world.refused  # of the eighth slot
        for number in range(4):
            await world.ask(f"b{number}", key="b", operation="elsewhere")
        assert world.refused == [f"a{number}" for number in range(7, 11)]

    play(test)


def test_an_operation_that_turned_slow_has_half_of_the_slots(passed: list[float]) -> None:
    async def test(world: World) -> None:
        for number in range(9):
            await world.ask(f"slow{number}", operation="slow")
        assert len(world.running) == 7
        passed[0] = 2 * admission.SLOW_SECONDS
        for number in range(6):
            await world.end(f"slow{number}")
        assert len([name for name in world.running if name.startswith("slow")]) == 3
        for number in range(4):
            await world.ask(f"new{number}", operation="slow")
        assert len([name for name in world.running if name.startswith(("slow", "new"))]) == 4
        await world.ask("other", operation="other")
        assert world.running[-1] == "other"

    play(test)


def test_more_of_what_waits_in_vain_is_shed_and_nothing_else() -> None:
    async def test(world: World) -> None:
        for number in range(20):
            await world.ask(f"a{number}")
        assert not world.admission.sheds("k", "read")  # nobody was refused yet
        await world.ask("a20")
        await asyncio.sleep(0)
        assert world.refused == ["a7"]
        assert world.admission.sheds("k", "read")
        assert not world.admission.sheds("k", "other")
        assert not world.admission.sheds("other", "read")

    play(test)


def test_a_slot_is_given_back_once_and_by_who_is_cancelled_too() -> None:
    async def test(world: World) -> None:
        for name in ("first", "waits", "cancelled", "last"):
            await world.ask(name)
        world.tasks[2].cancel()
        await world.end("first")
        world.admission.leave(world.tickets["first"])
        assert world.running == ["waits"]
        await world.end("waits")
        assert world.running == ["last"]

    play(test, slots=1)


def test_one_whose_turn_comes_as_it_is_cancelled_keeps_no_slot() -> None:
    async def test(world: World) -> None:
        for name in ("first", "cancelled", "last"):
            await world.ask(name)
        world.admission.leave(world.tickets["first"])
        world.tasks[1].cancel()  # before it could notice
        for _ in range(5):
            await asyncio.sleep(0)
        assert world.running == ["first", "last"]

    play(test, slots=1)


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/v1/customers", "GET customers"),
        ("/v1/customers/a", "GET customers"),
        ("/v1/customers/b/stage", "GET customers/stage"),
        ("/v1/customers/b/stage/history", "GET customers/stage"),
        ("/v1/scores/lookup", "GET scores/lookup"),
        ("/v1/info", "GET info"),
        ("/", "GET "),
    ],
)
def test_requests_that_wait_for_the_same_are_one_operation(path: str, operation: str) -> None:
    assert operation_of("GET", path) == operation
