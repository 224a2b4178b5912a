"""A file as a worker holds it between two commits: read up to somewhere, the next rows at hand.

Bytes, rows and orders that are open stay in memory, so that going on costs what is read anew and
nothing else. Who has lost them, another worker perhaps, reads the file from its beginning up to
the checkpoint that was committed last, and comes to the same.

While a chunk is written, the next one is made ready in a thread: the database works meanwhile.
"""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

from app.mappings.applying import Mapped, Mapper, Outcome
from app.mappings.compiling import Plan
from app.mappings.detection import Detected
from app.mappings.faults import UnreadableFile
from app.mappings.reading import Reader
from app.mappings.rows import BadRow, Row
from app.services.ingest.imports import windows
from app.services.ingest.imports.windows import Window

FIRST_CHUNK, LARGEST_CHUNK, SMALLEST_CHUNK = 1_000, 8_000, 50
"""Rows of a chunk, which grows while it is written in time, and shrinks if it is not."""
QUICK_SECONDS, SLOW_SECONDS = 0.5, 1.1

Ready = TypeVar("Ready")
Made_co = TypeVar("Made_co", covariant=True)
Rows = Iterator[Row | BadRow]
Read = Callable[[int], Awaitable[bytes]]
"""Returns the next bytes of the file from a position on, none at its end."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where to go on: read from after `skip` rows, and pass over what is written of those behind.

    That is the first `drop` outcomes; with `order`, the first `drop` rows of a window in its order.
    """

    skip: int
    drop: int
    order: int = 0

    def as_json(self) -> dict[str, int]:
        order = {"order": self.order} if self.order else {}
        return {"skip": self.skip, "drop": self.drop, **order}

    @classmethod
    def of(cls, kept: Mapping[str, int]) -> "Checkpoint":
        return cls(**kept)


@dataclass(frozen=True, slots=True)
class Chunk(Generic[Ready]):
    """What is written in one transaction, and where to go on after it."""

    ready: Ready
    checkpoint: Checkpoint
    position: int
    """Bytes of the file that it comes up to."""
    ended: bool
    """Whether there is nothing behind it."""
    error: UnreadableFile | None = None
    """Why the rest cannot be read; then it is empty."""


class _FileRows:
    """The rows of a file whose bytes come in pieces."""

    def __init__(self, detected: Detected, skip: int) -> None:
        self.position = 0
        """Bytes that were handed in."""
        self.ended = False
        """Whether there are none behind those."""
        self.error: UnreadableFile | None = None
        self._reader = Reader(detected, skip=skip)
        self._rows: Rows = iter(())

    def feed(self, piece: bytes) -> None:
        """Take the next bytes, none at the end; all rows of those before have been taken."""
        self.position += len(piece)
        self.ended = not piece
        self._rows = self._reader.feed(piece) if piece else self._reader.finish()

    def fill(self, take: Callable[[Rows], bool]) -> bool:
        """Have rows taken until there are enough; False if more bytes are needed, or none left."""
        try:
            return take(self._rows)
        except UnreadableFile as error:
            self.error, self.ended = error, True
            return False


class _InOrder:
    """Outcomes in the order of the file."""

    def __init__(self, plan: Plan, begun: Checkpoint) -> None:
        self._mapper = Mapper(plan, begun.skip)
        self._to_drop = 0 if begun.order else begun.drop
        self._outcomes: list[Outcome] = []
        self._at_hand = 0

    def fill(self, size: int, rows: Rows) -> bool:
        for row in rows:
            self._keep(self._mapper.feed(row))
            if self._at_hand >= size:
                return True
        return self._at_hand >= size

    def finish(self) -> None:
        self._keep(self._mapper.finish())

    def _keep(self, outcomes: Iterator[Outcome]) -> None:
        for outcome in outcomes:
            if self._to_drop:
                self._to_drop -= 1
            else:
                self._outcomes.append(outcome)
                facts = len(outcome.facts) if isinstance(outcome, Mapped) else 0
                self._at_hand += max(len(outcome.rows), facts)

    def take(self) -> tuple[list[Outcome], Checkpoint]:
        """Return the outcomes at hand, and where to go on after them."""
        taken, self._outcomes, self._at_hand = self._outcomes, [], 0
        checkpoint = self._mapper.checkpoint
        return taken, Checkpoint(checkpoint.skip, checkpoint.drop)


class Prepares(Protocol[Made_co]):
    """Makes rows or their outcomes ready to be written."""

    def of_outcomes(self, outcomes: Iterable[Outcome]) -> Made_co: ...

    def of_rows(
        self, rows: Iterable[Row | BadRow], feed: Callable[[Row | BadRow], Iterable[Outcome]]
    ) -> Made_co: ...


@dataclass
class OpenFile(Generic[Ready]):
    """A file that is being read; what is given has been made ready to be written, in a thread."""

    plan: Plan
    checkpoint: Checkpoint
    """After the chunk that was given last."""
    prepare: Prepares[Ready]
    size: int
    """Bytes of the file."""
    chunk: int = field(default_factory=lambda: FIRST_CHUNK)
    _window: Window | None = field(default=None, repr=False)
    _done: int = 0
    """Rows of the window that were given."""
    _is_last: bool = False
    """Whether there is no other window behind it."""
    _window_from: int = 0
    """The position at which it begins."""
    _reserve: bytes | None = field(default=None, repr=False)
    """Bytes to go on with while nobody asks for more."""
    _ahead: "Future[Chunk[Ready] | None] | None" = field(default=None, repr=False)

    def __post_init__(self) -> None:
        begun = self.checkpoint
        self._rows = _FileRows(self.plan.detected, begun.skip)
        self._mapper = Mapper(self.plan)
        self._in_order = _InOrder(self.plan, begun)
        # The first rows are written as they come: they show soon what becomes of a file.
        if self.plan.owner is not None and begun.skip:
            self._window = self._window_after(begun.skip)
            self._done = begun.drop if begun.order == windows.ORDER else 0

    async def next(self, read: Read) -> Chunk[Ready]:
        """Return the next chunk, and begin to make ready the one behind it."""
        found = await (self._ahead or self._started())
        while found is None:
            self._rows.feed(await read(self._rows.position))
            found = await self._started()
        self.checkpoint, self._ahead = found.checkpoint, None
        if not found.ended and found.error is None:
            if not self._rows.ended and self._reserve is None:
                self._reserve = await read(self._rows.position)
            self._ahead = self._started()
        return found

    def learn(self, seconds: float) -> None:
        """Have the chunks that follow take about as long as a write may."""
        if seconds > SLOW_SECONDS:
            self.chunk = max(self.chunk // 2, SMALLEST_CHUNK)
        elif seconds < QUICK_SECONDS:
            self.chunk = min(self.chunk * 2, LARGEST_CHUNK)

    def _started(self) -> "Future[Chunk[Ready] | None]":
        return asyncio.get_running_loop().run_in_executor(None, self._make)

    def _make(self) -> Chunk[Ready] | None:
        """Return the next chunk, None where that takes more bytes."""
        window = self._window
        make = self._make_in_order if window is None else partial(self._make_of, window)
        found = make()
        while found is None and self._reserve is not None:
            reserve, self._reserve = self._reserve, None
            self._rows.feed(reserve)
            found = make()
        return found

    def _make_in_order(self) -> Chunk[Ready] | None:
        rows, in_order = self._rows, self._in_order
        is_full = rows.fill(partial(in_order.fill, self.chunk))
        if not is_full and not rows.ended:
            return None
        if not is_full and rows.error is None:
            in_order.finish()
        outcomes, checkpoint = in_order.take()
        if self.plan.owner is not None:
            self._window, self._window_from = self._window_after(checkpoint.skip), rows.position
        ready, is_empty = self.prepare.of_outcomes(outcomes), not outcomes
        return self._chunk(ready, checkpoint, rows.position, ended=not is_full, is_empty=is_empty)

    def _make_of(self, window: Window) -> Chunk[Ready] | None:
        rows = self._rows
        if not window.is_closed:
            is_full = rows.fill(window.fill)
            if not is_full and not rows.ended:
                return None
            self._is_last = not is_full
            window.close()
        first, self._done = self._done, min(self._done + self.chunk, len(window))
        ready = self.prepare.of_rows(window.rows(first, self._done), self._mapper.feed)
        checkpoint = Checkpoint(window.skip, self._done, windows.ORDER)
        position = rows.position
        if self._done < len(window):
            read = position - self._window_from
            position = self._window_from + read * self._done // len(window)
            return self._chunk(ready, checkpoint, position, ended=False, is_empty=False)
        checkpoint = Checkpoint(window.skip + len(window), 0)
        self._window, self._window_from = self._window_after(checkpoint.skip), position
        self._done, is_empty = 0, not len(window)
        return self._chunk(ready, checkpoint, position, ended=self._is_last, is_empty=is_empty)

    def _window_after(self, skip: int) -> Window:
        return Window(skip, self.plan, windows.share_of(self.size))

    def _chunk(
        self, ready: Ready, checkpoint: Checkpoint, position: int, *, ended: bool, is_empty: bool
    ) -> Chunk[Ready]:
        error = self._rows.error if ended else None
        if error is not None and not is_empty:
            # What was read before is written first.
            ended, error = False, None
        return Chunk(ready, checkpoint, position, ended, error)
