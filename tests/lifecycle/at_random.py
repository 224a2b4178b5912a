"""Random people and policies, crowded around one another's bounds."""

import random
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from app.lifecycle import ranges
from app.lifecycle.documents import InvalidPolicy, parse
from app.lifecycle.policy import Policy
from app.lifecycle.presets.kinds import CORE
from app.lifecycle.variables.definition import Term, Turning, Variable
from app.lifecycle.variables.parameters import PARAMETERS
from app.lifecycle.variables.registry import VARIABLES
from tests import slow_profile
from tests.histories import instant_of
from tests.slow_policy import Decision, Interaction, Person
from tests.slow_profile import Said
from tests.twin import MICROSECOND, Fact, Line, start_of

ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "Asia/Shanghai", "America/Sao_Paulo")]
BASES = (date(2018, 10, 20), date(2021, 3, 10), date(2023, 12, 20))
"""Summer time begins in Brazil, and in Europe, soon after the first two."""
GAPS = (0, 1, 2, 5, 10, 11, 30, 31, 60, 89, 90, 91, 120)
AMOUNTS = tuple(map(Decimal, ("0", "0.0001", "5", "5", "10", "12.34")))
KINDS = ("complaint", "survey", "csat", "call", "cancelled")
SURVEYS, PHASES = ("survey", "csat"), ("aftersale", "sale", "presale")
CATEGORIES, PRODUCTS, CHANNELS = ("tea", "cups"), ("p1", "p2"), ("web", "shop")
WINDOWS = (1, 2, 7, 30, 90)
WORDS = ("gold", "beta")
TEXTS = {
    "country": ("CN", "DE"), "kind": ("person", "company"),
    "preferred_language": ("en", "zh-Hans"), "time_zone": ("Asia/Shanghai", "Europe/Berlin"),
}  # fmt: skip
NAMES = ("ann", "bob")
STAGES = ("potential", "first", "second", "third", "churned")


MODEL_ID = "at-random"
SEASONS = (
    [0.5, 0.5, 0.5, 1.0, 1.0, 1.5, 2.0, 1.5, 1.0, 1.0, 1.0, 0.5],
    [1.7, 1.2, 0.25, 0.25, 0.25, 0.2833, 0.2667, 0.3, 1.0, 2.0, 2.0, 2.5],
    [*[0.9] * 11, 2.1],
)


def zone_of(rng: random.Random) -> ZoneInfo:
    return rng.choice(ZONES)


def person(rng: random.Random, zone: ZoneInfo, base: date | None = None) -> Person:
    """Return somebody whose facts lie within a year, mostly."""
    day = first = base or rng.choice(BASES)
    facts: list[Fact] = []
    for _ in range(rng.randint(0, 7)):
        day += timedelta(days=rng.choice(GAPS))
        at = instant_of(rng, zone, day)
        if facts and rng.random() < 0.1:
            at = facts[-1].at
        bought = _narrowed(rng, Fact(("default", f"p{len(facts)}"), at, rng.choice(AMOUNTS)))
        facts.append(bought)
        if rng.random() < 0.4:
            facts += _refunds(rng, zone, bought, len(facts))
    for number in range(rng.choice((0, 0, 0, 1, 2))):
        at = instant_of(rng, zone, first + timedelta(days=rng.randint(0, 200)))
        amount = rng.choice((*AMOUNTS, Decimal(1), Decimal("2.5")))
        facts.append(Fact(("default", f"free{number}"), at, amount, "refund"))
    events: list[Interaction] = []
    for _ in range(rng.choice((0, 1, 2, 4, 6, 9))):
        event = _interaction(rng, zone, first, facts)
        # Several at one instant, too: of them the last answer counts.
        events.append(event._replace(at=events[-1].at) if events and rng.random() < 0.2 else event)
    begun = instant_of(rng, zone, first + timedelta(days=rng.choice((-20, -3, 0, 0, 5))))
    profile = _profile(rng, first)
    said = _said(rng, zone, first, facts)
    return Person(zone, begun, tuple(facts), tuple(events), profile, said=said)


def _narrowed(rng: random.Random, fact: Fact) -> Fact:
    """Return a fact with a channel and lines, or without."""
    lines = tuple(
        Line(rng.choice(PRODUCTS), rng.choice((None, *CATEGORIES)), rng.choice((1, 2.5, 0.1)),
             rng.choice(tuple(map(Decimal, ("0", "3.33", "10")))))
        for _ in range(rng.choice((0, 0, 1, 2, 3)))
    )  # fmt: skip
    return replace(fact, channel=rng.choice((None, *CHANNELS)), lines=lines)


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
                bought.at + timedelta(days=rng.choice((1, 8, 20, 100))),
                start_of(zone, day + timedelta(days=rng.choice((1, 10, 11, 89, 90)))),
            )
        )
        value = each.quantize(Decimal("0.0001"))
        found.append(Fact(("default", f"r{number}.{n}"), at, value, "refund", bought.name))
    return found


def _interaction(rng: random.Random, zone: ZoneInfo, first: date, facts: list[Fact]) -> Interaction:
    at = instant_of(rng, zone, first + timedelta(days=rng.randint(-5, 250)))
    if facts and rng.random() < 0.2:
        at = rng.choice(facts).at
    kind = rng.choice((*KINDS, "survey", "survey"))  # one answer has none to be later than
    score = float(rng.randint(1, 5)) if kind in SURVEYS and rng.random() < 0.8 else None
    return Interaction(at, kind, score)


def _profile(rng: random.Random, first: date) -> dict[str, Any]:
    attributes = {
        name: rng.choice((True, False, "yes", "no", 3, 3.5, 0, None, ["x"], {"y": 1}, [],
                          ["gold", 3], ["beta", "gold"]))
        for name in ("vip", "grade")
        if rng.random() < 0.7
    }  # fmt: skip
    texts = {
        row.name: rng.choice((None, *texts_of(row.name)))
        for row in VARIABLES.values()
        if row.source == "profile" and row.type == "text"
    }
    texts["source"] = rng.choice(texts_of("source"))
    birthday = first + timedelta(days=rng.randint(-10, 250))
    years = rng.choice((18, 20, 31))
    born = date(birthday.year - years, birthday.month, min(birthday.day, 28))
    return {
        **texts,
        "contract_ends_on": rng.choice((None, first + timedelta(days=rng.randint(-3, 250)))),
        "birth_date": rng.choice((None, born, date(2000, 2, 29))),
        "attributes": attributes,
    }


def _said(rng: random.Random, zone: ZoneInfo, first: date, facts: list[Fact]) -> tuple[Said, ...]:
    """Return what was said of the profile later, in any order of what it is true since."""
    found: list[Said] = []
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        at = instant_of(rng, zone, first + timedelta(days=rng.randint(-10, 250)))
        if facts and rng.random() < 0.2:
            at = rng.choice(facts).at
        if found and rng.random() < 0.2:
            at = found[-1].since or at
        later = slow_profile.cells_of(_profile(rng, first))
        del later["source"]
        told = {cell: rng.choice((value, value, None)) for cell, value in later.items()}
        few = rng.sample(sorted(told), min(len(told), rng.choice((1, 2, 5))))
        found.append(Said({cell: told[cell] for cell in few}, at))
    return tuple(found)


def texts_of(name: str) -> tuple[str, ...]:
    return TEXTS.get(name, NAMES)


def asked(rng: random.Random, row: Variable) -> dict[str, Any]:
    """Return a variable with some of its parameters."""
    pools = {"kind": KINDS, "days": WINDOWS, "category": CATEGORIES, "product": PRODUCTS,
             "channel": CHANNELS, "name": ("vip", "grade"), "phase": PHASES}  # fmt: skip
    if row.unit == "share of scale" or row.name == "satisfied":
        pools["kind"] = SURVEYS
    likely = 0.35 if "category" in row.accepts else 0.65
    return {"variable": row.name} | {
        name: rng.choice(pools[name])
        for name in row.accepts
        if PARAMETERS[name].required or rng.random() < likely
    }


def read(term: dict[str, Any]) -> Term:
    given = {name: value for name, value in term.items() if name != "variable"}
    return Term.of(VARIABLES[term["variable"]], given).under(CORE)


CONSTANTS: dict[str | None, tuple[float, ...]] = {
    "count": (0, 1, 1, 2, 3, 4, 1.5),
    "ratio": (0, 0.5, 0.8, 1, 1.2, 2, 3),
    "currency": (-1, 0, 5, 7.5, 10, 12.34, 20),
    "share of scale": (0.1, 0.2, 0.25, 0.3, 0.5, 0.75),
    "score 1-5": (1, 2, 3, 4, 5),
    "probability": (0, 0.2, 0.5, 0.8, 0.95),
    "years": (17, 18, 18.5, 20, 21, 31, 32),
    "days": (-1, 0, 1, 2, 5, 10, 10.5, 11, 30, 31, 45, 60, 89, 90, 91, 120, 180),
}
ORDERED = ("<", "<=", ">", ">=")
ROWS = tuple(row for row in VARIABLES.values() if row.in_stage_policies)
NUMBERS = tuple(row for row in ROWS if row.type == "number")


def constant(rng: random.Random, row: Variable) -> float:
    return rng.choice(CONSTANTS[row.unit])


def leaf(rng: random.Random) -> dict[str, Any]:
    """Return a comparison of any kind that documents allow; of numbers, more than of others."""
    return comparison(rng, rng.choice(ROWS if rng.random() < 0.3 else NUMBERS))


def comparison(rng: random.Random, row: Variable) -> dict[str, Any]:
    term = asked(rng, row)
    if rng.random() < 0.08:
        return {**term, "op": "known", "value": rng.random() < 0.5}
    if row.type == "text":
        texts = texts_of(row.name)
        op = rng.choice(("==", "!=", "in"))
        return {**term, "op": op, "value": list(texts) if op == "in" else rng.choice(texts)}
    if row.type == "boolean":
        return {**term, "op": rng.choice(("==", "!=")), "value": rng.random() < 0.5}
    if row.type == "any":
        op, value = rng.choice(
            (("==", True), ("!=", False), ("==", "yes"), ("!=", "no"), ("in", ["yes", "no"]),
             ("<", 3.5), (">=", 3), ("==", 3), ("!=", 3), ("contains", "gold"),
             ("contains", "beta"))
        )  # fmt: skip
        return {**term, "op": op, "value": value}
    if row.type == "number" and rng.random() < 0.2:
        others = [other for other in (asked(rng, each) for each in NUMBERS) if fits(term, other)]
        return {**term, "op": rng.choice(ORDERED), "value": rng.choice(others)}
    while True:
        op = rng.choice((*ORDERED, *ORDERED, "==", "!="))
        value = rng.choice(row.levels) if row.levels else constant(rng, row)
        variable = read(term).variable
        if ranges.fault(variable, op, value if row.levels else float(value)) is None:
            return {**term, "op": op, "value": value}


def fits(term: dict[str, Any], other: dict[str, Any]) -> bool:
    """Say whether two variables may be compared with each other."""
    turning = read(other).turning
    return turning is Turning.STILL or read(term).turning is turning is Turning.AGES


def season(rng: random.Random) -> dict[str, Any]:
    """Return the season of a policy: every second one has none."""
    return {"season": rng.choice(SEASONS)} if rng.random() < 0.5 else {}


def in_season(document: dict[str, Any]) -> dict[str, Any]:
    """Return a policy with a season, or without, as its rules have it: nothing is drawn for it."""
    return {**document, **season(random.Random(repr(document["rules"])))}


def asking(rng: random.Random, row: Variable) -> dict[str, Any]:
    """Return a policy whose one rule looks at a variable."""
    stages = [{"code": code, "name": {"en": code, "zh": code}} for code in ("no", "yes")]
    found: dict[str, Any] = {
        "name": {"en": row.name, "zh": row.name},
        "stages": [{**each, "role": "customer"} for each in stages],
        "inactivity_limit": {"floor_days": 10, "gap_multiple": 2, "gap_margin_days": 5},
        "rules": [
            {"code": "so", "stage": "yes", "when": comparison(rng, row)},
            {"code": "otherwise", "stage": "no"},
        ],
    }
    return {**in_season(found), "model_id": MODEL_ID}  # the variable compared with may need it, too


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
    found = {
        "stages": [{"code": code, "name": {"en": code, "zh": code}} for code in stages],
        "inactivity_limit": {
            "floor_days": rng.choice((1, 5, 10, 10.5, 30)),
            "gap_multiple": rng.choice((1, 1.5, 2, 3)),
            "gap_margin_days": rng.choice((0, 4, 365)),
        },
        "rules": [*rules, {"code": "default", "stage": rng.choice(stages)}],
        "model_id": MODEL_ID,
    }
    return in_season(found)


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


def moment(rng: random.Random, one: Person, *, latest: int = 120) -> datetime:
    """Return an instant worth asking for: at what happened, next to it, or days after it."""
    happened = [one.begun_at, *(e.at for e in one.facts), *(e.at for e in one.interactions)]
    happened += sorted(slow_profile.instants(one.said))
    at = rng.choice(happened)
    day = at.astimezone(one.zone).date() + timedelta(
        days=rng.choice((0, 1, 10, 11, 30, 90, latest))
    )
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
