"""Busy people, who buy several times a day, and policies that look at sums most of the time."""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from app.lifecycle.documents import InvalidPolicy, parse
from app.lifecycle.variables.registry import VARIABLES
from tests.lifecycle import at_random
from tests.slow_policy import Interaction, Person
from tests.twin import Fact, start_of

MONEY = [row for row in at_random.NUMBERS if row.source in ("money", "model", "interactions")]
MONEY += [VARIABLES["revenue"], VARIABLES["purchase_days"]] * 3
AMOUNTS = tuple(map(Decimal, ("0", "0.0001", "1", "5", "5", "5", "10", "12.34")))


def _when(rng: random.Random) -> dict[str, Any]:
    """Return a condition: mostly that a sum lies between two bounds which a day may well pass."""
    if rng.random() < 0.3:
        row = rng.choice(MONEY) if rng.random() < 0.7 else rng.choice(at_random.NUMBERS)
        return at_random.comparison(rng, row)
    row = rng.choice([row for row in MONEY if row.unit in ("currency", "ratio")])
    term = at_random.asked(rng, row)
    if rng.random() < 0.8:  # of all lines and channels
        term = {name: own for name, own in term.items() if name in ("variable", "days")}
    if row.unit == "ratio":
        low = rng.choice((0.8, 0.95, 1))
        return {"all": [{**term, "op": ">=", "value": low}, {**term, "op": "<", "value": 1.1}]}
    low = rng.choice((5, 5.5, 10, 15, 20, 27.34, 30, 40))
    if rng.random() < 0.35:
        return {**term, "op": "==", "value": low}
    return {"all": [{**term, "op": ">=", "value": low},
                    {**term, "op": "<", "value": low + rng.choice((0.5, 4, 10))}]}  # fmt: skip


def on_money(rng: random.Random) -> dict[str, Any]:
    """Return a policy of which most rules look at sums, windows, models or interactions."""
    stages = list(at_random.STAGES[: rng.randint(2, 4)])
    while True:
        whens = [_when(rng) for _ in range(rng.randint(1, 3))]
        rules: list[dict[str, Any]] = [
            {"code": f"rule_{n}", "stage": rng.choice(stages), "when": when}
            for n, when in enumerate(whens)
        ]
        rules.append({"code": "default", "stage": rng.choice(stages)})
        entered = {each["stage"] for each in rules}
        found = at_random.in_season({
            "stages": [
                {"code": code, "name": {"en": code, "zh": code}} for code in stages
                if code in entered
            ],
            "inactivity_limit": {"floor_days": rng.choice((1, 10, 30)), "gap_multiple": 2,
                                 "gap_margin_days": rng.choice((0, 4, 365))},
            "rules": rules,
            "model_id": at_random.MODEL_ID,
        })  # fmt: skip
        try:
            parse(1, found)
        except InvalidPolicy:
            continue
        return found


def by_days_alone(rng: random.Random) -> dict[str, Any]:
    """Return a policy that no channel, no line and no value tier decides."""
    while True:
        found = on_money(rng)
        if not any(
            word in repr(found) for word in ("'channel'", "'product'", "'category'", "tier")
        ):
            return found


def person(rng: random.Random, zone: ZoneInfo, *, refunds: bool) -> Person:
    """Return somebody who buys several times on a day, and is heard of on the same days."""
    one = at_random.person(rng, zone)
    day, facts, events = rng.choice(at_random.BASES), list[Fact](), list[Interaction]()
    for _ in range(rng.randint(3, 7)):
        start = start_of(zone, day)
        for _ in range(rng.randint(1, 5)):
            at = start + timedelta(
                hours=rng.choice((0, 1, 9, 9, 15, 22)), minutes=rng.randint(0, 1)
            )
            bought = Fact(("default", f"p{len(facts)}"), at, rng.choice(AMOUNTS))
            facts.append(replace(bought, channel=rng.choice((None, "web"))))
            if refunds and rng.random() < 0.2:
                amount = rng.choice((bought.amount, bought.amount / 2, Decimal(3)))
                later = timedelta(days=rng.choice((0, 0, 1, 10, 40)), hours=rng.randint(-1, 5))
                named = rng.choice((bought.name, bought.name, None, ("default", "unknown")))
                facts.append(Fact(("default", f"r{len(facts)}"), at + later,
                                  amount.quantize(Decimal("0.0001")), "refund", named))  # fmt: skip
        if rng.random() < 0.5:
            events.append(Interaction(start + timedelta(hours=rng.choice((0, 5, 9, 20))),
                                      rng.choice(at_random.KINDS), None))  # fmt: skip
        day += timedelta(days=rng.choice((1, 2, 5, 11, 30, 90)))
    return replace(one, facts=tuple(facts), interactions=tuple(events), said=())


def last_of(one: Person) -> datetime:
    told = [one.begun_at, *(each.at for each in one.facts), *(each.at for each in one.interactions)]
    return max(told)
