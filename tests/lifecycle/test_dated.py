"""What is found among dated rows by bisection, held against looking at each of them."""

import random
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from app.days import Calendar, from_micros
from app.lifecycle.dated import last_place
from app.lifecycle.steps import merged
from tests.lifecycle.at_random import ZONES

DAY = 86_400_000_000


def slow_last_place(rows: list[tuple[int, int]], owner: int, at: int) -> int:
    own = [place for place, row in enumerate(rows) if row[0] == owner and row[1] <= at]
    return own[-1] if own else -1


@pytest.mark.parametrize("seed", range(20))
def test_the_last_row_up_to_a_time_is_the_one_that_looking_at_all_finds(seed: int) -> None:
    rng = random.Random(seed)
    rows = sorted((rng.randrange(5), rng.randrange(9)) for _ in range(rng.choice((0, 1, 7, 40))))
    asked = [(rng.randrange(6), rng.randrange(-1, 10)) for _ in range(30)]
    owner, at = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    found = last_place(owner, at, *np.array(asked, dtype=np.int64).T)
    assert found.tolist() == [slow_last_place(rows, *each) for each in asked]
    parts = [(owner[place::3], at[place::3]) for place in range(3)]
    assert [*zip(*(each.tolist() for each in merged(parts)), strict=True)] == sorted(set(rows))


@pytest.mark.parametrize("zone", [*ZONES, ZoneInfo("Pacific/Apia"), ZoneInfo("Pacific/Pago_Pago")])
def test_the_days_of_instants_are_those_of_each_by_itself(zone: ZoneInfo) -> None:
    rng, calendar = random.Random(zone.key), Calendar(zone)
    instants = [rng.randrange(-400 * DAY, 20_000 * DAY) for _ in range(300)]
    starts = calendar.starts(np.array([rng.randrange(14_000, 20_000) for _ in range(300)]))
    instants += [at + by for at in starts.tolist() for by in (-1, 0, 1)]
    found = calendar.days_of(np.array(instants))
    assert found.tolist() == [calendar.day_of(from_micros(at)) for at in instants]
