"""Moves between stages, against the brute-force twin and told as examples."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.lifecycle import facts as lifecycle
from app.lifecycle.evaluator import CAUSES, Columns, evaluate, moves, variables
from app.lifecycle.facts import FREE, Point, fold
from app.lifecycle.policy import DEFAULT_DOCUMENT, parse
from tests import histories
from tests.twin import Fact, Move, Twin, in_force, start_of

ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "Asia/Shanghai", "America/Sao_Paulo")]
POLICY = parse(1, DEFAULT_DOCUMENT)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
many = settings(max_examples=60, deadline=None, derandomize=True)
rngs = st.randoms(use_true_random=False)
ends = st.dates(date(2016, 1, 1), date(2024, 12, 31))


def micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def as_lifecycle(fact: Fact, zone: ZoneInfo) -> lifecycle.Fact:
    refunds = None if fact.kind == "purchase" else fact.refunds or FREE
    day = (fact.at.astimezone(zone).date() - EPOCH.date()).days
    return lifecycle.Fact(micros(fact.at), day, int(fact.amount * 10_000), fact.name, refunds)


def points_of(revisions: Sequence[Fact], zone: ZoneInfo, now: datetime) -> list[Point]:
    facts = [as_lifecycle(fact, zone) for fact in in_force(revisions)]
    return fold(facts, POLICY.silence, until=micros(now))[1]


def ledger(
    points: Sequence[Point], zone: ZoneInfo, now: datetime, *, first_is_known: bool = False
) -> list[Move]:
    """Return what the evaluator finds for one customer, in the words of the twin."""

    def day_start(days: np.ndarray) -> np.ndarray:
        starts = [start_of(zone, EPOCH.date() + timedelta(days=int(day))) for day in days]
        return np.array([micros(start) for start in starts], dtype=np.int64)

    found = moves(
        POLICY,
        np.zeros(len(points), dtype=np.int64),
        points,
        until=np.array([micros(now)]),
        day_start=day_start,
        first_is_known=np.array([first_is_known]),
    )
    columns = Columns.of([points[index].state for index in found.point])
    values = variables(POLICY, columns, found.day)
    bought = columns.purchase_days > 0
    return [
        Move(
            POLICY.stages[found.from_stage[row]],
            POLICY.stages[found.to_stage[row]],
            EPOCH + timedelta(microseconds=int(found.at[row])),
            CAUSES[found.cause[row]],
            POLICY.rules[found.rule[row]].code,
            {
                name: round(float(value[row]), 9) if bought[row] else 0
                for name, value in values.items()
            },
        )
        for row in range(len(found.at))
    ]


@pytest.mark.parametrize("zone", ZONES, ids=str)
@given(rng=rngs, end=ends)
@many
def test_the_moves_are_the_ledger_of_the_twin(
    zone: ZoneInfo, rng: random.Random, end: date
) -> None:
    revisions = histories.facts(rng, zone, end, revise=True)
    now = histories.moment(rng, revisions, zone)
    found = ledger(points_of(revisions, zone, now), zone, now)
    assert Twin(revisions, zone).ledger(now) == found
    assert {(move.from_stage, move.to_stage) for move in found} <= PAIRS


@pytest.mark.parametrize("zone", ZONES, ids=str)
@given(rng=rngs, end=ends)
@many
def test_the_stage_at_an_instant_is_that_of_the_twin(
    zone: ZoneInfo, rng: random.Random, end: date
) -> None:
    revisions = histories.facts(rng, zone, end)
    now = histories.moment(rng, revisions, zone)
    facts = [as_lifecycle(fact, zone) for fact in revisions]
    summary, _ = fold(facts, POLICY.silence, until=micros(now))
    today = (now.astimezone(zone).date() - EPOCH.date()).days
    stage, rule = evaluate(POLICY, Columns.of([summary.state]), np.array([today]))
    twin = Twin(revisions, zone)
    assert POLICY.rules[rule[0]].code == twin.rule(now)
    assert POLICY.stages[stage[0]] == twin.stage(now)


@given(rng=rngs, end=ends)
@many
def test_going_on_from_a_known_state_finds_the_moves_after_it(
    rng: random.Random, end: date
) -> None:
    zone = ZoneInfo("Europe/Berlin")
    revisions = histories.facts(rng, zone, end)
    now = histories.moment(rng, revisions, zone)
    points = points_of(revisions, zone, now)
    for place, point in enumerate(points):
        start = EPOCH + timedelta(microseconds=point.at)
        later = [move for move in ledger(points, zone, now) if move.at > start]
        assert ledger(points[place:], zone, now, first_is_known=True) == later


def test_many_customers_at_once_move_as_each_alone() -> None:
    rng, zone = random.Random(7), ZoneInfo("Europe/Berlin")
    groups = []
    for _ in range(40):
        revisions = histories.facts(rng, zone, date(2024, 6, 1))
        now = histories.moment(rng, revisions, zone)
        groups.append((points_of(revisions, zone, now), now))
    alone = [len(ledger(points, zone, now)) for points, now in groups]
    found = moves(
        POLICY,
        np.repeat(np.arange(len(groups)), [len(points) for points, _ in groups]),
        [point for points, _ in groups for point in points],
        until=np.array([micros(now) for _, now in groups]),
        day_start=lambda days: np.array(
            [micros(start_of(zone, EPOCH.date() + timedelta(days=int(day)))) for day in days],
            dtype=np.int64,
        ),
    )
    assert np.bincount(found.owner, minlength=len(groups)).tolist() == alone


def test_nobody_moves_nowhere() -> None:
    assert ledger([], ZoneInfo("UTC"), EPOCH) == []


FIVE = [0, 50, 100, 150, 200]
EXAMPLES = [
    ("potential => initial", [0], {}, 0, "fact"),
    ("initial => potential", [0], {0: 5}, 5, "fact"),
    ("initial => active", [0, 10], {}, 10, "fact"),
    ("initial => churned", [0], {}, 181, "silence"),
    ("active => potential", [0, 10], {0: 20, 10: 20}, 20, "fact"),
    ("active => initial", [0, 10], {10: 20}, 20, "fact"),
    ("active => loyal, by the fifth purchase day", FIVE, {}, 200, "fact"),
    ("active => loyal, by time", [0, 10, 20, 30, 40], {}, 180, "silence"),
    ("active => churned, at the least limit", [0, 60], {}, 241, "silence"),
    ("active => churned, at three gaps", [0, 100], {}, 401, "silence"),
    ("active => churned, at a gap and a year", [0, 180, 720], {}, 1446, "silence"),
    ("loyal => potential", FIVE, dict.fromkeys(FIVE, 210), 210, "fact"),
    ("loyal => initial", FIVE, dict.fromkeys(FIVE[:4], 210), 210, "fact"),
    ("loyal => active, by a refund", FIVE, {200: 210}, 210, "fact"),
    ("loyal => active, by a shorter tenure", [0, 60, 80, 100, 120, 181], {0: 190}, 190, "fact"),
    ("loyal => active, as the silence ends at its limit", [*FIVE, 381.0], {}, 381.0, "fact"),
    ("loyal => churned", FIVE, {}, 381, "silence"),
    ("churned => potential", [0], {0: 200}, 200, "fact"),
    ("churned => active, a win-back", [0, 182], {}, 182, "fact"),
    ("churned => active, by a refund", [0, 100, 110], {100: 310}, 310, "fact"),
    ("churned => loyal, by refunds", [0, 100, 101, 200, 201, 300, 301, 400],
     {101: 600, 201: 600, 301: 600}, 600, "fact"),
]  # fmt: skip
PAIRS = {tuple(example[0].split(",")[0].split(" => ")) for example in EXAMPLES}


def on(day: float) -> datetime:
    """Return noon of a day, or its first instant where the day is written as 1.0."""
    start = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return start if isinstance(day, float) else start + timedelta(hours=12)


@pytest.mark.parametrize(
    ("name", "bought", "refunded", "day", "cause"),
    [pytest.param(*example, id=example[0]) for example in EXAMPLES],
)
def test_one_stage_follows_another(
    name: str, bought: list[float], refunded: dict[float, int], day: float, cause: str
) -> None:
    before, after = name.split(",", maxsplit=1)[0].split(" => ")
    facts = [Fact(("default", f"p{each}"), on(each), Decimal(5)) for each in bought]
    facts += [
        Fact(("default", f"r{each}"), on(at), Decimal(5), "refund", ("default", f"p{each}"))
        for each, at in refunded.items()
    ]
    zone = ZoneInfo("UTC")
    at = on(float(day)) if cause == "silence" else on(day)
    last = ledger(points_of(facts, zone, at), zone, at)[-1]
    assert (last.from_stage, last.to_stage, last.at, last.cause) == (before, after, at, cause)
    assert Twin(facts, zone).ledger(at)[-1] == last


def test_a_purchase_refunded_as_it_happens_moves_nobody() -> None:
    zone, at = ZoneInfo("UTC"), on(180.0)
    facts = [Fact(("default", f"p{day}"), on(day), Decimal(5)) for day in (0, 10, 20, 30, 40)]
    undone = [
        Fact(("default", "p"), at, Decimal(5)),
        Fact(("default", "r"), at, Decimal(5), "refund", ("default", "p")),
    ]
    found = ledger(points_of([*facts, *undone], zone, at), zone, at)
    assert found == ledger(points_of(facts, zone, at), zone, at)
    assert (found[-1].to_stage, found[-1].cause) == ("loyal", "silence")
