"""Stages followed by days that are told by their sums, against all facts one by one."""

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from app.lifecycle import whole_days
from app.lifecycle.dated import Ints
from app.lifecycle.documents import parse
from app.lifecycle.facts import fold
from app.lifecycle.history import Transition, trace
from app.lifecycle.instants import Customers, PolicyPeriod
from app.lifecycle.money import replay
from app.lifecycle.money_by_day import Followed, MoneyByDay, Step
from app.lifecycle.policy import Policy
from app.lifecycle.purchase_days import PurchaseDays, by_day
from app.lifecycle.purchases import Fact, set_off
from app.lifecycle.records import PurchaseFilter, Records, Span
from app.lifecycle.summary_columns import NEVER
from tests.lifecycle import at_random, busy
from tests.lifecycle.assembled import (
    as_lifecycle,
    day_number,
    day_of,
    followed,
    instant,
    micros,
    starts_in,
    through_time,
)
from tests.slow_policy import Person
from tests.twin import Fact as Sold
from tests.twin import start_of

_EARLIEST = -719_000


def known(
    facts: list[Fact], since: int, since_day: int, more: set[int], *, each: bool
) -> MoneyByDay:
    """Return what of facts is asked for, as it is read from the database."""
    netted = set_off(facts)
    keys = {purchase.key: purchase.day for purchase in netted.purchases}
    values = {day.day: day.value for day in by_day(netted.purchases)}
    reductions = [
        Step(made.at, made.day, keys[made.purchase], -made.value)
        for made in netted.allocations
        if made.day >= since_day
    ]
    refunds = [fact for fact in facts if fact.refunds is not None and fact.at > since]
    told = {since_day, *(step.today for step in reductions), *(fact.day for fact in refunds), *more}
    days = {day for day in values if day >= since_day and (each or day in told)}
    return MoneyByDay(
        since, since_day, values, reductions, [fact.at for fact in refunds], frozenset(days),
        [Step(one.at, one.day, one.day, one.value) for one in netted.purchases if one.day in days],
    )  # fmt: skip


def by_days(records: Records, money: Followed, since: int, day: int, dropped: Ints) -> Records:
    """Return records that know of no instants but those of days, from an instant on."""
    at = records.at
    kept = np.flatnonzero((at > since) & (~np.isin(at, dropped) | np.isin(at, money.worth.at)))
    at, days = at[kept], records.day[kept]
    if since != NEVER:
        kept = np.r_[np.flatnonzero(records.at <= since)[-1:], kept]
        at, days = np.r_[since, at], np.r_[day, days]
    owner = np.zeros(len(kept), np.int64)
    return replace(
        records, owner=owner, at=at, day=days, span=Span.until_next(owner, days),
        columns=records.columns.take(kept), money=money.worth.in_force(owner, at),
        purchases={**records.purchases, PurchaseFilter(): money.purchases},
    )  # fmt: skip


def transitions(one: Person, policy: Policy, since: int, until: int) -> list[Transition]:
    """Follow somebody by days, and of some of them by each fact."""
    zone = one.zone
    facts = [as_lifecycle(fact, zone) for fact in one.facts]
    days = PurchaseDays.of(by_day(set_off(facts).purchases))
    (records,) = through_time([one], [policy], instant(until))
    points = fold(facts, policy.inactivity_limit, until=until)[1]
    told = {point.at for point in points} | {micros(one.begun_at), records.at[0]}
    told |= {micros(event.at) for event in one.interactions}
    dropped = {each.at for each in replay(facts, until=until)} - told
    day = _EARLIEST if since == NEVER else day_of(instant(since), zone)
    more: set[int] = set()
    while True:
        each = whole_days.need_facts(policy.terms)
        asked = known(facts, since, day, more, each=each)
        assert asked.adds_up()
        money = asked.followed(days)
        found = trace(
            [PolicyPeriod(policy, by_days(records, money, since, day, np.array(list(dropped))))],
            Customers(np.array([until]), np.array([day_of(instant(until), zone)]),
                      np.array([since != NEVER])),
            starts_in(zone),
        )  # fmt: skip
        undecided = whole_days.undecided(found, money.whole).get(0, set())
        assert not undecided & more
        if not undecided:
            return found.transitions()
        more |= undecided


@pytest.mark.parametrize("refunds", [True, False])
@pytest.mark.parametrize("start", range(0, 100, 50))
def test_days_lead_to_the_transitions_that_all_facts_lead_to(start: int, refunds: bool) -> None:
    for seed in range(start, start + 50):
        compare(random.Random(seed), refunds=refunds)


def compare(rng: random.Random, *, refunds: bool) -> None:
    one = replace(busy.person(rng, at_random.zone_of(rng), refunds=refunds), said=())
    policy = parse(1, busy.on_money(rng))
    if not policy.follows_transactions:
        return
    until = micros(busy.last_of(one) + timedelta(days=rng.choice((0, 1, 100))))
    expected = followed([one], [(policy, None)], instant(until)).transitions()
    begun = min(micros(fact.at) for fact in one.facts if fact.kind == "purchase")
    instants = [micros(fact.at) - rng.choice((0, 1)) for fact in one.facts]
    since = rng.choice([NEVER, *sorted(at for at in instants if at >= begun)[:8]])
    assert transitions(one, policy, since, until) == [each for each in expected if each.at > since]


REVENUE = {"variable": "revenue"}
WINDOW = {"variable": "revenue", "days": 7}
MEAN = {"variable": "mean_purchase_value"}
BOUGHT = {"variable": "purchase_days", "op": ">=", "value": 3}


@pytest.mark.parametrize(
    ("when", "facts_of"),
    [
        ({**REVENUE, "op": "==", "value": 30}, {1, 2}),
        ({**WINDOW, "op": "==", "value": 30}, {1, 2}),
        (
            {"all": [{**REVENUE, "op": ">=", "value": 30}, {**REVENUE, "op": "<", "value": 35}]},
            {1, 2},
        ),
        ({**MEAN, "op": "!=", "value": 10}, {0, 1, 2}),
        ({**REVENUE, "op": ">=", "value": {**MEAN}}, {0, 1, 2, 3}),
        ({"all": [BOUGHT, {**REVENUE, "op": ">=", "value": 1}]}, {0, 2}),
        ({"all": [BOUGHT, {**REVENUE, "op": ">=", "value": 100}]}, set()),
    ],
)  # fmt: skip
def test_facts_are_read_of_days_within_which_something_turns(
    when: dict[str, Any], facts_of: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On each of four days three purchases of 5; a comparison holds in between alone, or not."""
    zone, day = at_random.ZONES[0], at_random.BASES[0]
    start = start_of(zone, day)
    facts = [
        Sold(("default", f"p{n}"), start + timedelta(days=n // 3, hours=1 + n % 3), Decimal(5))
        for n in range(12)
    ]
    one = replace(at_random.person(random.Random(1), zone), facts=tuple(facts), interactions=(),
                  said=(), begun_at=start)  # fmt: skip
    stages = [{"code": code, "name": {"en": code, "zh": code}} for code in ("no", "yes")]
    rules = [{"code": "so", "stage": "yes", "when": when}, {"code": "otherwise", "stage": "no"}]
    document = {"stages": stages, "rules": rules, "inactivity_limit": LIMIT}
    policy, until = parse(1, document), micros(start + timedelta(days=5))
    read: set[int] = set()
    undecided = whole_days.undecided

    def telling(*args: Any) -> dict[int, set[int]]:
        found = undecided(*args)
        read.update(each - day_number(day) for each in found.get(0, ()))
        return found

    monkeypatch.setattr(whole_days, "undecided", telling)
    expected = followed([one], [(policy, None)], instant(until)).transitions()
    assert transitions(one, policy, NEVER, until) == expected
    assert read == facts_of


LIMIT = {"floor_days": 10, "gap_multiple": 2, "gap_margin_days": 5}
