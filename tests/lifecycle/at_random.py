"""Random people and policies, crowded around one another's bounds."""

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from app.lifecycle import ranges
from app.lifecycle.catalogue import CATALOGUE
from app.lifecycle.documents import InvalidPolicy, parse
from app.lifecycle.policy import Policy
from tests.histories import instant_of
from tests.slow_policy import Decision, Interaction, Person
from tests.twin import MICROSECOND, Fact, start_of

ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "Asia/Shanghai", "America/Sao_Paulo")]
BASES = (date(2018, 10, 20), date(2021, 3, 10), date(2023, 12, 20))
"""Summer time begins in Brazil, and in Europe, soon after the first two."""
GAPS = (0, 0, 1, 1, 2, 3, 5, 6, 10, 11, 15, 30, 31)
AMOUNTS = tuple(map(Decimal, ("0", "0.0001", "5", "5", "10", "12.34")))
KINDS = ("complaint", "survey", "call", "cancelled")
STAGES = ("potential", "first", "second", "third", "churned")


def zone_of(rng: random.Random) -> ZoneInfo:
    return rng.choice(ZONES)


def person(rng: random.Random, zone: ZoneInfo) -> Person:
    """Return somebody whose facts lie within few months."""
    day = first = rng.choice(BASES)
    facts: list[Fact] = []
    for _ in range(rng.randint(0, 7)):
        day += timedelta(days=rng.choice(GAPS))
        at = instant_of(rng, zone, day)
        if facts and rng.random() < 0.1:
            at = facts[-1].at
        bought = Fact(("default", f"p{len(facts)}"), at, rng.choice(AMOUNTS))
        facts.append(bought)
        if rng.random() < 0.4:
            facts += _refunds(rng, zone, bought, len(facts))
    if rng.random() < 0.3:
        at = instant_of(rng, zone, first + timedelta(days=rng.randint(0, 60)))
        facts.append(Fact(("default", "free"), at, rng.choice(AMOUNTS), "refund"))
    events: list[Interaction] = []
    for _ in range(rng.randint(0, 6)):
        event = _interaction(rng, zone, first, facts)
        # Several at one instant, too: of them the last answer counts.
        events.append(event._replace(at=events[-1].at) if events and rng.random() < 0.2 else event)
    begun = instant_of(rng, zone, first + timedelta(days=rng.choice((-20, -3, 0, 0, 5))))
    return Person(zone, begun, tuple(facts), tuple(events), _profile(rng, first))


def _refunds(rng: random.Random, zone: ZoneInfo, bought: Fact, number: int) -> list[Fact]:
    amount = bought.amount
    amounts = rng.choice(([amount], [amount / 2] * 2, [amount / 4], [amount + 1], [Decimal(0)]))
    day = bought.at.astimezone(zone).date()
    found = []
    for n, each in enumerate(amounts):
        at = rng.choice(
            (
                bought.at,
                bought.at - MICROSECOND,
                bought.at - timedelta(days=4),
                bought.at + timedelta(days=rng.choice((1, 8, 20))),
                start_of(zone, day + timedelta(days=rng.choice((1, 10, 11)))),
            )
        )
        value = each.quantize(Decimal("0.0001"))
        found.append(Fact(("default", f"r{number}.{n}"), at, value, "refund", bought.name))
    return found


def _interaction(rng: random.Random, zone: ZoneInfo, first: date, facts: list[Fact]) -> Interaction:
    at = instant_of(rng, zone, first + timedelta(days=rng.randint(-5, 70)))
    if facts and rng.random() < 0.2:
        at = rng.choice(facts).at
    kind = rng.choice(KINDS)
    score = float(rng.randint(1, 5)) if kind == "survey" and rng.random() < 0.8 else None
    return Interaction(at, kind, score)


def _profile(rng: random.Random, first: date) -> dict[str, Any]:
    attributes = {
        name: rng.choice((True, False, "yes", "no", 3, 3.5, 0, None, ["x"], {"y": 1}))
        for name in ("vip", "grade")
        if rng.random() < 0.7
    }
    return {
        "contract_ends_on": rng.choice((None, first + timedelta(days=rng.randint(-3, 90)))),
        "country": rng.choice((None, "CN", "DE")),
        "kind": rng.choice(("person", "company")),
        "owner": rng.choice((None, "ann", "bob")),
        "attributes": attributes,
    }


AGES = ("tenure_days", "life_tenure_days", "days_silent", "days_since_interaction")
COUNTS = ("purchase_days", "life_purchase_days", "lives", "complaints_90_days", "interactions")
DAYS = (*AGES, "silence_limit_days", "mean_gap_days", "days_until_contract_end")
RATIOS = ("silence_to_mean_gap", "frequency_trend", "amount_trend")
SUMS = ("revenue", "mean_purchase_value")
NUMBERS = (*COUNTS, *DAYS, *RATIOS, *SUMS, "last_satisfaction")
STILL = (
    "purchase_days", "life_purchase_days", "lives", "silence_limit_days", "mean_gap_days",
    "frequency_trend", "amount_trend", "revenue", "mean_purchase_value", "last_satisfaction",
)  # fmt: skip
ORDERED = ("<", "<=", ">", ">=")


def _term(rng: random.Random, name: str) -> dict[str, Any]:
    term: dict[str, Any] = {"variable": name}
    if name in ("interactions", "days_since_interaction") and rng.random() < 0.7:
        term["kind"] = rng.choice(KINDS)
    if name == "interactions" and rng.random() < 0.6:
        term["days"] = rng.choice((1, 2, 7, 30))
    return term


def constant(rng: random.Random, name: str) -> float:
    if name in COUNTS:
        return rng.choice((0, 1, 1, 2, 3, 4, 1.5))
    if name in RATIOS:
        return rng.choice((0, 0.5, 0.8, 1, 1.2, 2, 3))
    if name in SUMS:
        return rng.choice((-1, 0, 5, 7.5, 10, 12.34, 20))
    if name == "last_satisfaction":
        return rng.choice((1, 2, 3, 4.5))
    return rng.choice((-1, 0, 1, 2, 3, 5, 7, 10, 10.5, 11, 15, 20, 30, 31, 45))


def leaf(rng: random.Random) -> dict[str, Any]:
    """Return a comparison of any kind that documents allow without a model."""
    if rng.random() < 0.15:
        name = rng.choice(("country", "kind", "owner"))
        op = rng.choice(("==", "!=", "in", "known"))
        texts = {"kind": ["person", "company"], "owner": ["ann", "bob"]}.get(name, ["CN", "DE"])
        value: Any = rng.choice(texts)
        value = {"in": rng.sample(texts, 2), "known": rng.random() < 0.5}.get(op, value)
        return {"variable": name, "op": op, "value": value}
    if rng.random() < 0.15:
        op, value = rng.choice(
            (("==", True), ("!=", False), ("==", "yes"), ("!=", "no"), ("in", ["yes", "no"]),
             ("<", 3.5), (">=", 3), ("==", 3), ("!=", 3), ("known", True), ("known", False))
        )  # fmt: skip
        name = rng.choice(("vip", "grade"))
        return {"variable": "attribute", "name": name, "op": op, "value": value}
    name = rng.choice(NUMBERS)
    term = _term(rng, name)
    if rng.random() < 0.08:
        return {**term, "op": "known", "value": rng.random() < 0.5}
    if rng.random() < 0.2:
        others = (*STILL, *AGES) if name in AGES else STILL
        return {**term, "op": rng.choice(ORDERED), "value": _term(rng, rng.choice(others))}
    while True:
        op, bound = rng.choice((*ORDERED, *ORDERED, "==", "!=")), constant(rng, name)
        if ranges.fault(CATALOGUE[name], op, float(bound)) is None:
            return {**term, "op": op, "value": bound}


def tree(rng: random.Random, depth: int = 3) -> dict[str, Any]:
    if depth == 1 or rng.random() < 0.45:
        return leaf(rng)
    word = rng.choice(("all", "all", "any", "not"))
    if word == "not":
        return {"not": tree(rng, depth - 1)}
    return {word: [tree(rng, depth - 1) for _ in range(rng.randint(1, 3))]}


def document(rng: random.Random) -> dict[str, Any]:
    """Return a policy that may have faults: rules that never decide, stages never entered."""
    stages = list(STAGES[: rng.randint(2, 5)])
    rules: list[dict[str, Any]] = [
        {"code": f"rule_{n}", "stage": rng.choice(stages), "when": tree(rng)}
        for n in range(rng.randint(1, 6))
    ]
    return {
        "stages": [{"code": code, "name": {"en": code, "zh": code}} for code in stages],
        "silence_limit": {
            "floor_days": rng.choice((1, 5, 10, 10.5, 30)),
            "gap_multiple": rng.choice((1, 1.5, 2, 3)),
            "gap_margin_days": rng.choice((0, 4, 365)),
        },
        "rules": [*rules, {"code": "default", "stage": rng.choice(stages)}],
    }


def policy(rng: random.Random, version: int = 1) -> tuple[dict[str, Any], Policy]:
    """Return a policy without faults, as a document and as it is read."""
    found = document(rng)
    while True:
        try:
            return found, parse(version, found)
        except InvalidPolicy as refused:
            found = _without(found, {fault.pointer for fault in refused.faults})


def _without(found: dict[str, Any], pointers: set[str]) -> dict[str, Any]:
    """Return a document without the rules that never decide and the stages never entered."""
    last = len(found["rules"]) - 1
    if f"/rules/{last}" in pointers:  # Another rule must give way to the default.
        pointers = {f"/rules/{last - 1}"}
    rules = [each for n, each in enumerate(found["rules"]) if f"/rules/{n}" not in pointers]
    entered = {each["stage"] for each in rules}
    stages = [each for each in found["stages"] if each["code"] in entered]
    assert (rules, stages) != (found["rules"], found["stages"]), pointers
    return {**found, "rules": rules, "stages": stages}


def moment(rng: random.Random, one: Person, *, latest: int = 60) -> datetime:
    """Return an instant worth asking for: at what happened, next to it, or days after it."""
    happened = [one.begun_at, *(e.at for e in one.facts), *(e.at for e in one.interactions)]
    at = rng.choice(happened)
    day = at.astimezone(one.zone).date() + timedelta(days=rng.choice((0, 1, 10, 11, 30, latest)))
    start = start_of(one.zone, day)
    return rng.choice((at, at - MICROSECOND, at + MICROSECOND, start, start, start - MICROSECOND))


def decisions(rng: random.Random, one: Person, stages: list[str], now: datetime) -> list[Decision]:
    """Return decisions by hand in order of time, some of them pinned, some released early."""
    found = []
    for _ in range(rng.randint(1, 3)):
        at = max(one.begun_at, moment(rng, one))
        until = rng.choice((None, at + timedelta(days=rng.choice((0, 1, 7, 30))), moment(rng, one)))
        if until is not None and until < at:
            until = None
        found.append(Decision(at, rng.choice(stages), until))
    return sorted((each for each in found if each.at <= now), key=lambda each: each.at)
