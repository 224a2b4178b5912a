"""Questions that wait at the same moment, answered together: one statement, one set of columns.

Nobody waits for others to come: while a batch is being answered, those who ask gather into the
next one, so that batches grow with the load and a question asked alone is a batch of its own.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from app.postgres.sqlstates import from_database

SIZE = 64
"""Questions of one batch at most: what it computes, it computes on the event loop."""
AT_ONCE = 3
"""Batches that are answered at once at most; each holds a connection."""

Key = TypeVar("Key")
Question = TypeVar("Question")
Answer = TypeVar("Answer")


class MicroBatches(Generic[Key, Question, Answer]):
    """Answers questions of one key together; of one batch of a key at a time, if they suffice.

    `answer` returns for each question, in order, an answer or the exception that is its own. Where
    it fails as a whole, each is asked alone, so that one question does not spoil the others; but
    not where the database fails, which all are told of.
    """

    def __init__(
        self,
        answer: Callable[[Key, Sequence[Question]], Awaitable[Sequence[Answer | Exception]]],
        *,
        size: int = SIZE,
        at_once: int = AT_ONCE,
    ) -> None:
        self._answer = answer
        self._size = size
        self._at_once = at_once
        self._waiting: dict[Key, deque[tuple[Question, asyncio.Future[Answer]]]] = {}
        self._tasks: dict[asyncio.Task[None], Key] = {}

    async def ask(self, key: Key, question: Question) -> Answer:
        """Return the answer of the next batch of the key; whoever leaves is left out of it."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append((question, future))
        self._begin()
        return await future

    def _begin(self) -> None:
        """Begin as many batches as may be; which questions they have is decided as they run."""
        busy = set(self._tasks.values())
        for key in [key for key in self._waiting if key not in busy]:
            if len(self._tasks) >= self._at_once:
                return
            # In a context of its own: what is logged of it is no matter of one request.
            task = asyncio.get_running_loop().create_task(self._run(key), context=Context())
            self._tasks[task] = key
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._begin()

    async def _run(self, key: Key) -> None:
        waiting = self._waiting.pop(key)
        batch: list[tuple[Question, asyncio.Future[Answer]]] = []
        while waiting and len(batch) < self._size:
            question, future = waiting.popleft()
            if not future.done():
                batch.append((question, future))
        if waiting:
            self._waiting[key] = waiting  # behind the other keys
        try:
            await self._serve(key, batch)
        finally:
            for _, future in batch:
                future.cancel()  # of a batch that was cancelled itself: nobody waits for ever

    async def _serve(
        self, key: Key, batch: Sequence[tuple[Question, asyncio.Future[Answer]]]
    ) -> None:
        if not batch:
            return
        try:
            answers = await self._answer(key, [question for question, _ in batch])
        except Exception as error:  # noqa: BLE001  # told to those who asked
            if len(batch) > 1 and from_database(error) is None:
                for one in batch:
                    await self._serve(key, [one])
                return
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
