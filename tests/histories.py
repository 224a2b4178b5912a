"""Random histories of one customer, crowded around everything that decides something."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from tests.twin import MICROSECOND, UNIT, Fact, Name, limit, lives, start_of

GAPS = (1, 1, 2, 7, 30, 45, 59, 60, 61, 89, 90, 91, 120, 179, 180, 181, 182, 240, 365, 547, 730)
AMOUNTS = tuple(map(Decimal, ("0", "0", "0.0001", "1", "5", "10.50", "12.34", "99.99")))
SOURCES = ("default", "pos")
CURRENCIES = (
    *[("EUR", None)] * 6,
    ("EUR", Decimal(1)),
    ("JPY", Decimal("0.0061")),
    ("USD", Decimal("0.9173284")),
    ("KWD", Decimal("2.99")),
)
"""Currencies with their rates to the deployment's."""


def facts(rng: random.Random, zone: ZoneInfo, end: date, *, revise: bool = False) -> list[Fact]:
    """Return facts whose last purchase day is `end`, in any order; later ones are refunds."""
    found: list[Fact] = []
    days = _days(rng)
    shift = end - days[-1]
    for day in days:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            at = instant_of(rng, zone, day + shift)
            if found and rng.random() < 0.1:
                at = found[-1].at
            purchase = in_some_currency(rng, Fact(_name(rng, "p", found), at, rng.choice(AMOUNTS)))
            found.append(purchase)
            if rng.random() < 0.3:
                found += _refunds(rng, zone, purchase, found)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
        found.append(_stray(rng, zone, rng.choice(days) + shift, found))
    if rng.random() < 0.5:
        found = [fact for fact in found if fact.kind == "purchase"]
    if revise:
        found += [other for fact in found for other in _revisions(rng, fact, found)]
    rng.shuffle(found)
    return found


def in_some_currency(rng: random.Random, fact: Fact) -> Fact:
    currency, rate = rng.choice(CURRENCIES)
    return replace(fact, currency=currency, rate=rate)


def _stray(rng: random.Random, zone: ZoneInfo, day: date, found: list[Fact]) -> Fact:
    """Return a refund that names no purchase, or one that is not there."""
    like = rng.choice(found)
    at = like.at if rng.random() < 0.2 else instant_of(rng, zone, day)
    name = ("default", "nothing") if rng.random() < 0.2 else None
    other = in_some_currency(rng, like) if rng.random() < 0.3 else like
    amount = rng.choice((like.amount, like.amount, like.amount / 2, like.amount * 3, Decimal(7)))
    fact = Fact(_name(rng, "f", found), at, amount.quantize(UNIT), "refund", name)
    return replace(fact, currency=other.currency, rate=other.rate)


def _days(rng: random.Random) -> list[date]:
    """Return days with gaps at, and next to, those at which lives end."""
    days = [date(2015, 1, 1)]
    for _ in range(rng.randint(0, 9)):
        gap = rng.choice(GAPS)
        if rng.random() < 0.3:
            gap = int(limit(lives(days)[-1])) + rng.choice((-1, 0, 1, 2))
        days.append(days[-1] + timedelta(days=gap))
    return days


def instant_of(rng: random.Random, zone: ZoneInfo, day: date) -> datetime:
    start = start_of(zone, day)
    end = start_of(zone, day + timedelta(days=1))
    if end <= start:
        return start
    some = start + timedelta(seconds=rng.randrange(23 * 3600))
    return rng.choice((start, start, start + MICROSECOND, end - MICROSECOND, some, some))


def _name(rng: random.Random, prefix: str, found: list[Fact]) -> Name:
    return rng.choice(SOURCES), f"{prefix}{len(found)}"


def _refunds(rng: random.Random, zone: ZoneInfo, purchase: Fact, found: list[Fact]) -> list[Fact]:
    """Return refunds that name the purchase: in part or in full, before it, with it or after."""
    amount = purchase.amount
    amounts = rng.choice(
        (
            [amount],
            [amount / 2, amount / 2],
            [amount / 4],
            [amount, Decimal("0.01")],
            [amount + 7],
            [Decimal(0), amount],
            [Decimal(0)],
        )
    )
    day = purchase.at.astimezone(zone).date()
    refunds: list[Fact] = []
    for each in amounts:
        moments = (
            purchase.at,
            purchase.at - MICROSECOND,
            purchase.at + MICROSECOND,
            purchase.at - timedelta(days=rng.choice((1, 30, 200))),
            purchase.at + timedelta(days=rng.choice((1, 5, 100, 400))),
            start_of(zone, day + timedelta(days=rng.choice((1, 180, 181, 182)))),
        )
        name = _name(rng, "r", found + refunds)
        fact = Fact(name, rng.choice(moments), each.quantize(UNIT), "refund", purchase.name)
        like = in_some_currency(rng, fact) if rng.random() < 0.1 else purchase
        refunds.append(replace(fact, currency=like.currency, rate=like.rate))
    return refunds


def _revisions(rng: random.Random, fact: Fact, found: list[Fact]) -> list[Fact]:
    """Return other revisions of a fact, lower or higher, and never one number twice."""
    if rng.random() > 0.25:
        return []
    numbers = rng.sample((2, 3, 5, 8), rng.randint(1, 2))
    others = []
    for number in numbers:
        at = fact.at - timedelta(days=rng.choice((0, 0, 1, 90, 181)))
        kind, refunds = fact.kind, fact.refunds
        if rng.random() < 0.3:
            kind = "refund" if kind == "purchase" else "purchase"
            named = rng.choice(found).name
            refunds = named if kind == "refund" and named != fact.name else None
        amount = rng.choice(AMOUNTS)
        others.append(replace(fact, at=at, amount=amount, kind=kind, refunds=refunds,
                              revision=number))  # fmt: skip
    return others


def moment(rng: random.Random, found: list[Fact], zone: ZoneInfo) -> datetime:
    """Return an instant worth asking for: at a fact, next to it, or days around it."""
    at = rng.choice(found).at if found else datetime(2020, 1, 1, tzinfo=UTC)
    day = at.astimezone(zone).date() + timedelta(days=rng.choice((0, 1, 180, 181, 182, 400)))
    return rng.choice((at, at - MICROSECOND, at + MICROSECOND, start_of(zone, day),
                       start_of(zone, day) - MICROSECOND, at + timedelta(days=1000)))  # fmt: skip
