"""What is done to a deployment, step by step: drawn from a seed, the same each time."""

import random
from dataclasses import dataclass
from datetime import timedelta

from tests.faults.chaos.deployment import APIS, WORKERS
from tests.faults.chaos.processes import LEASE_SECONDS

OF_APIS = "kill_api", "stop_api", "cut_answers", "slow_answers", "slow_readers"
OF_WORKERS = "kill_worker", "stop_worker"
OF_NETWORK = "cut", "cut_pieces", "hole", "half_open", "stall", "delay", "refuse"
OF_DATABASE = "kill_backend", "kill_postmaster", "fill_disk"
KINDS = *OF_APIS, *OF_WORKERS, *OF_NETWORK, *OF_DATABASE
SHIFTS = -timedelta(days=3), timedelta(0), timedelta(hours=1), timedelta(days=3)


@dataclass(frozen=True)
class Fault:
    """One thing that is done: to whom, for how long, how much of it."""

    kind: str
    target: int
    seconds: float
    share: float

    def __str__(self) -> str:
        return f"{self.kind}:{self.target} {self.seconds:.1f}s"


@dataclass(frozen=True)
class Schedule:
    """How far the clock of each process is ahead, and what happens in each step, at once."""

    ahead: tuple[timedelta, ...]
    steps: tuple[tuple[Fault, ...], ...]


def draw(seed: int, steps: int, *, brief: bool = False, disk: bool = True) -> Schedule:
    """Draw so many steps; each kind of fault comes before any comes again."""
    chance = random.Random(seed)
    ahead = [*chance.sample(SHIFTS, APIS), *chance.sample(SHIFTS, WORKERS)]
    left: list[str] = []
    drawn = []
    for _ in range(steps):
        faults = []
        for _ in range(1 if brief else chance.choice((1, 1, 2))):
            if not left:
                left = chance.sample(KINDS, len(KINDS))
            faults.append(_fault(chance, left.pop(), brief=brief))
        drawn.append(tuple(each for each in faults if disk or each.kind != "fill_disk"))
    return Schedule(tuple(ahead), tuple(drawn))


def _fault(chance: random.Random, kind: str, *, brief: bool) -> Fault:
    targets = {**dict.fromkeys(OF_APIS, APIS), **dict.fromkeys(OF_WORKERS, WORKERS)}
    target = chance.randrange(targets.get(kind, APIS + WORKERS))
    seconds, share = chance.uniform(0.3, 1.0), chance.random()
    if kind == "stop_worker":
        seconds += LEASE_SECONDS
    elif not brief:
        seconds *= chance.choice((1, 3, 12) if kind in OF_NETWORK else (1, 3, 5))
    return Fault(kind, target, seconds, share)
