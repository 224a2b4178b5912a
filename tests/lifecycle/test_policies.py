"""Any policy on any customer: the service's answers are those of the slow evaluator."""

import random
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.lifecycle.documents import parse
from app.lifecycle.evaluator import evaluate
from app.lifecycle.facts import fold
from app.lifecycle.money import Worth, follow
from app.lifecycle.policy import SilenceLimit
from app.lifecycle.records import Columns, Floats, Ints, Money, Records
from tests.lifecycle import at_random
from tests.lifecycle.assembled import (
    as_lifecycle,
    at_instant,
    changes,
    followed,
    instant,
    micros,
)
from tests.slow_policy import Change, Decision, Person, Slow, beginning, history
from tests.twin import start_of

seeds = st.integers(0, 2**32)


def many(examples: int) -> Any:
    return settings(max_examples=examples, deadline=None, derandomize=True)


def answers(document: Any, policy: Any, records: Records) -> list[tuple[str, str]]:
    n = len(records.columns)
    stage, rule = evaluate(policy, records, np.arange(n), records.day)
    return [(policy.stages[s], policy.rules[r].code) for s, r in zip(stage, rule, strict=True)]


@given(seed=seeds)
@many(250)
def test_one_and_many_are_answered_as_by_the_slow_evaluator(seed: int) -> None:
    rng = random.Random(seed)
    zone = at_random.zone_of(rng)
    people = [at_random.person(rng, zone) for _ in range(8)]
    document, policy = at_random.policy(rng)
    assert policy.beginning == beginning(document, zone, people[0].begun_at)
    for now in (at_random.moment(rng, rng.choice(people)) for _ in range(3)):
        slow = [Slow(each, document).decide(now) for each in people]
        for by_day in (False, True):
            records = at_instant(people, policy, now, by_day=by_day)
            assert answers(document, policy, records) == slow
        alone = [answers(document, policy, at_instant([one], policy, now))[0] for one in people]
        assert alone == slow


@given(seed=seeds)
@many(150)
def test_the_history_is_what_asking_at_every_instant_finds(seed: int) -> None:
    rng = random.Random(seed)
    person = at_random.person(rng, at_random.zone_of(rng))
    document, policy = at_random.policy(rng)
    now = max(at_random.moment(rng, person, latest=90), person.begun_at)
    found = changes(followed([person], [(policy, None)], now))
    assert found == history(person, [(document, None)], now)


@given(seed=seeds)
@many(150)
def test_one_policy_follows_another(seed: int) -> None:
    rng = random.Random(seed)
    person = at_random.person(rng, at_random.zone_of(rng))
    documents, policies = zip(*(at_random.policy(rng, n) for n in (1, 2, 3)), strict=True)
    now = max(at_random.moment(rng, person, latest=90), person.begun_at)
    starts = [None, *sorted({at_random.moment(rng, person) for _ in range(2)})]
    found = changes(followed([person], list(zip(policies, starts)), now))
    assert found == history(person, list(zip(documents, starts)), now)


@given(seed=seeds)
@many(150)
def test_decisions_by_hand_stand_as_long_as_they_may(seed: int) -> None:
    rng = random.Random(seed)
    person = at_random.person(rng, at_random.zone_of(rng))
    documents, policies = zip(*(at_random.policy(rng, n) for n in (1, 2)), strict=True)
    now = max(at_random.moment(rng, person, latest=90), person.begun_at)
    starts = [None, at_random.moment(rng, person)][: rng.randint(1, 2)]
    made = at_random.decisions(rng, person, list(at_random.STAGES), now)
    regime = list(zip(policies, starts, strict=False))
    slow = history(person, list(zip(documents, starts, strict=False)), now, made)
    assert changes(followed([person], regime, now, {0: made})) == slow


@given(seed=seeds)
@many(60)
def test_people_do_not_influence_each_other(seed: int) -> None:
    rng = random.Random(seed)
    zone = at_random.zone_of(rng)
    people = [at_random.person(rng, zone) for _ in range(6)]
    (_, one), (_, two) = at_random.policy(rng), at_random.policy(rng, 2)
    now = max(at_random.moment(rng, people[0], latest=90), *(each.begun_at for each in people))
    regime = [(one, None), (two, at_random.moment(rng, people[1]))]
    made = {
        owner: at_random.decisions(rng, people[owner], list(at_random.STAGES), now)
        for owner in (2, 3)
    }
    together = followed(people, regime, now, made)
    moves = {owner: [*group] for owner, group in groupby(together.moves(), lambda each: each.owner)}
    last = together.last(len(people))
    for owner, each in enumerate(people):
        alone = followed([each], regime, now, {0: made[owner]} if owner in made else None)
        assert [move[1:] for move in alone.moves()] == [m[1:] for m in moves.get(owner, [])]
        assert alone.last(1) == [last[owner]]
        assert alone.beginning(0) == together.beginning(owner)
        assert alone.standing_override(0) == together.standing_override(owner)


@given(seed=seeds)
@many(150)
def test_money_at_each_instant_is_what_folding_up_to_it_says(seed: int) -> None:
    rng = random.Random(seed)
    person = at_random.person(rng, at_random.zone_of(rng))
    facts = [as_lifecycle(fact, person.zone) for fact in person.facts]
    until = micros(at_random.moment(rng, person))
    limit = SilenceLimit(10, 2, 5)
    found = follow(rng.sample(facts, len(facts)), until=until)
    instants = sorted({fact.at for fact in facts if fact.at <= until})
    assert found == [Worth.of(at, fold(facts, limit, until=at)[0]) for at in instants]
