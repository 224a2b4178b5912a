"""Transitions between stages, against the brute-force twin and told as examples."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.lifecycle.documents import parse
from app.lifecycle.evaluator import evaluate
from app.lifecycle.facts import Point, fold
from app.lifecycle.history import History, trace
from app.lifecycle.instants import Customers, Override, PolicyPeriod
from app.lifecycle.presets import PRESETS
from app.lifecycle.records import Columns, Records, Span
from tests import histories
from tests.lifecycle.assembled import EPOCH, as_lifecycle, day_of, instant, micros, starts_in
from tests.twin import Fact, Transition, Twin, in_force

ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "Asia/Shanghai", "America/Sao_Paulo")]
POLICY = parse(1, PRESETS["five_stages"])
many = settings(max_examples=35, deadline=None, derandomize=True)
rngs = st.randoms(use_true_random=False)
ends = st.dates(date(2016, 1, 1), date(2024, 12, 31))


def points_of(revisions: Sequence[Fact], zone: ZoneInfo, now: datetime) -> list[Point]:
    facts = [as_lifecycle(fact, zone) for fact in in_force(revisions)]
    return fold(facts, POLICY.inactivity_limit, until=micros(now))[1]


def replay(
    groups: Sequence[tuple[Sequence[Point], datetime]],
    zone: ZoneInfo,
    *,
    known: bool = False,
    overrides: dict[int, list[Override]] | None = None,
) -> History:
    """Trace customers, given as their points and until when."""
    points = [point for each, _ in groups for point in each]
    owner = np.repeat(np.arange(len(groups)), [len(each) for each, _ in groups])
    day = np.array([point.day for point in points], dtype=np.int64)
    records = Records(
        inactivity_limit=POLICY.inactivity_limit,
        owner=owner,
        at=np.array([point.at for point in points], dtype=np.int64),
        day=day,
        span=Span.until_next(owner, day),
        columns=Columns.of([point.state for point in points]),
    )
    customers = Customers(
        until=np.array([micros(now) for _, now in groups]),
        until_day=np.array([day_of(now, zone) for _, now in groups]),
        known=np.full(len(groups), known),
        overrides=overrides or {},
    )
    return trace([PolicyPeriod(POLICY, records)], customers, starts_in(zone))


def ledger(
    points: Sequence[Point], zone: ZoneInfo, now: datetime, *, known: bool = False
) -> list[Transition]:
    """Return what is found for one customer, in the words of the twin: 0 for what is unknown."""
    return [
        Transition(
            each.from_stage,
            each.to_stage,
            instant(each.at),
            each.cause,
            each.rule,
            {name: round(value or 0, 6) for name, value in json.loads(each.evidence).items()},
        )
        for each in replay([(points, now)], zone, known=known).transitions()
    ]


def of_twin(twin: Twin, now: datetime) -> list[Transition]:
    return [
        Transition(*(getattr(each, name)
                     for name in ("from_stage", "to_stage", "at", "cause", "rule")),
             {name: round(value, 6) for name, value in each.evidence.items()})
        for each in twin.ledger(now)
    ]  # fmt: skip


@pytest.mark.parametrize("zone", ZONES, ids=str)
@given(rng=rngs, end=ends)
@many
def test_the_moves_are_the_ledger_of_the_twin(
    zone: ZoneInfo, rng: random.Random, end: date
) -> None:
    revisions = histories.facts(rng, zone, end, revise=True)
    now = histories.moment(rng, revisions, zone)
    found = ledger(points_of(revisions, zone, now), zone, now)
    assert of_twin(Twin(revisions, zone), now) == found
    assert {(transition.from_stage, transition.to_stage) for transition in found} <= PAIRS


@pytest.mark.parametrize("zone", ZONES, ids=str)
@given(rng=rngs, end=ends)
@many
def test_the_stage_at_an_instant_is_that_of_the_twin(
    zone: ZoneInfo, rng: random.Random, end: date
) -> None:
    revisions = histories.facts(rng, zone, end)
    now = histories.moment(rng, revisions, zone)
    facts = [as_lifecycle(fact, zone) for fact in revisions]
    summary, _ = fold(facts, POLICY.inactivity_limit, until=micros(now))
    today = np.array([day_of(now, zone)])
    records = Records(
        POLICY.inactivity_limit, np.array([0]), np.array([micros(now)]), today, Span.on(today),
        Columns.of([summary.state]),
    )  # fmt: skip
    stage, rule = evaluate(POLICY, records, np.array([0]), today)
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
        later = [transition for transition in ledger(points, zone, now) if transition.at > start]
        assert ledger(points[place:], zone, now, known=True) == later


def test_many_customers_at_once_move_as_each_alone() -> None:
    rng, zone = random.Random(7), ZoneInfo("Europe/Berlin")
    groups = []
    for _ in range(40):
        revisions = histories.facts(rng, zone, date(2024, 6, 1))
        now = histories.moment(rng, revisions, zone)
        groups.append((points_of(revisions, zone, now), now))
    alone = [len(ledger(points, zone, now)) for points, now in groups]
    found = replay(groups, zone).transitions()
    assert (
        np.bincount([transition.owner for transition in found], minlength=len(groups)).tolist()
        == alone
    )


def test_nobody_moves_nowhere() -> None:
    assert ledger([], ZoneInfo("UTC"), EPOCH) == []


FIVE = [0, 50, 100, 150, 200]
EXAMPLES = [
    ("potential => initial", [0], {}, 0, "fact"),
    ("initial => potential", [0], {0: 5}, 5, "fact"),
    ("initial => active", [0, 10], {}, 10, "fact"),
    ("initial => churned", [0], {}, 181, "inactivity"),
    ("active => potential", [0, 10], {0: 20, 10: 20}, 20, "fact"),
    ("active => initial", [0, 10], {10: 20}, 20, "fact"),
    ("active => loyal, by the fifth purchase day", FIVE, {}, 200, "fact"),
    ("active => loyal, by time", [0, 10, 20, 30, 40], {}, 180, "inactivity"),
    ("active => churned, at the least limit", [0, 60], {}, 241, "inactivity"),
    ("active => churned, at three gaps", [0, 100], {}, 401, "inactivity"),
    ("active => churned, at a gap and a year", [0, 180, 720], {}, 1446, "inactivity"),
    ("loyal => potential", FIVE, dict.fromkeys(FIVE, 210), 210, "fact"),
    ("loyal => initial", FIVE, dict.fromkeys(FIVE[:4], 210), 210, "fact"),
    ("loyal => active, by a refund", FIVE, {200: 210}, 210, "fact"),
    ("loyal => active, by a shorter tenure", [0, 60, 80, 100, 120, 181], {0: 190}, 190, "fact"),
    ("loyal => active, as the silence ends at its limit", [*FIVE, 381.0], {}, 381.0, "fact"),
    ("loyal => churned", FIVE, {}, 381, "inactivity"),
    ("churned => potential", [0], {0: 200}, 200, "fact"),
    ("churned => active, a win-back", [0, 182], {}, 182, "fact"),
    ("churned => active, by a refund", [0, 100, 110], {100: 310}, 310, "fact"),
    ("churned => loyal, by refunds", [0, 100, 101, 200, 201, 300, 301, 400],
     {101: 600, 201: 600, 301: 600}, 600, "fact"),
    ("churned => initial, by a refund", [0, 600], {0: 600}, 600, "fact"),
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
    at = on(float(day)) if cause == "inactivity" else on(day)
    last = ledger(points_of(facts, zone, at), zone, at)[-1]
    assert (last.from_stage, last.to_stage, last.at, last.cause) == (before, after, at, cause)
    assert of_twin(Twin(facts, zone), at)[-1] == last


def test_a_purchase_refunded_as_it_happens_moves_nobody() -> None:
    zone, at = ZoneInfo("UTC"), on(180.0)
    facts = [Fact(("default", f"p{day}"), on(day), Decimal(5)) for day in (0, 10, 20, 30, 40)]
    undone = [
        Fact(("default", "p"), at, Decimal(5)),
        Fact(("default", "r"), at, Decimal(5), "refund", ("default", "p")),
    ]
    found = ledger(points_of([*facts, *undone], zone, at), zone, at)
    assert found == ledger(points_of(facts, zone, at), zone, at)
    assert (found[-1].to_stage, found[-1].cause) == ("loyal", "inactivity")


def override(day: float, stage: str) -> Override:
    number = (on(day).date() - EPOCH.date()).days
    return Override(micros(on(day)), number, stage, None, 0, "a reason", "somebody")


@pytest.mark.parametrize(
    ("before", "after"), [pytest.param(*pair, id=" => ".join(pair)) for pair in
                          permutations(POLICY.stages, 2)]
)  # fmt: skip
def test_a_pair_comes_about_by_rule_or_by_hand_and_in_no_other_way(before: str, after: str) -> None:
    """Rules make the pairs of the examples; whoever is at a desk, those that are allowed."""
    causes = {each[4] for each in EXAMPLES if each[0].split(",")[0] == f"{before} => {after}"}
    if after in POLICY.transitions[before]:
        bought = BEING[before]
        facts = [Fact(("default", f"p{each}"), on(each), Decimal(5)) for each in bought]
        zone, now = ZoneInfo("UTC"), on(400)
        by_hand = {0: [override(-1, POLICY.beginning), override(399, after)]}
        begun = Point(
            micros(on(-2)), day_of(on(-2), zone), fold([], POLICY.inactivity_limit, until=0)[0][4]
        )
        points = [begun, *points_of(facts, zone, now)]
        last = replay([(points, now)], zone, overrides=by_hand).transitions()[-1]
        assert (last.from_stage, last.to_stage, last.cause) == (before, after, "manual")
        assert (last.rule, last.reason, last.actor) == ("override", "a reason", "somebody")
        causes.add("manual")
    assert causes == CAUSES[before, after]


BEING = {
    "potential": [],
    "initial": [390],
    "active": [380, 390],
    "loyal": [200, 250, 300, 350, 390],
    "churned": [0],
}
"""Purchase days of somebody who is in the stage on the 399th."""
CAUSES = {
    ("potential", "initial"): {"fact", "manual"},
    ("potential", "active"): {"manual"},
    ("potential", "loyal"): set(),
    ("potential", "churned"): {"manual"},
    ("initial", "potential"): {"fact", "manual"},
    ("initial", "active"): {"fact", "manual"},
    ("initial", "loyal"): set(),
    ("initial", "churned"): {"inactivity", "manual"},
    ("active", "potential"): {"fact"},
    ("active", "initial"): {"fact"},
    ("active", "loyal"): {"fact", "inactivity", "manual"},
    ("active", "churned"): {"inactivity", "manual"},
    ("loyal", "potential"): {"fact"},
    ("loyal", "initial"): {"fact"},
    ("loyal", "active"): {"fact", "manual"},
    ("loyal", "churned"): {"inactivity", "manual"},
    ("churned", "potential"): {"fact", "manual"},
    ("churned", "initial"): {"fact", "manual"},
    ("churned", "active"): {"fact", "manual"},
    ("churned", "loyal"): {"fact"},
}
"""All that can happen between two stages; nothing leads past a stage where the set is empty."""
