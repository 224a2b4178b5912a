"""Any policy on any customer: the service's answers are those of the slow evaluator."""

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.lifecycle.dated import Floats, Ints
from app.lifecycle.documents import parse
from app.lifecycle.evaluator import evaluate
from app.lifecycle.facts import fold
from app.lifecycle.history import trace
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.instants import Customers, PolicyPeriod
from app.lifecycle.money import replay
from app.lifecycle.presets import PRESETS
from app.lifecycle.records import Columns, Money, Records
from tests.lifecycle import at_random
from tests.lifecycle.assembled import (
    as_lifecycle,
    at_instant,
    changes,
    day_of,
    followed,
    instant,
    micros,
    slow_stand_in,
    starts_in,
    through_time,
    worth_of,
)
from tests.simulation.policies import described, renamed
from tests.slow_history import beginning, history, role_of, walk
from tests.slow_policy import Change, Decision, Person, Slow
from tests.twin import Fact, start_of

seeds = st.integers(0, 2**32)


def many(examples: int) -> Any:
    return settings(max_examples=examples, deadline=None, derandomize=True)


def answers(document: Any, policy: Any, records: Records) -> list[tuple[str, str]]:
    n = len(records.columns)
    stage, rule = evaluate(policy, records, np.arange(n), records.day)
    return [(policy.stages[s], policy.rules[r].code) for s, r in zip(stage, rule, strict=True)]


@given(seed=seeds)
@many(70)
def test_one_and_many_are_answered_as_by_the_slow_evaluator(seed: int) -> None:
    rng = random.Random(seed)
    zone = at_random.zone_of(rng)
    people = [at_random.person(rng, zone) for _ in range(8)]
    document, policy = at_random.policy(rng)
    assert policy.beginning == beginning(document, zone, people[0].begun_at)
    for now in (at_random.moment(rng, rng.choice(people)) for _ in range(3)):
        slow = [Slow(each, document, slow_stand_in).decide(now) for each in people]
        for by_day in (False, True):
            records = at_instant(people, policy, now, by_day=by_day)
            assert answers(document, policy, records) == slow
        alone = [answers(document, policy, at_instant([one], policy, now))[0] for one in people]
        assert alone == slow


@given(seed=seeds)
@many(70)
def test_the_history_is_what_asking_at_every_instant_finds(seed: int) -> None:
    rng = random.Random(seed)
    person = at_random.person(rng, at_random.zone_of(rng))
    document, policy = at_random.policy(rng)
    now = max(at_random.moment(rng, person, latest=200), person.begun_at)
    found = changes(followed([person], [(policy, None)], now))
    assert found == history(person, [(document, None)], now, model=slow_stand_in)


@given(seed=seeds)
@many(70)
def test_one_policy_follows_another(seed: int) -> None:
    rng = random.Random(seed)
    person = at_random.person(rng, at_random.zone_of(rng))
    documents, policies = zip(*(at_random.policy(rng, n) for n in (1, 2, 3)), strict=True)
    now = max(at_random.moment(rng, person, latest=200), person.begun_at)
    starts = [None, *sorted({at_random.moment(rng, person) for _ in range(2)})]
    found = changes(followed([person], list(zip(policies, starts, strict=False)), now))
    assert found == history(
        person, list(zip(documents, starts, strict=False)), now, model=slow_stand_in
    )


@given(seed=seeds)
@many(70)
def test_decisions_by_hand_stand_as_long_as_they_may(seed: int) -> None:
    rng = random.Random(seed)
    person = at_random.person(rng, at_random.zone_of(rng))
    documents, policies = zip(*(at_random.policy(rng, n) for n in (1, 2)), strict=True)
    now = max(at_random.moment(rng, person, latest=200), person.begun_at)
    starts = [None, at_random.moment(rng, person)][: rng.randint(1, 2)]
    made = at_random.decisions(rng, person, list(at_random.STAGES), now)
    regime = list(zip(policies, starts, strict=False))
    slow = history(person, list(zip(documents, starts, strict=False)), now, made, slow_stand_in)
    assert changes(followed([person], regime, now, {0: made})) == slow


@given(seed=seeds)
@many(100)
def test_stages_are_renamed_and_decisions_carried_over(seed: int) -> None:
    rng = random.Random(seed)
    person = at_random.person(rng, at_random.zone_of(rng))
    first, _ = at_random.policy(rng, 1)
    documents = [described(first)]
    for n in range(rng.randint(1, 3)):
        documents.append(renamed(documents[-1], n))
    now = max(at_random.moment(rng, person, latest=200), person.begun_at)
    starts = sorted({at_random.moment(rng, person) for _ in documents[1:]})
    documents = documents[: len(starts) + 1]
    policies = [parse(n, document) for n, document in enumerate(documents, 1)]
    made = at_random.decisions(rng, person, list(policies[0].stages), now)[: rng.randint(0, 3)]
    made = [each for each in made if each.at < starts[0]]
    slow = walk(
        person, list(zip(documents, [None, *starts], strict=True)), now, made, slow_stand_in
    )
    found = followed([person], list(zip(policies, [None, *starts], strict=True)), now, {0: made})
    assert changes(found) == [step.change for step in slow if step.change]
    stands, standing = slow[-1].stands, found.standing_override(0)
    assert (stands and stands.stage) == (standing and standing.stage)
    assert found.last(1)[0][0] == slow[-1].stage


@given(seed=seeds)
@many(70)
def test_the_day_of_leaving_is_the_one_that_waiting_finds(seed: int) -> None:
    rng = random.Random(seed)
    person = at_random.person(rng, at_random.zone_of(rng))
    document, _ = at_random.policy(rng)
    gone = rng.choice(document["stages"])
    policy = parse(1, {**document, "stages": [
        {**each, "role": "churned" if each is gone else "customer"} for each in document["stages"]
    ]})  # fmt: skip
    now = max(at_random.moment(rng, person), person.begun_at)
    made = at_random.decisions(rng, person, list(policy.stages), now)[: rng.randint(0, 2)]
    found = followed([person], [(policy, None)], now, {0: made})
    so_far = replace(
        person,
        facts=tuple(each for each in person.facts if each.at <= now),
        interactions=tuple(each for each in person.interactions if each.at <= now),
        said=tuple(each for each in person.said if each.since is None or each.since <= now),
    )
    end = start_of(person.zone, person.day(now) + timedelta(days=60))
    waited = [
        each
        for each in history(so_far, [(document, None)], end, made, slow_stand_in)
        if each.at > now
    ]
    left = [day_of(each.at, person.zone) for each in waited if each.to_stage == gone["code"]]
    ahead = found.project(micros(end), day_of(end, person.zone), starts_in(person.zone))
    if found.last(1)[0][0] != gone["code"]:
        assert ahead.churn_date(micros(now)) == min(left, default=None)


@given(seed=seeds)
@many(40)
def test_people_do_not_influence_each_other(seed: int) -> None:
    rng = random.Random(seed)
    zone = at_random.zone_of(rng)
    people = [at_random.person(rng, zone) for _ in range(6)]
    (_, one), (_, two) = at_random.policy(rng), at_random.policy(rng, 2)
    now = max(at_random.moment(rng, people[0], latest=200), *(each.begun_at for each in people))
    regime = [(one, None), (two, at_random.moment(rng, people[1]))]
    made = {
        owner: at_random.decisions(rng, people[owner], list(at_random.STAGES), now)
        for owner in (2, 3)
    }
    together = followed(people, regime, now, made)
    transitions = {
        owner: [*group] for owner, group in groupby(together.transitions(), lambda each: each.owner)
    }
    last = together.last(len(people))
    for owner, each in enumerate(people):
        alone = followed([each], regime, now, {0: made[owner]} if owner in made else None)
        assert [transition[1:] for transition in alone.transitions()] == [
            m[1:] for m in transitions.get(owner, [])
        ]
        assert alone.last(1) == [last[owner]]
        assert alone.beginning(0) == together.beginning(owner)
        assert alone.standing_override(0) == together.standing_override(owner)


@given(seed=seeds)
@many(70)
def test_money_at_each_instant_is_what_folding_up_to_it_says(seed: int) -> None:
    rng = random.Random(seed)
    person = at_random.person(rng, at_random.zone_of(rng))
    facts = [as_lifecycle(fact, person.zone) for fact in person.facts]
    until = micros(at_random.moment(rng, person))
    limit = InactivityLimit(10, 2, 5)
    found = replay(rng.sample(facts, len(facts)), until=until)
    instants = sorted({fact.at for fact in facts if fact.at <= until})
    assert found == [worth_of(at, fold(facts, limit, until=at)[0]) for at in instants]


def after_silence(names: frozenset[str], columns: Columns, money: Money, day: Ints) -> Any:
    """Compute what grows with silence, or falls, for those who have purchased."""
    silent = np.where(columns.purchase_days > 0, day - columns.last_day, np.nan)
    found: Mapping[str, Floats] = {
        "churn_probability": 1 - np.exp(-silent / 50),
        "inactivity_to_usual_gap": silent / 7,
        "r": np.where(np.isnan(silent), np.nan, np.maximum(5 - np.floor_divide(silent, 9), 1)),
        "value_tier": np.where(np.isnan(silent), np.nan, np.maximum(2 - silent // 20, 0)),
    }
    return {name: found[name] for name in names}


@pytest.mark.parametrize(
    ("variable", "op", "value", "holds"),
    [
        ("churn_probability", ">", 0.5, lambda silent: silent >= 35),
        ("churn_probability", "<=", 0.9, lambda silent: silent <= 115),
        ("inactivity_to_usual_gap", ">=", 3, lambda silent: silent >= 21),
        ("inactivity_to_usual_gap", "==", 2, lambda silent: silent == 14),
        ("r", "<", 3, lambda silent: silent >= 27),
        ("r", "!=", 4, lambda silent: not 9 <= silent < 18),
        ("value_tier", "in", ["medium"], lambda silent: 20 <= silent < 40),
        ("value_tier", "<", "high", lambda silent: silent >= 20),
        ("value_tier", "==", "low", lambda silent: silent >= 40),
    ],
)
def test_the_day_on_which_a_model_changes_its_mind_is_found(
    variable: str, op: str, value: Any, holds: Any
) -> None:
    when = {"variable": variable, "op": op, "value": value}
    stages = [{"code": code, "name": {"en": code, "zh": code}} for code in ("no", "yes")]
    rules = [{"code": "so", "stage": "yes", "when": when}, {"code": "other", "stage": "no"}]
    silence = {"floor_days": 30, "gap_multiple": 1, "gap_margin_days": 0}
    document = {"stages": stages, "inactivity_limit": silence, "rules": rules, "model_id": "m"}
    policy = parse(1, document)
    zone = at_random.ZONES[1]
    bought = datetime(2021, 2, 1, 12, tzinfo=UTC)
    person = Person(zone, bought, (Fact(("default", "p"), bought, Decimal(5)),))
    expected, before = [], "no"
    for silent in range(150):
        at = start_of(zone, date(2021, 2, 1) + timedelta(days=silent)) if silent else bought
        after, rule = ("yes", "so") if holds(silent) else ("no", "other")
        if after != before:
            cause = "inactivity" if silent else "fact"
            expected.append(Change(before, after, at, cause, rule))
        before = after
    now = start_of(zone, date(2021, 2, 1) + timedelta(days=150))
    assert expected
    history_ = followed([person], [(policy, None)], now, computed=after_silence)
    assert changes(history_) == expected


NOON = datetime(2021, 2, 1, 12, tzinfo=UTC)
FIVE = PRESETS["five_stages"]


def buyer(*days: float) -> Person:
    """Return somebody who purchased so many days after a noon."""
    facts = [
        Fact(("default", f"p{n}"), NOON + timedelta(days=day), Decimal(5))
        for n, day in enumerate(days)
    ]
    return Person(at_random.ZONES[0], NOON, tuple(facts))


def told(person: Person, now: datetime, *decisions: Decision) -> list[Change]:
    """Return the transitions under the five stages, which must be those of the slow evaluator."""
    found = changes(followed([person], [(parse(1, FIVE), None)], now, {0: decisions}))
    assert found == history(person, [(FIVE, None)], now, decisions)
    return found


def day(number: float) -> datetime:
    return NOON + timedelta(days=number)


def stages(found: list[Change]) -> list[tuple[str, str, str]]:
    return [(each.to_stage, each.cause, each.rule) for each in found]


def test_a_pin_holds_against_facts_and_time_and_ends_where_the_rules_are() -> None:
    pinned = Decision(day(1), "churned", day(30))
    assert stages(told(buyer(0, 2, 3), day(40), pinned)) == [
        ("initial", "fact", "first_purchase"),
        ("churned", "manual", "override"),
        ("active", "manual", "repeat_purchase"),
    ]


def test_a_decision_without_a_pin_stands_until_the_next_fact_or_answer() -> None:
    loose = Decision(day(1), "churned")
    by_fact = stages(told(buyer(0, 2), day(40), loose))
    assert by_fact[1:] == [("churned", "manual", "override"), ("active", "fact", "repeat_purchase")]
    in_time = stages(told(buyer(0), day(400), Decision(day(1), "loyal")))
    assert in_time[1:] == [
        ("loyal", "manual", "override"),
        ("churned", "inactivity", "silent_too_long"),
    ]


def test_a_purchase_ends_a_decision_without_a_pin_also_on_a_day_that_had_one() -> None:
    loose = Decision(day(0.1), "churned")
    same_day = told(buyer(0, 0.2, 0.3), day(5), loose)
    assert stages(same_day)[1:] == [
        ("churned", "manual", "override"), ("initial", "fact", "first_purchase"),
    ]  # fmt: skip
    assert same_day[-1].at == day(0.2)
    # Whatever became of the purchase later, it was known then.
    refund = Fact(("default", "r"), day(1), Decimal(5), "refund", ("default", "p1"))
    one = buyer(0, 0.2)
    refunded = replace(one, facts=(*one.facts, refund))
    assert told(refunded, day(5), loose) == told(one, day(5), loose)
    # One before the decision, or at its very instant, ends nothing.
    assert stages(told(buyer(0, 0.1), day(5), loose))[-1] == ("churned", "manual", "override")


def test_a_renamed_stage_goes_on_without_a_transition() -> None:
    new = renamed_of(FIVE, initial="newcomer", active="regular")
    regime = [(FIVE, None), (new, day(10))]
    policies = [(parse(n, document), at) for n, (document, at) in enumerate(regime, 1)]
    found = followed([buyer(0, 20)], policies, day(30))
    assert changes(found) == history(buyer(0, 20), regime, day(30))
    assert [(each.from_stage, each.to_stage) for each in changes(found)] == [
        ("potential", "initial"), ("newcomer", "regular"),
    ]  # fmt: skip
    (rename,) = found.renames()
    assert rename[1:] == ("initial", "newcomer", micros(day(10)), 2)
    # Who by the rules is elsewhere then makes a transition, from the stage as it was called.
    aged = {"code": "aged", "stage": "regular",
            "when": {"variable": "tenure_days", "op": ">=", "value": 5}}  # fmt: skip
    other = {**new, "rules": [*new["rules"][:-1], aged, new["rules"][-1]]}
    moved = followed([buyer(0)], [policies[0], (parse(2, other), day(10))], day(30))
    assert changes(moved)[-1][:2] == ("initial", "regular")
    assert moved.renames() == []


def test_overrides_go_on_in_the_stage_that_is_mapped_or_alike_or_the_only_one_of_the_role() -> None:
    new = renamed_of(FIVE, initial="newcomer", churned="gone")
    policies = [(parse(1, FIVE), None), (parse(2, new), day(10))]
    for stage, after in (("initial", "newcomer"), ("loyal", "loyal"), ("churned", "gone")):
        found = followed([buyer(0, 1)], policies, day(30), {0: [Decision(day(2), stage)]})
        standing = found.standing_override(0)
        assert standing is not None
        assert (standing.stage, found.last(1)[0][0]) == (after, after)
    # Without maps by role: of those who left there is one stage, of customers there are two.
    phases = PRESETS["four_phases"]
    policies = [policies[0], (parse(2, phases), day(10))]
    regime = [(FIVE, None), (phases, day(10))]
    for stage, after in (("churned", "departure"), ("loyal", None)):
        made = [Decision(day(2), stage, day(60))]
        found = followed([buyer(0, 1)], policies, day(30), {0: made})
        assert changes(found) == history(buyer(0, 1), regime, day(30), made)
        standing = found.standing_override(0)
        assert (standing and standing.stage) == after
        assert [each.stage for each in found.overruled.lost.values()] == (
            [] if after else ["loyal"]
        )
        assert changes(found)[-1].rule == ("override" if after else "purchased")


def renamed_of(document: dict[str, Any], **maps: str) -> dict[str, Any]:
    """Return a policy that calls some stages otherwise."""
    moves = {maps.get(code, code): [maps.get(to, to) for to in allowed]
             for code, allowed in document["transitions"].items()}  # fmt: skip
    return {
        **document,
        "stages": [{**each, "role": role_of(document, each["code"]),
                    "code": maps.get(each["code"], each["code"])} for each in document["stages"]],
        "rules": [{**each, "stage": maps.get(each["stage"], each["stage"])}
                  for each in document["rules"]],
        "transitions": moves,
        "maps": maps,
    }  # fmt: skip


def test_a_later_decision_takes_the_place_of_a_pin() -> None:
    found = told(
        buyer(0), day(90), Decision(day(1), "churned", day(30)), Decision(day(2), "loyal", day(60))
    )
    assert [each.at for each in found] == [day(0), day(1), day(2), day(60)]


def test_a_policy_without_the_stage_ends_a_decision() -> None:
    person, start = buyer(0), day(10)
    four = PRESETS["four_stages"]
    regime = [(parse(1, FIVE), None), (parse(2, four), start)]
    decisions = [Decision(day(1), "loyal", day(60))]
    found = changes(followed([person], regime, day(40), {0: decisions}))
    assert found == history(person, [(FIVE, None), (four, start)], day(40), decisions)
    assert found[-1] == Change("loyal", "new", start, "policy", "purchased")


@pytest.mark.parametrize("bought", [(0, 10), (10,)])
def test_a_fact_at_the_instant_of_a_policy_counts_in_it(bought: tuple[int, ...]) -> None:
    person, start = buyer(*bought), day(10)
    twice = {"variable": "purchase_days", "op": ">=", "value": 2}
    four = {**PRESETS["four_stages"]}
    four["rules"] = [{"code": "twice", "stage": "mature", "when": twice}, *four["rules"]]
    four["rules"] = [each for each in four["rules"] if each["code"] != "frequent_and_long_standing"]
    regime = [(parse(1, FIVE), None), (parse(2, four), start)]
    found = changes(followed([person], regime, day(12)))
    assert found == history(person, [(FIVE, None), (four, start)], day(12))


def test_a_fact_as_a_former_pin_would_have_ended_ends_a_loose_decision() -> None:
    loose = Decision(day(2), "churned")
    former = Decision(day(1), "loyal", day(5))
    assert told(buyer(0, 5), day(9), former, loose)[-1].to_stage == "active"


def test_what_happens_as_a_former_pin_would_have_ended_is_not_its_end() -> None:
    """After one purchase day the silence is too long from the midnight before day 181 on."""
    midnight = day(181) - timedelta(hours=12)
    former, loose = Decision(day(1), "loyal", midnight), Decision(day(2), "active")
    run = followed([buyer(0)], [(parse(1, FIVE), None)], day(190), {0: [former, loose]})
    last = run.transitions()[-1]
    assert (instant(last.at), last.to_stage, last.cause) == (midnight, "churned", "inactivity")


def test_a_fact_at_the_instant_of_a_policy_ends_a_loose_decision() -> None:
    person, decisions = buyer(0, 5, 10), [Decision(day(6), "churned")]
    regime = [(parse(1, FIVE), None), (parse(2, FIVE), day(10))]
    found = changes(followed([person], regime, day(12), {0: decisions}))
    assert found == history(person, [(FIVE, None), (FIVE, day(10))], day(12), decisions)
    assert found[-1].to_stage == "active"


@pytest.mark.parametrize(
    ("variable", "op", "value", "days", "asked"),
    [
        ("inactivity_to_mean_gap", ">=", 15, (0, 1, 2, 7), 42),
        ("inactivity_to_mean_gap", "==", 57, (0, 1, 2, 7), 140),
        ("frequency_trend", "<", 0.9, (0, 1, 2, 3, 6), 6),
        ("frequency_trend", "<=", 1.2, (0, 11, 30, 66), 66),
    ],
)
def test_a_ratio_that_equals_a_constant_does_so_exactly(
    variable: str, op: str, value: float, days: tuple[int, ...], asked: int
) -> None:
    when = {"variable": variable, "op": op, "value": value}
    document = {
        "stages": [{"code": code, "name": {"en": code, "zh": code}} for code in ("no", "yes")],
        "inactivity_limit": {"floor_days": 500, "gap_multiple": 1, "gap_margin_days": 0},
        "rules": [{"code": "so", "stage": "yes", "when": when}, {"code": "not", "stage": "no"}],
    }
    person, now = buyer(*days), day(asked)
    records = at_instant([person], parse(1, document), now)
    assert answers(document, parse(1, document), records) == [Slow(person, document).decide(now)]


def test_nothing_after_the_end_is_told() -> None:
    """Facts may be known from later on, as those of others are asked for at once."""
    person, now = buyer(0, 2), day(1)
    records = through_time([person], [parse(1, FIVE)], day(3))[0]
    customers = Customers(
        np.array([micros(now)]), np.array([day_of(now, person.zone)]), np.array([False])
    )
    found = trace(
        [PolicyPeriod(parse(1, FIVE), records)], customers, starts_in(person.zone)
    ).transitions()
    assert [instant(each.at) for each in found] == [day(0)]
