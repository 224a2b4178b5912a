"""Who runs now, who waits for it, and who is told at once to come again.

A request that runs may hold a database connection, so that few run at once: the slots. One that
finds none waits, for a fraction of a second: who waits longer is gone before the answer comes, and
is answered for nothing. Of those who wait the key with the fewest running is served first, the
oldest request first; but the newest first while requests are being refused, as the oldest are then
about to be given up by their callers.

Nothing takes all slots. Writes and exports leave some to reads; the last one goes to a key or an
operation of which nothing runs; and operations that turned slow, waiting for a lock perhaps, share
one half.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic

from app.errors import Overloaded
from app.telemetry import metrics

KEPT_FOR_READS = 2
SLOW_SECONDS = 1.0
"""How long a request runs before its operation counts as slow."""
SLOW_FOR_SECONDS = 5.0
"""How long it counts as slow after that."""
OVERLOADED_SECONDS = 1.0
"""How long a refusal has the newest served first, and more than can wait refused by their head."""
_MANY = 100
_OF_CUSTOMERS = 6
_LINES = ("ndjson", "csv")


@dataclass(eq=False, slots=True)
class Ticket:
    """A request: whose it is, what it asks for, and whether that is a short read."""

    key: str
    operation: str
    short: bool
    since: float = 0.0
    running: bool = False
    turn: "asyncio.Future[None] | None" = None

    @property
    def group(self) -> tuple[str, str]:
        return self.key, self.operation


def operation_of(method: str, path: str) -> str:
    """Return what requests have in common that wait for the same; a customer's id is none of it."""
    steps = path.split("/", _OF_CUSTOMERS)
    if len(steps) > 3 and steps[2] == "customers":
        del steps[3]
    return f"{method} {'/'.join(steps[2:4])}"


def is_short(method: str, accepted: str) -> bool:
    """Say whether a request is a read, and not one of all lines."""
    return method in ("GET", "HEAD") and not any(kind in accepted for kind in _LINES)


class Admission:
    """The slots of a process and the line before them."""

    def __init__(self, slots: int, in_flight: int, seconds: float) -> None:
        self._slots = slots
        self._kept = min(KEPT_FOR_READS, slots // 2)
        self._in_flight = in_flight
        self._seconds = seconds
        self._taken = self._long = 0
        self._running: dict[str, int] = {}
        self._operations: dict[str, dict[Ticket, None]] = {}
        self._slow: dict[str, float] = {}
        self._line: dict[Ticket, None] = {}
        self._waiting: dict[tuple[str, str], int] = {}
        self._overloaded_until = 0.0

    @property
    def overloaded(self) -> bool:
        """Whether somebody was refused a moment ago."""
        return monotonic() < self._overloaded_until

    def sheds(self, key: str, operation: str) -> bool:
        """Say whether a request need not even be read: others like it wait already, in vain."""
        if len(self._line) < self._slots or not self.overloaded:
            return False
        return self._waiting.get((key, operation), 0) * len(self._waiting) >= self._slots

    async def enter(self, ticket: Ticket) -> float:
        """Take a slot, and return for how long it had to be waited for.

        Raises
        ------
        Overloaded
            If none came free in time, or too many wait.
        """
        now = monotonic()
        if self._may_run(ticket, now):
            self._start(ticket, now)
            return 0.0
        await self._wait(ticket)
        return monotonic() - now

    def leave(self, ticket: Ticket) -> None:
        """Give a slot back; to do so twice is once."""
        if not ticket.running:
            return
        now = monotonic()
        ticket.running = False
        self._taken -= 1
        self._long -= not ticket.short
        _less(self._running, ticket.key)
        running = self._operations[ticket.operation]
        del running[ticket]
        if not running:
            del self._operations[ticket.operation]
        if now - ticket.since > SLOW_SECONDS:
            self._found_slow(ticket.operation, now)
        while self._line and (following := self._next(now)) is not None:
            self._unqueue(following)
            self._start(following, now)
            assert following.turn is not None
            following.turn.set_result(None)

    def _start(self, ticket: Ticket, now: float) -> None:
        ticket.since, ticket.running = now, True
        self._taken += 1
        self._long += not ticket.short
        self._running[ticket.key] = self._running.get(ticket.key, 0) + 1
        self._operations.setdefault(ticket.operation, {})[ticket] = None

    def _may_run(self, ticket: Ticket, now: float) -> bool:
        free = self._slots - self._taken
        if free <= 0 or not (ticket.short or self._long < self._slots - self._kept):
            return False
        running = self._operations.get(ticket.operation)
        if running:
            if free == 1 and self._kept == KEPT_FOR_READS and ticket.key in self._running:
                return False
            if now - next(iter(running)).since > SLOW_SECONDS:
                self._found_slow(ticket.operation, now)
        return not self._slow or self._slow_may_run(ticket.operation, now)

    def _found_slow(self, operation: str, now: float) -> None:
        if len(self._slow) >= _MANY:
            self._slow = {each: until for each, until in self._slow.items() if until > now}
        self._slow[operation] = now + SLOW_FOR_SECONDS

    def _slow_may_run(self, operation: str, now: float) -> bool:
        until = self._slow.get(operation)
        if until is None:
            return True
        if until <= now:
            del self._slow[operation]
            return True
        held = sum(len(self._operations.get(each, ())) for each in self._slow)
        return held < max(self._slots // 2, 1)

    async def _wait(self, ticket: Ticket) -> None:
        if self._taken + len(self._line) >= self._in_flight:
            self._make_place()
        loop = asyncio.get_running_loop()
        ticket.turn = loop.create_future()
        self._line[ticket] = None
        self._waiting[ticket.group] = self._waiting.get(ticket.group, 0) + 1
        timer = loop.call_later(self._seconds, self._refuse, ticket, "waited")
        try:
            await ticket.turn
        except BaseException:
            self.leave(ticket)  # if its turn came while it was being cancelled
            raise
        finally:
            timer.cancel()
            self._unqueue(ticket)

    def _make_place(self) -> None:
        """Send away the oldest of those of whom most wait, so that nobody keeps others out."""
        if not self._waiting:
            self._overloaded_until = monotonic() + OVERLOADED_SECONDS
            metrics.count_refusal("line")
            raise _overloaded()
        most = max(self._waiting, key=self._waiting.__getitem__)
        self._refuse(next(each for each in self._line if each.group == most), "line")

    def _refuse(self, ticket: Ticket, reason: metrics.Refusal) -> None:
        self._overloaded_until = monotonic() + OVERLOADED_SECONDS
        self._unqueue(ticket)
        if ticket.turn is not None and not ticket.turn.done():
            metrics.count_refusal(reason)
            ticket.turn.set_exception(_overloaded())

    def _unqueue(self, ticket: Ticket) -> None:
        if ticket in self._line:
            del self._line[ticket]
            _less(self._waiting, ticket.group)

    def _next(self, now: float) -> Ticket | None:
        """Return who is to run now of those who wait."""
        found, fewest = None, self._slots
        order: Iterable[Ticket] = reversed(self._line) if self.overloaded else self._line
        for ticket in order:
            running = self._running.get(ticket.key, 0)
            if running < fewest and self._may_run(ticket, now) and not _is_done(ticket):
                found, fewest = ticket, running
                if not running or len(self._waiting) == 1:
                    break
        return found


def _is_done(ticket: Ticket) -> bool:
    return ticket.turn is None or ticket.turn.done()


def _less(counts: "dict[str, int] | dict[tuple[str, str], int]", name: object) -> None:
    left = counts[name] - 1  # type: ignore[index]
    if left:
        counts[name] = left  # type: ignore[index]
    else:
        del counts[name]  # type: ignore[arg-type]


def _overloaded() -> Overloaded:
    return Overloaded("Others were first: come again after the seconds of Retry-After")
