"""Questions that wait at the same moment share a batch, and nothing else."""

import asyncio
import random
from collections.abc import Sequence

import asyncpg
import pytest

from app.services.common.microbatches import MicroBatches

Batch = tuple[str, list[int]]


class Server:
    """Doubles numbers, one batch after another as `go` lets it; 13 is refused, 7 breaks."""

    def __init__(self, **bounds: int) -> None:
        self.batches: list[Batch] = []
        self.answering = 0
        self.most = 0
        self.go = asyncio.Event()
        self.shared = MicroBatches[str, int, int](self._answer, **bounds)

    async def _answer(self, key: str, questions: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append((key, list(questions)))
        self.answering += 1
        self.most = max(self.most, self.answering)
        try:
            await self.go.wait()
        finally:
            self.answering -= 1
        if key == "away":
            raise ConnectionResetError
        if 7 in questions:
            raise ZeroDivisionError(len(questions))
        return [KeyError(13) if each == 13 else 2 * each for each in questions]

    def ask(self, key: str, *numbers: int) -> list[asyncio.Task[int]]:
        return [asyncio.create_task(self.shared.ask(key, number)) for number in numbers]


async def passed() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_question_asked_alone_is_sent_at_once_and_those_that_come_meanwhile_share() -> None:
    server = Server()
    first = server.ask("a", 1)
    await passed()
    assert server.batches == [("a", [1])]
    others = server.ask("a", 2, 3, 2)
    await passed()
    assert len(server.batches) == 1, "a batch of the key is under way"
    server.go.set()
    assert await asyncio.gather(*first, *others) == [2, 4, 6, 4]
    assert server.batches == [("a", [1]), ("a", [2, 3, 2])]


async def test_what_is_asked_in_one_turn_of_the_loop_is_one_batch() -> None:
    server = Server()
    server.go.set()
    assert await asyncio.gather(*server.ask("a", 1, 2, 3)) == [2, 4, 6]
    assert server.batches == [("a", [1, 2, 3])]


async def test_keys_do_not_share_and_few_batches_run_at_once_in_turn() -> None:
    server = Server(at_once=2, size=3)
    asked = [task for key in "abcd" for task in server.ask(key, 1, 2, 3, 4)]
    await passed()
    assert server.batches == [("a", [1, 2, 3]), ("b", [1, 2, 3])]
    server.go.set()
    assert await asyncio.gather(*asked) == [2, 4, 6, 8] * 4
    assert server.most == 2
    assert sorted(server.batches[2:4]) == [("c", [1, 2, 3]), ("d", [1, 2, 3])], "before second ones"
    assert {len(batch) for _, batch in server.batches} == {1, 3}


async def test_an_error_of_one_is_told_to_that_one() -> None:
    server = Server()
    server.go.set()
    found = await asyncio.gather(*server.ask("a", 1, 13, 3), return_exceptions=True)
    assert [type(each) for each in found] == [int, KeyError, int]
    assert server.batches == [("a", [1, 13, 3])]


async def test_what_breaks_a_batch_breaks_for_the_one_who_asked_it() -> None:
    server = Server()
    server.go.set()
    found = await asyncio.gather(*server.ask("a", 1, 7, 3), return_exceptions=True)
    assert [type(each) for each in found] == [int, ZeroDivisionError, int]
    assert server.batches == [("a", [1, 7, 3]), ("a", [1]), ("a", [7]), ("a", [3])]


async def test_without_a_database_all_are_told_so_and_nobody_tries_again() -> None:
    server = Server()
    server.go.set()
    found = await asyncio.gather(*server.ask("away", 1, 2), return_exceptions=True)
    assert [type(each) for each in found] == [ConnectionResetError] * 2
    assert server.batches == [("away", [1, 2])]
    assert not isinstance(found[0], asyncpg.PostgresError)
    assert await asyncio.gather(*server.ask("a", 4)) == [8]


async def test_who_leaves_before_is_not_asked_for_and_who_leaves_during_hurts_nobody() -> None:
    server = Server()
    first = server.ask("a", 1)
    await passed()
    waiting = server.ask("a", 2, 3, 4)
    await passed()
    waiting[1].cancel()
    await passed()
    server.go.set()
    await first[0]
    server.go.clear()
    await passed()
    assert server.batches[1] == ("a", [2, 4])
    waiting[0].cancel()
    server.go.set()
    assert await waiting[2] == 8
    assert waiting[0].cancelled()
    assert waiting[1].cancelled()


async def test_where_all_have_left_nothing_is_sent() -> None:
    server = Server()
    for task in server.ask("a", 1, 2):
        await asyncio.sleep(0)
        task.cancel()
    await passed()
    server.go.set()
    assert await asyncio.gather(*server.ask("a", 5)) == [10]
    assert [5] in [batch for _, batch in server.batches]
    assert all(batch for _, batch in server.batches)


@pytest.mark.parametrize("seed", range(5))
async def test_everybody_is_answered_whatever_comes_and_goes(seed: int) -> None:
    rng = random.Random(seed)
    server = Server(at_once=2, size=4)
    server.go.set()

    async def one(number: int) -> None:
        await asyncio.sleep(rng.random() / 200)
        task = asyncio.create_task(server.shared.ask(rng.choice("ab"), number))
        if rng.random() < 0.2:
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        elif number in (7, 13):
            with pytest.raises((ZeroDivisionError, KeyError)):
                await task
        else:
            assert await task == 2 * number

    async with asyncio.timeout(20):
        await asyncio.gather(*(one(number) for number in rng.choices(range(60), k=300)))
    assert server.most <= 2
    assert max(len(batch) for _, batch in server.batches) <= 4
