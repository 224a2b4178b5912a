"""A file as a worker holds it between two commits: read up to somewhere, the next rows at hand.

Bytes, rows and orders that are open stay in memory, so that going on costs what is read anew and
nothing else. Who has lost them, another worker perhaps, reads the file from its beginning up to
the checkpoint that was committed last, and comes to the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.mappings.applying import Mapped, Mapper, Outcome
from app.mappings.compiling import Plan
from app.mappings.faults import UnreadableFile
from app.mappings.reading import Reader
from app.mappings.rows import BadRow, Row

FIRST_CHUNK, LARGEST_CHUNK, SMALLEST_CHUNK = 1_000, 4_000, 50
"""Rows of a chunk, which grows while it is written in time, and shrinks if it is not."""
QUICK_SECONDS, SLOW_SECONDS = 0.5, 1.1


def _facts(outcome: Outcome) -> int:
    return len(outcome.facts) if isinstance(outcome, Mapped) else 0


@dataclass
class OpenFile:
    """A file that is being read."""

    plan: Plan
    skip: int
    drop: int
    position: int = 0
    """Bytes of the file that were handed in."""
    chunk: int = field(default_factory=lambda: FIRST_CHUNK)
    ended: bool = False
    """Whether all outcomes have been given."""
    error: UnreadableFile | None = None
    """Why the rest cannot be read."""
    _rows: Iterator[Row | BadRow] = field(default=iter(()), repr=False)
    _outcomes: list[Outcome] = field(default_factory=list, repr=False)
    _whole: bool = False
    _at_hand: int = 0

    def __post_init__(self) -> None:
        self._reader = Reader(self.plan.detected, skip=self.skip)
        self._mapper = Mapper(self.plan, self.skip)
        self._to_drop = self.drop

    @property
    def wants_bytes(self) -> bool:
        """Whether another piece of the file is needed before there can be a chunk."""
        return not (self._whole or self.ended or self._is_full())

    def feed(self, piece: bytes) -> None:
        """Read the next bytes of the file, none at its end, as far as the chunk needs them."""
        self.position += len(piece)
        self._whole = not piece
        self._rows = self._reader.feed(piece) if piece else self._reader.finish()
        self.go_on()

    def go_on(self) -> None:
        """Map rows at hand until the chunk is full or there are none."""
        try:
            while not self._is_full():
                row = next(self._rows, None)
                if row is None:
                    break
                self._keep(self._mapper.feed(row))
            else:
                return
            if self._whole and not self.ended:
                self._keep(self._mapper.finish())
                self.ended = True
        except UnreadableFile as error:
            self.error, self.ended = error, True

    def take(self) -> list[Outcome]:
        """Return the outcomes of the chunk; the checkpoint is then after them."""
        taken, self._outcomes, self._at_hand = self._outcomes, [], 0
        checkpoint = self._mapper.checkpoint
        self.skip, self.drop = checkpoint.skip, checkpoint.drop
        return taken

    def learn(self, seconds: float) -> None:
        """Have the next chunk take about as long as a write may."""
        if seconds > SLOW_SECONDS:
            self.chunk = max(self.chunk // 2, SMALLEST_CHUNK)
        elif seconds < QUICK_SECONDS:
            self.chunk = min(self.chunk * 2, LARGEST_CHUNK)

    def _is_full(self) -> bool:
        return self._at_hand >= self.chunk

    def _keep(self, outcomes: Iterator[Outcome]) -> None:
        for outcome in outcomes:
            if self._to_drop:
                self._to_drop -= 1
            else:
                self._outcomes.append(outcome)
                self._at_hand += max(len(outcome.rows), _facts(outcome))
