"""Populations that are hard to learn from, drawn by a seed: what may be told of them is known.

Purchases are a renewal process with Erlang gaps in a time of its own, which runs as fast as the
business does on that day: seasons, strikes and dearer prices bend it for everybody alike.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

YEAR = 365
SEEDS = 12  # of buyers who are alike
CUTS, AHEAD = (1000, 1060), 30
POPULATIONS = 100
MOST_GAPS = 2000


@dataclass(frozen=True)
class Invented:
    """A log, the day up to which it is known, and the horizon that is asked for."""

    name: str
    facts: dict[str, NDArray[Any]]
    cut: int
    horizon: int


@dataclass(frozen=True)
class Plan:
    """How customers behave; arrays have an entry for each, `pace` one for each day."""

    start: NDArray[Any]  # day of the first purchase
    gap: NDArray[Any]  # mean days between purchases at a pace of 1
    pace: NDArray[Any]
    regular: int = 1  # shape of the gaps, 1 for a Poisson process
    ends: float | NDArray[Any] = 0.0  # probability to have left after each purchase
    price: NDArray[Any] | float = 1.0  # by day
    value: float = 30.0
    about: dict[str, Any] = field(default_factory=dict)


def bought(plan: Plan, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Return what everybody bought over the days of the pace, the first purchases included."""
    days = plan.pace.size
    run = np.concatenate([[0.0], np.cumsum(plan.pace)])
    n = plan.start.size
    customer, day = [np.arange(n)], [plan.start]
    here, at = np.arange(n), run[plan.start]
    ends = np.broadcast_to(plan.ends, n)
    for _ in range(MOST_GAPS):
        here = here[rng.random(here.size) >= ends[here]]
        at[here] += rng.gamma(plan.regular, plan.gap[here] / plan.regular)
        here = here[at[here] < run[-1]]
        if not here.size:
            break
        customer.append(here)
        day.append(np.searchsorted(run, at[here], side="right") - 1)
    who, when = np.concatenate(customer), np.concatenate(day)
    assert when.max() < days
    price = np.broadcast_to(plan.price, days)[when]
    amount = np.round(rng.lognormal(np.log(plan.value), 0.5, who.size) * price, 2)
    return {"customer": who, "day": when, "amount": np.maximum(amount, 0.01)}


def alike(seed: int, cut: int) -> Invented:
    """Return 600 buyers who differ by chance alone, with a season at the end of each year."""
    rng = np.random.default_rng(seed)
    days = cut + AHEAD + 1
    pace = year_end(days, 0.85, 2.2, 60)
    plan = Plan(rng.integers(0, 90, 600), np.full(600, 90.0), pace)
    return Invented(f"alike {seed}", bought(plan, rng), cut, AHEAD)


def year_end(days: int, rest: float, peak: float, length: int) -> NDArray[Any]:
    pace: NDArray[Any] = np.where(np.arange(days) % YEAR >= YEAR - length, peak, rest)
    return pace


def random(number: int) -> Invented:
    """Return one of the random populations; kinds take turns."""
    rng = np.random.default_rng([number, 11])
    name = KINDS[number % len(KINDS)]
    cut = int(rng.integers(150, 1400))
    horizon = int(rng.choice([7, 14, 30, 60, 90, 180, 365]))
    days = cut + horizon + 1
    plan = globals()[f"_{name}"](rng, cut, days)
    return Invented(f"{name} {number}", bought(plan, rng), cut, horizon)


def _size(rng: np.random.Generator, low: int = 60, high: int = 4000) -> int:
    return int(np.exp(rng.uniform(np.log(low), np.log(high))))


def _gaps(rng: np.random.Generator, n: int, low: float = 10, high: float = 150) -> NDArray[Any]:
    """Return mean gaps: alike, or as unlike as gamma rates of a random shape."""
    mean = np.exp(rng.uniform(np.log(low), np.log(high)))
    shape = rng.choice([0.5, 1.0, 3.0, 20.0, 1000.0])
    rate = rng.gamma(shape, 1 / shape, n) / mean
    return 1 / np.maximum(rate, 1e-6)


def _common(rng: np.random.Generator, n: int, cut: int) -> dict[str, Any]:
    spread = int(rng.choice([1, 60, cut // 2, cut - 1, cut - 1]))
    return {
        "start": rng.integers(0, spread, n),
        "gap": _gaps(rng, n),
        "regular": int(rng.choice([1, 1, 1, 2, 4, 12])),
        "ends": rng.choice([0.0, 0.0, 0.02, 0.1, 0.3]),
    }


def _level(days: int) -> NDArray[Any]:
    return np.ones(days)


def _alike(rng: np.random.Generator, cut: int, days: int) -> Plan:
    n = _size(rng)
    gap = np.full(n, np.exp(rng.uniform(np.log(10), np.log(150))))
    pace = year_end(days, rng.uniform(0.7, 1), rng.uniform(1, 3), 60)
    return Plan(**{**_common(rng, n, cut), "gap": gap}, pace=pace)


def _growth(rng: np.random.Generator, cut: int, days: int) -> Plan:
    """Newcomers double every so often; most are young at the cut."""
    n = _size(rng)
    doubling = rng.uniform(30, 300)
    start = cut + doubling * np.log2(rng.uniform(2 ** (-cut / doubling), 1, n))
    given = _common(rng, n, cut) | {"start": np.clip(start.astype(int), 0, cut)}
    return Plan(**given, pace=_level(days))


def _season(rng: np.random.Generator, cut: int, days: int) -> Plan:
    phase = rng.uniform(0, YEAR)
    depth = rng.uniform(0.3, 0.95)
    wave = 1 + depth * np.sin(2 * np.pi * (np.arange(days) + phase) / YEAR)
    return Plan(**_common(rng, _size(rng), cut), pace=wave)


def _strike(rng: np.random.Generator, cut: int, days: int) -> Plan:
    """Nobody can buy for 60 days: long ago, up to the cut, or from a little after it."""
    pace = _level(days)
    began = max(cut + int(rng.choice([-200, -90, -60, -30, 5])), 1)
    pace[began : began + 60] = 0.0
    return Plan(**_common(rng, _size(rng), cut), pace=pace)


def _prices(rng: np.random.Generator, cut: int, days: int) -> Plan:
    """Prices rise step by step, and fewer buy after each step."""
    steps = np.arange(days) // int(rng.integers(60, 300))
    fewer = rng.uniform(0.6, 0.95)
    given = _common(rng, _size(rng), cut)
    return Plan(**given, pace=fewer**steps, price=rng.uniform(1.05, 1.4) ** steps)


def _subscriptions(rng: np.random.Generator, cut: int, days: int) -> Plan:
    """A payment every month, to within a day or so, until the end."""
    n = _size(rng)
    given = _common(rng, n, cut) | {"gap": np.full(n, 30.4), "regular": 900}
    given["ends"] = rng.choice([0.01, 0.03, 0.08])
    return Plan(**given, pace=_level(days))


def _business(rng: np.random.Generator, cut: int, days: int) -> Plan:
    """Twelve customers who order often and much."""
    given = _common(rng, 12, cut) | {"gap": _gaps(rng, 12, 3, 40)}
    given["ends"] = rng.choice([0.0, 0.005, 0.02])
    return Plan(**given, pace=_level(days), value=4000.0)


def _once(rng: np.random.Generator, cut: int, days: int) -> Plan:
    """One-timers, and hardly anybody else."""
    n = _size(rng)
    given = _common(rng, n, cut) | {"start": rng.integers(0, cut, n)}
    given["ends"] = rng.choice([1.0, 0.99, 0.95])
    return Plan(**given, pace=_level(days))


KINDS = ("alike", "growth", "season", "strike", "prices", "subscriptions", "business", "once")
