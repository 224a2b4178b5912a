"""The lifecycle of one customer by brute force: the definitions word for word, in no haste.

Nothing here knows how the service does it. Everything is a function of the facts with
`occurred_at` <= t and of t alone; the ledger is what changes when t runs over all instants.
"""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

MICROSECOND = timedelta(microseconds=1)
STAGE_OF = {
    "never_purchased": "potential",
    "silent_too_long": "churned",
    "frequent_and_long_standing": "loyal",
    "repeat_purchase": "active",
    "first_purchase": "initial",
}

Name = tuple[str, str]


class Line(NamedTuple):
    """A line of a transaction."""

    product: str
    category: str | None
    quantity: float
    unit_price: Decimal


@dataclass(frozen=True)
class Fact:
    """One revision of a purchase or of a refund; a refund may name a purchase."""

    name: Name
    at: datetime
    amount: Decimal
    kind: str = "purchase"
    refunds: Name | None = None
    revision: int = 1
    channel: str | None = None
    lines: tuple[Line, ...] = ()
    currency: str = "EUR"
    rate: Decimal | None = None

    @property
    def value(self) -> Decimal:
        """Return the amount in the deployment's currency."""
        return self.amount if self.rate is None else (self.amount * self.rate).quantize(UNIT)


UNIT = Decimal("0.0001")


def rounded(amount: Fraction) -> Decimal:
    """Round half to even, to the unit in which money is kept."""
    return Decimal(round(amount / Fraction(UNIT))) * UNIT


class Allocation(NamedTuple):
    """What one refund takes back from one purchase, in the currency of that."""

    refund: Fact
    purchase: Fact
    amount: Decimal


@dataclass(frozen=True)
class Transition:
    """A row of the ledger."""

    from_stage: str
    to_stage: str
    at: datetime
    cause: str
    rule: str
    evidence: dict[str, float]


def in_force(revisions: Iterable[Fact]) -> list[Fact]:
    """Return the highest revision of each identity, in order of time."""
    highest: dict[Name, Fact] = {}
    for fact in revisions:
        if fact.name not in highest or fact.revision > highest[fact.name].revision:
            highest[fact.name] = fact
    return sorted(highest.values(), key=lambda fact: fact.at)


@cache
def start_of(zone: ZoneInfo, day: date) -> datetime:
    """Return the first instant that falls on the day or after it, by bisection of seconds."""
    long_before = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=36)
    low, high = 0, 72 * 3600
    while high - low > 1:
        middle = (low + high) // 2
        if (long_before + timedelta(seconds=middle)).astimezone(zone).date() >= day:
            high = middle
        else:
            low = middle
    return long_before + timedelta(seconds=high)


def limit(life: list[date]) -> Fraction:
    """Return the days of silence that a life allows."""
    if len(life) == 1:
        return Fraction(180)
    gap = Fraction((life[-1] - life[0]).days, len(life) - 1)
    return max(Fraction(180), min(3 * gap, gap + 365))


def lives(days: Iterable[date]) -> list[list[date]]:
    """Split purchase days where the silence before one was longer than its life allowed."""
    found: list[list[date]] = []
    for day in days:
        if found and (day - found[-1][-1]).days <= limit(found[-1]):
            found[-1].append(day)
        else:
            found.append([day])
    return found


class Twin:
    """One customer."""

    def __init__(self, revisions: Iterable[Fact], zone: ZoneInfo) -> None:
        self.facts = in_force(revisions)
        self.zone = zone
        self._times = [fact.at for fact in self.facts]
        self._known: dict[int, tuple[dict[date, Decimal], list[list[date]]]] = {}
        self._decisive: dict[int, tuple[int, date, date, int, int] | None] = {}
        self._ledgers: dict[datetime, list[Transition]] = {}
        self._days: dict[datetime, date] = {}
        self._set_off: dict[int, tuple[list[Allocation], dict[Name, Decimal]]] = {}
        self._net: dict[int, dict[Name, Decimal | None]] = {}

    def day(self, t: datetime) -> date:
        if t not in self._days:
            self._days[t] = t.astimezone(self.zone).date()
        return self._days[t]

    def count(self, t: datetime) -> int:
        """Return how many facts there are up to t; they are in order of time."""
        return bisect_right(self._times, t)

    def counted(self, t: datetime) -> list[Fact]:
        return self.facts[: self.count(t)]

    def purchases(self, t: datetime) -> list[Fact]:
        return [fact for fact in self.counted(t) if fact.kind == "purchase"]

    def set_off(self, t: datetime) -> tuple[list[Allocation], dict[Name, Decimal]]:
        """Return what each refund takes back at t, and what of it takes back nothing."""
        count = self.count(t)
        if count not in self._set_off:
            self._set_off[count] = self._allocated(t)
        return self._set_off[count]

    def _allocated(self, t: datetime) -> tuple[list[Allocation], dict[Name, Decimal]]:
        purchases = sorted(self.purchases(t), key=lambda fact: (fact.at, fact.name))
        refunds = sorted(
            (fact for fact in self.counted(t) if fact.kind == "refund"),
            key=lambda fact: (fact.at, fact.name),
        )
        left = {purchase.name: purchase.amount for purchase in purchases}
        made: list[Allocation] = []
        rest: dict[Name, Decimal] = {}
        for refund in refunds:
            rest[refund.name] = refund.amount
            for purchase in self._candidates(refund, purchases, left):
                offered = self._offered(refund, rest[refund.name], purchase)
                if offered == 0 and rest[refund.name] and purchase.amount:
                    break  # too little to be anything in the currency of the latest
                taken = min(offered, left[purchase.name])
                if purchase.amount == 0 and any(one.purchase is purchase for one in made):
                    continue
                if taken or purchase.amount == 0:
                    made.append(Allocation(refund, purchase, taken))
                left[purchase.name] -= taken
                rest[refund.name] -= self._spent(
                    refund, rest[refund.name], purchase, taken, offered
                )
        return made, rest

    def _candidates(
        self, refund: Fact, purchases: list[Fact], left: dict[Name, Decimal]
    ) -> list[Fact]:
        """Return the purchases against which a refund is set off, in turn."""
        if refund.refunds:
            return [purchase for purchase in purchases if purchase.name == refund.refunds]
        before = [each for each in purchases if each.at <= refund.at and left[each.name] > 0][::-1]
        equal = [
            each
            for each in before
            if (left[each.name], each.currency) == (refund.amount, refund.currency)
        ]
        return equal[:1] or before

    def _offered(self, refund: Fact, rest: Decimal, purchase: Fact) -> Decimal:
        """Return what is left of a refund, in the currency of a purchase."""
        if refund.currency == purchase.currency:
            return rest
        if refund.value == 0 or rest == 0:
            return Decimal(0)
        if purchase.value == 0:
            return purchase.amount
        worth = Fraction(rest) * Fraction(refund.value) / Fraction(refund.amount)
        return rounded(worth * Fraction(purchase.amount) / Fraction(purchase.value))

    def _spent(
        self, refund: Fact, rest: Decimal, purchase: Fact, taken: Decimal, offered: Decimal
    ) -> Decimal:
        """Return what of a refund is used up where so much is taken of a purchase."""
        if refund.currency == purchase.currency:
            return taken
        if refund.value == 0 or purchase.value == 0:
            return Decimal(0)
        if taken < offered:
            worth = Fraction(taken) * Fraction(purchase.value) / Fraction(purchase.amount)
            return min(rest, rounded(worth * Fraction(refund.amount) / Fraction(refund.value)))
        return rest

    def net_purchases(self, t: datetime) -> dict[Name, Decimal | None]:
        """Return what refunds leave of each purchase's value; None if it is refunded in full."""
        count = self.count(t)
        if count not in self._net:
            self._net[count] = self._left(t)
        return self._net[count]

    def _left(self, t: datetime) -> dict[Name, Decimal | None]:
        made, _ = self.set_off(t)
        found: dict[Name, Decimal | None] = {}
        for purchase in self.purchases(t):
            taken = [one.amount for one in made if one.purchase is purchase]
            found[purchase.name] = purchase.value
            if not taken:
                continue
            left = purchase.amount - sum(taken, Decimal())
            if left == 0:
                found[purchase.name] = None
            else:
                share = Fraction(left) / Fraction(purchase.amount)
                found[purchase.name] = rounded(Fraction(purchase.value) * share)
        return found

    def day_values(self, t: datetime) -> dict[date, Decimal]:
        """Return the purchase days up to t, each with its net value, in order."""
        values: dict[date, Decimal] = defaultdict(Decimal)
        net = self.net_purchases(t)
        for purchase in self.purchases(t):
            left = net[purchase.name]
            if left is not None:
                values[self.day(purchase.at)] += left
        return dict(sorted(values.items()))

    def at(self, t: datetime) -> tuple[dict[date, Decimal], list[list[date]]]:
        """Return purchase days with values, and lives; kept, since only a fact changes them."""
        count = self.count(t)
        if count not in self._known:
            values = self.day_values(t)
            self._known[count] = values, lives(values)
        return self._known[count]

    def decisive(self, t: datetime) -> tuple[int, date, date, int, int] | None:
        """Return how many purchase days there are, the first and the last, how many the life has,
        and the whole days of silence that it allows; kept as what `at` returns."""
        count = self.count(t)
        if count not in self._decisive:
            values, lived = self.at(t)
            days = list(values)
            self._decisive[count] = (
                (len(days), days[0], days[-1], len(lived[-1]), math.floor(limit(lived[-1])))
                if days
                else None
            )
        return self._decisive[count]

    def evidence(self, t: datetime) -> dict[str, float]:
        """Return the variables on which the stage at t is decided."""
        values, lived = self.at(t)
        days, today = list(values), self.day(t)
        return {
            "purchase_days": len(days),
            "life_purchase_days": len(lived[-1]) if days else 0,
            "tenure_days": (today - days[0]).days if days else 0,
            "days_since_last_purchase": (today - days[-1]).days if days else 0,
            "inactivity_limit_days": round(float(limit(lived[-1])), 9) if days else 0,
        }

    def rule(self, t: datetime) -> str:
        """Return the rule of the default policy that decides at t."""
        known = self.decisive(t)
        if known is None:
            return "never_purchased"
        days, first, last, days_of_life, allowed = known
        today = self.day(t)
        if (today - last).days > allowed:
            return "silent_too_long"
        if days_of_life >= 5 and (today - first).days >= 180:
            return "frequent_and_long_standing"
        return "repeat_purchase" if days >= 2 else "first_purchase"

    def stage(self, t: datetime) -> str:
        return STAGE_OF[self.rule(t)]

    def ledger(self, now: datetime) -> list[Transition]:
        """Return every change of stage up to now, found by asking at every fact and midnight."""
        if now not in self._ledgers:
            self._ledgers[now] = list(self._changes(now))
        return self._ledgers[now]

    def _changes(self, now: datetime) -> Iterator[Transition]:
        facts = {fact.at for fact in self.counted(now)}
        if not facts:
            return
        first, last = self.day(min(facts)), self.day(now)
        midnights = (
            start_of(self.zone, first + timedelta(days=n)) for n in range((last - first).days + 1)
        )
        before = "potential"
        for t in sorted(facts.union(t for t in midnights if t <= now)):
            after = self.stage(t)
            if after != before:
                by_fact = t in facts and list(self.at(t)[0]) != list(self.at(t - MICROSECOND)[0])
                cause = "fact" if by_fact else "inactivity"
                yield Transition(before, after, t, cause, self.rule(t), self.evidence(t))
            before = after

    def refund_excess(self, t: datetime) -> Decimal:
        """Return the value of what refunds take back from no purchase."""
        _, rest = self.set_off(t)
        return sum(
            (rounded(Fraction(fact.value) * Fraction(rest[fact.name]) / Fraction(fact.amount))
             for fact in self.counted(t) if rest.get(fact.name)),
            Decimal(),
        )  # fmt: skip

    def summary(self, t: datetime) -> dict[str, Any]:
        """Return what is kept of the customer's purchases, as it is at t."""
        values, lived = self.at(t)
        days = list(values)
        value = sum(values.values(), Decimal())
        return {
            "facts": len(self.facts),
            "refunds": sum(fact.kind == "refund" for fact in self.facts),
            "facts_until": max((fact.at for fact in self.facts if fact.at <= t), default=None),
            "next_fact_at": min((fact.at for fact in self.facts if fact.at > t), default=None),
            "purchase_days": len(days),
            "first_purchase_on": days[0] if days else None,
            "last_purchase_on": days[-1] if days else None,
            "life_started_on": lived[-1][0] if days else None,
            "life_purchase_days": len(lived[-1]) if days else 0,
            "lives": len(lived),
            "revenue": value,
            "first_day_value": values[days[0]] if days else Decimal(),
            "last_day_value": values[days[-1]] if days else Decimal(),
            "paid_days": sum(each > 0 for each in values.values()),
            "refund_excess": self.refund_excess(t),
            "sum_log_gaps": math.fsum(math.log((b - a).days) for a, b in pairwise(days)),
            **self.recent(values),
            "policy_version": 1,
            "derivation_version": 4,
        }

    def recent(self, values: dict[date, Decimal]) -> dict[str, Any]:
        """Return the gaps before the last three purchase days, and what two of these are worth."""
        days = list(values)[::-1]
        gaps = [(later - earlier).days for later, earlier in pairwise(days)]
        kept = {f"gap_{n}": gaps[n - 1] if n <= len(gaps) else None for n in (1, 2, 3)}
        return kept | {
            f"value_{n}": values[days[n - 1]] if n <= len(days) else None for n in (2, 3)
        }
