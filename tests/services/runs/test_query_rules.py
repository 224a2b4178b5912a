"""A rule says the same of everybody by SQL, evaluated on columns, and slowly one by one."""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.days import AsOf
from app.deployment import Deployment
from app.lifecycle.evidence import shown
from app.lifecycle.expressions import ALWAYS, OPERATORS, Expression, terms
from app.lifecycle.presets.kinds import CORE
from app.lifecycle.variables.registry import VARIABLES
from app.models import Policy, PolicyActivation
from app.postgres.db import WriteSession
from app.services.common import deployment_settings
from app.services.runs import (
    queries,
    query_answers,
    query_columns,
    query_pages,
    query_rules,
    query_sql,
)
from app.services.runs.query_pages import Order, Place
from app.services.runs.query_rules import Question
from app.services.runs.query_values import EVALUATED, OF_LIMIT, VALUES, is_stored
from tests.database import NOW
from tests.kept import store_model
from tests.lifecycle import at_random
from tests.lifecycle.test_variables import INACTIVITY, asked_of
from tests.services.stages.test_any_policy import MODELLED, post_all, put_in_force
from tests.slow_policy import Person, Slow, compared, holds

PEOPLE, TREES = 4, 50
MODELLED_RULE = {"variable": "r", "op": "known", "value": True}
BY_ID = Order("customer_id", descending=False)


def test_each_variable_and_each_operator_is_translated_or_said_to_be_evaluated() -> None:
    assert set(VALUES).isdisjoint(EVALUATED)
    assert set(VALUES) | EVALUATED == set(VARIABLES)
    assert set(query_sql.OPERATORS) == set(OPERATORS)


async def question_of(session: WriteSession, given: Any, as_of: AsOf) -> Question:
    pointers = await deployment_settings.pointers(session)
    when = (await query_rules.reader(session, pointers)).when(given, "/when")
    return await query_rules.question(session, pointers, when, (), as_of, lambda _: True)


def readable(given: Any) -> Expression | None:
    """Return a rule, unless it says nothing of anybody and is refused."""
    read = query_rules.Reader(CORE)
    when = read.when(given, "/when")
    return None if read.faults else when


async def stored_ids(
    session: WriteSession, deployment: Deployment, question: Question
) -> list[str] | None:
    """Return for whom the rule holds by what is stored; None where that does not tell."""
    doubted = await queries.doubts(session, deployment, question, money=False)
    if doubted is None:
        return None
    rows = await query_pages.stored(session, deployment, question, BY_ID, Place(), 1000, doubted)
    tables = question.tables(deployment, everybody=True)
    condition = query_sql.holds(question.when, tables)
    counted = tables.select(["c.customer_id"], [condition])
    driver = await (await session.connection()).get_raw_connection()
    all_at_once = await driver.driver_connection.fetch(counted, *tables.arguments)  # type: ignore[union-attr]
    assert {row[0] for row in all_at_once} - set(doubted) == {row[1] for row in rows}
    found = await query_columns.of_customers(session, deployment, question, (), doubted)
    return sorted([*(row[1] for row in rows), *found.customer_ids])


def rules(rng: random.Random) -> list[Any]:
    """Return rules of all sorts, each that can be read; all variables are asked of alone, too."""
    found: list[Any] = [
        {"variable": name, "op": op, "value": value}
        for name in ("revenue", "purchase_days", "interactions")
        for op in (*at_random.ORDERED, "==", "!=")
        for value in (0, 1, 5, 9.99995, 10, rng.choice(at_random.CONSTANTS["currency"]))
    ]
    for row in at_random.ROWS:
        given = at_random.comparison(rng, row)
        found += [given, {"not": given}]
        if row.narrowed is not None:
            found += [{key: each for key, each in at_random.comparison(rng, row).items()
                       if key not in row.narrowed.parameters} for _ in range(4)]  # fmt: skip
    for _ in range(TREES):
        given = at_random.tree(rng)
        if rng.random() < 0.2:
            stage = {"variable": "stage", "op": rng.choice(("==", "!=")), "value": "active"}
            given = {rng.choice(("all", "any")): [given, stage]}
        found.append(given)
    return [given for given in found if readable(given) is not None]


@pytest.mark.parametrize("seed", range(2))
async def test_what_is_stored_says_what_the_evaluators_do(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    """Now, a little later with facts that waited for their time, and at earlier instants."""
    rng, zone = random.Random(seed), deployment.calendar.zone
    base = at_random.BASES[seed]
    people = {f"c{number}": at_random.person(rng, zone, base) for number in range(PEOPLE)}
    await store_model(session, at_random.MODEL_ID)
    given = at_random.policy(rng)[0]
    await put_in_force(session, 99, given)
    now = at_random.moment(rng, people["c0"], latest=200)
    await post_all(session, deployment, rng, people, now)
    document = {name: given[name] for name in ("inactivity_limit", "season") if name in given}
    slow = {each: Slow(_until(one, now), document, MODELLED) for each, one in people.items()}
    asked = rules(rng)
    every = await question_of(session, MODELLED_RULE, deployment.as_of(now))
    whens = [when for when in map(readable, asked) if when is not None]
    later = [now + timedelta(hours=hours) for hours in (0, 20)]
    instants = [replace(deployment.as_of(at), is_now=True) for at in later]
    past = (at_random.moment(rng, one) for one in people.values())
    instants += [deployment.as_of(min(now, at)) for at in past]
    by_sql = 0
    for as_of in instants:
        question = replace(every, when=ALWAYS, as_of=as_of)
        found = await query_columns.of_range(session, deployment, question, rules=whens)
        assert found.customer_ids == sorted(people)
        for place, (given, when) in enumerate(zip(asked, whens, strict=True)):
            told = [each for each, holds_ in zip(found.customer_ids, found.shares[place],
                                                 strict=True) if holds_]  # fmt: skip
            own = await question_of(session, given, as_of)
            stored = await stored_ids(session, deployment, own)
            by_sql += stored is not None
            assert stored in (None, told), (given, as_of)
            if "stage" not in {each["variable"] for each in compared(given)}:
                at = as_of.at
                assert told == [
                    each for each in found.customer_ids
                    if holds(given, lambda term, each=each, at=at: slow[each].value(term, at))
                ], (given, as_of)  # fmt: skip
            if any(term.name in EVALUATED for term in terms(when)):
                assert stored is None
        await _compare_values(session, deployment, every, as_of)
    assert by_sql > len(instants) * len(asked) / 2


async def _compare_values(
    session: WriteSession, deployment: Deployment, question: Question, as_of: AsOf
) -> None:
    """Hold what is read of each stored term against what is evaluated."""
    asked = [at_random.read(term) for row in at_random.ROWS for term in asked_of(row)]
    evaluated = OF_LIMIT if question.policy.inactivity_limit.season else ()
    stored = tuple(
        term for term in dict.fromkeys(asked) if is_stored(term) and term.name not in evaluated
    )
    question = replace(question, when=ALWAYS, asked=stored, as_of=as_of)
    doubted = await queries.doubts(session, deployment, question, money=False)
    assert doubted is not None
    told: query_pages.Told = {}
    await query_pages.stored(
        session, deployment, question, BY_ID, Place(), 100, doubted, shown=stored, told=told
    )
    found = await query_columns.of_range(session, deployment, question, stored)
    for term in stored:
        for each, value in zip(found.customer_ids, shown(term, found.values[term]), strict=True):
            if each in told:
                plain = query_answers.of_stored(term, told[each][1 + stored.index(term)])
                assert (None if plain is None else as_is(plain)) == value, (term, each, as_of)


def as_is(value: Any) -> Any:
    return float(value) if isinstance(value, (int, Decimal)) and value is not True else value


def _until(one: Person, now: datetime) -> Person:
    """Return what was posted of somebody."""
    latest = now + timedelta(hours=20)
    return replace(
        one,
        facts=tuple(fact for fact in one.facts if fact.at <= latest),
        interactions=tuple(event for event in one.interactions if event.at <= latest),
        said=tuple(said for said in one.said if said.since is not None and said.since <= now),
    )


async def test_lives_by_another_silence_are_evaluated(
    session: WriteSession, deployment: Deployment
) -> None:
    """A policy with another limit has come into force, and summaries are of the one before."""
    rng, zone = random.Random(5), deployment.calendar.zone
    people = {f"c{number}": at_random.person(rng, zone) for number in range(PEOPLE)}
    document = at_random.policy(rng)[0]
    await put_in_force(session, 99, {**document, "inactivity_limit": INACTIVITY})
    await store_model(session, at_random.MODEL_ID)
    await post_all(session, deployment, rng, people, NOW)
    later = {**document, "inactivity_limit": {**INACTIVITY, "floor_days": 300}}
    session.add(Policy(version=98, document=later, created_at=NOW))
    session.add(PolicyActivation(activation_id=9, version=98, activated_at=NOW))
    await session.flush()
    for key in (deployment_settings.ACTIVE_POLICY, deployment_settings.SETTLED_POLICY):
        await deployment_settings.put(session, key, 98)
    timeline = deployment_settings.POLICY_TIMELINE
    await deployment_settings.put(session, timeline, deployment_settings.new_name())
    as_of = replace(deployment.as_of(NOW), is_now=True)
    for name, value in (("lives", 1), ("life_purchase_days", 2), ("mean_gap_days", 60),
                        ("inactivity_limit_days", 250), ("purchase_days", 2)):  # fmt: skip
        given = {"variable": name, "op": ">", "value": value}
        question = await question_of(session, given, as_of)
        found = await query_columns.of_range(session, deployment, question)
        assert await stored_ids(session, deployment, question) == found.customer_ids
        doubted = await queries.doubts(session, deployment, question, money=False)
        bought = [each for each, one in people.items() if one.facts]
        assert doubted is not None
        assert sorted(doubted) == ([] if name == "purchase_days" else bought)
