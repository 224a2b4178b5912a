"""The reports by brute force: each cell counted customer by customer, in no haste.

Nothing here knows how the service reads them. Stages are those of the twin, in the words of the
renames at the time; a cell of a rate is (n, of), an amount is a Decimal.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from app.lifecycle.kinds import Kinds
from app.lifecycle.presets import CHURN_REASONS
from tests.twin import MICROSECOND, UNIT, Fact, Transition, Twin, start_of

STEPS = ["potential", "initial", "active", "loyal"]
CUSTOMERS = {"initial", "active", "loyal"}
PROFILE = {"channel": "acquisition_channel", "country": "country", "owner": "owner",
           "customer_kind": "kind", "industry": "industry"}  # fmt: skip
Row = dict[str, Any]


@dataclass(frozen=True)
class Contact:
    """An interaction; of a complaint, its outcomes with the instants at which each was told."""

    customer: str
    at: datetime
    kind: str
    channel: str | None = None
    campaign: str | None = None
    told: tuple[tuple[str | None, datetime], ...] = ()

    @property
    def outcome(self) -> str | None:
        return self.told[-1][0] if self.told else None

    def solved_at(self) -> datetime | None:
        """Return when it was first told to be what it still is, if it was open before that."""
        found = None
        for (before, _), (after, at) in pairwise(self.told):
            if after == "solved" and before != "solved":
                found = at
        return found


@dataclass(frozen=True)
class Departure:
    """A churn record."""

    customer: str
    at: datetime
    reason: str
    competitor: str | None


@dataclass
class World:
    """All that there is to be reported of."""

    zone: ZoneInfo
    facts: Mapping[str, list[Fact]]
    known_at: datetime
    """When everything was posted: customers were made then."""
    profiles: Mapping[str, Row] = field(default_factory=dict)
    contacts: Sequence[Contact] = ()
    departures: Sequence[Departure] = ()
    renames: Sequence[tuple[datetime, Mapping[str, str]]] = ()
    kinds: Kinds = field(default_factory=dict)
    until: datetime | None = None
    """The last instant that is asked for; by default when everything was known."""

    @cached_property
    def twins(self) -> dict[str, Twin]:
        return {each: Twin(own, self.zone) for each, own in self.facts.items()}

    @cached_property
    def customers(self) -> list[str]:
        return sorted({*self.facts, *self.profiles, *(each.customer for each in self.contacts)})

    def ledger(self, customer: str) -> list[Transition]:
        until = self.known_at if self.until is None else self.until
        return self.twins[customer].ledger(until) if customer in self.facts else []

    def day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def end(self, day: date) -> datetime:
        return start_of(self.zone, day + timedelta(days=1)) - MICROSECOND

    def called(self, stage: str, since: datetime | None, until: datetime) -> str:
        for at, maps in self.renames:
            if (since is None or since < at) and at <= until:
                stage = maps.get(stage, stage)
        return stage


@dataclass
class Asked:
    """One question to one world."""

    world: World
    first: date
    last: date
    as_of: datetime
    by: str
    scores: Mapping[str, Any] = field(default_factory=dict)
    """Rows of the published run."""
    counted: dict[Any, Any] = field(default_factory=dict)
    """What was counted before of this period."""

    def _once(self, count: Callable[[str], Any], customer: str) -> Any:
        key = count.__name__, customer
        if key not in self.counted:
            self.counted[key] = count(customer)
        return self.counted[key]

    @property
    def begins(self) -> datetime:
        return start_of(self.world.zone, self.first)

    @property
    def first_ends(self) -> datetime:
        return min(self.world.end(self.first), self.as_of)

    @property
    def ends(self) -> datetime:
        return min(self.world.end(self.last), self.as_of)

    def begun(self, customer: str) -> datetime:
        found: datetime = self._once(self._begun, customer)
        return found

    def _begun(self, customer: str) -> datetime:
        world = self.world
        times = [world.known_at]
        if customer in world.facts:
            times += [fact.at for fact in world.twins[customer].facts]
        times += [each.at for each in (*world.contacts, *world.departures)
                  if each.customer == customer]  # fmt: skip
        told = world.profiles.get(customer, {}).get("first_contact_at")
        return min([*times, *([datetime.fromisoformat(told)] if told else [])])

    def ledger(self, customer: str) -> list[Transition]:
        """Return the transitions up to `as_of`, in words of no time."""
        return [each for each in self.world.ledger(customer) if each.at <= self.as_of]

    def stage(self, customer: str, at: datetime) -> str:
        told = [each.to_stage for each in self.ledger(customer) if each.at <= at]
        return told[-1] if told else "potential"

    def purchases(self, customer: str) -> list[tuple[datetime, date, Decimal]]:
        """Return instant, day and what is left of each purchase that is not refunded in full."""
        found: list[tuple[datetime, date, Decimal]] = self._once(self._purchases, customer)
        return found

    def _purchases(self, customer: str) -> list[tuple[datetime, date, Decimal]]:
        if customer not in self.world.facts:
            return []
        twin = self.world.twins[customer]
        net = twin.net_purchases(self.as_of)
        return [
            (fact.at, twin.day(fact.at), left)
            for fact in twin.purchases(self.as_of)
            if (left := net[fact.name]) is not None
        ]

    def days(self, customer: str) -> list[date]:
        return sorted({day for _, day, _ in self.purchases(customer)})

    def revenue(self, customer: str, first: date, last: date) -> Decimal:
        own = (left for _, day, left in self.purchases(customer) if first <= day <= last)
        return sum(own, Decimal())

    def of_profile(self, customer: str) -> Any:
        if self.by not in PROFILE:
            return None
        return self.world.profiles.get(customer, {}).get(PROFILE[self.by])

    def parted(self, value: Any) -> Row:
        return {self.by: value} if self.by in PROFILE else {}


def middle(values: Iterable[float]) -> float | None:
    told = list(values)
    return float(median(told)) if told else None


def month(day: date) -> str:
    return f"{day:%Y-%m}"


def months_between(first: date, last: date) -> int:
    return (last.year - first.year) * 12 + last.month - first.month


def flow(asked: Asked) -> list[Row]:
    world, a, b = asked.world, asked.first_ends, asked.ends
    cells: dict[tuple[Any, ...], int] = defaultdict(int)
    for each in world.customers:
        begun, value = asked.begun(each), asked.of_profile(each)
        if begun > b:
            continue
        late = asked.stage(each, b)
        after = world.called(late, None, b)
        if begun > a:
            cells[value, None, after, "new"] += 1
            continue
        early = asked.stage(each, a)
        before = world.called(early, None, a)
        change = "moved" if early != late else "stayed" if before == after else "renamed"
        cells[value, before, after, change] += 1
    return [
        {**asked.parted(value), "from_stage": before, "to_stage": after, "change": change,
         "customers": n,
         "share": (n, sum(m for (v, x, *_), m in cells.items() if (v, x) == (value, before)))}
        for (value, before, after, change), n in cells.items()
    ]  # fmt: skip


def _reached(asked: Asked, customer: str) -> tuple[list[datetime | None], bool]:
    """Return when each step or one behind it was first reached, and whether the customer left."""
    past = [(asked.begun(customer), "potential")]
    past += [(each.at, each.to_stage) for each in asked.ledger(customer)]
    reached = []
    for n in range(len(STEPS)):
        times = [at for at, stage in past if stage in STEPS[n:]]
        reached.append(min(times) if times else None)
    return reached, past[-1][1] == "churned"


def funnel(asked: Asked) -> list[Row]:
    world = asked.world
    cohort = {each: _reached(asked, each) for each in world.customers
              if asked.begins <= asked.begun(each) <= asked.ends}  # fmt: skip
    names = [world.called(stage, None, asked.as_of) for stage in STEPS]
    if asked.by == "open":
        found = []
        for each, (reached, has_left) in cohort.items():
            n = sum(at is not None for at in reached) - 1
            since = reached[n]
            if not has_left and n < len(STEPS) - 1 and since is not None:
                days = (world.day(asked.as_of) - world.day(since)).days
                found.append({"customer_id": each, "stage": names[n],
                              "since": world.day(since).isoformat(), "days": days})  # fmt: skip
        return found
    groups: dict[Any, list[str]] = defaultdict(list)
    for each in cohort:
        groups[asked.of_profile(each)].append(each)
    rows = []
    for value, own in groups.items():
        for n, name in enumerate(names):
            came = [each for each in own if cohort[each][0][n] is not None]
            if not came:
                continue
            row = {**asked.parted(value), "stage": name, "customers": len(came),
                   "reached": (len(came), len(own)), "converted": None, "median_days": None,
                   "open": None, "left": None}  # fmt: skip
            if n < len(STEPS) - 1:
                on = [each for each in came if cohort[each][0][n + 1] is not None]
                gone = [each for each in came if each not in on and cohort[each][1]]
                row |= {"converted": (len(on), len(came)), "left": len(gone),
                        "open": len(came) - len(on) - len(gone),
                        "median_days": middle(
                            (world.day(cohort[each][0][n + 1]) - world.day(cohort[each][0][n])).days
                            for each in on)}  # fmt: skip
            rows.append(row)
    return rows


def retention(asked: Asked) -> list[Row]:
    groups: dict[Any, list[str]] = defaultdict(list)
    first = {each: days[0] for each in asked.world.customers if (days := asked.days(each))}
    for each, on in first.items():
        if asked.first <= on <= asked.last:
            groups[month(on) if asked.by == "cohort" else asked.of_profile(each)].append(each)
    until = asked.world.day(asked.as_of)
    rows = []
    for value, own in groups.items():
        for n in range(max(months_between(first[each], until) for each in own) + 1):
            known = [each for each in own if months_between(first[each], until) >= n]
            bought = {
                each: [left for _, day, left in asked.purchases(each)
                       if months_between(first[each], day) == n]
                for each in known
            }  # fmt: skip
            rows.append(
                {asked.by: value, "month_number": n, "customers": len(known),
                 "retained": (sum(map(bool, bought.values())), len(known)),
                 "revenue": sum((left for each in bought.values() for left in each), Decimal())}
            )  # fmt: skip
    return rows


def return_curve(asked: Asked) -> list[Row]:
    until = asked.world.day(asked.as_of)
    cells: dict[tuple[Any, int], list[tuple[date, date | None]]] = defaultdict(list)
    for each in asked.world.customers:
        days = asked.days(each)
        for n, day in enumerate(days):
            following = days[n + 1] if n + 1 < len(days) else None
            value = asked.of_profile(each)
            if asked.by == "purchase_days_before":
                value = {0: "1", 1: "2", 2: "3_to_4", 3: "3_to_4"}.get(n, "5_or_more")
            for silent in (30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 330, 360, 365):
                on = day + timedelta(days=silent)
                if asked.first <= on <= asked.last and (following is None or following > on):
                    cells[value, silent].append((on, following))
    rows = []
    for (value, silent), own in cells.items():
        told = asked.parted(value)
        if asked.by == "purchase_days_before":
            told = {asked.by: value}
        row = {**told, "silent_days": silent, "silences": len(own)}
        for ahead in (90, 180):
            over = [(on, following) for on, following in own
                    if on + timedelta(days=ahead) <= until]  # fmt: skip
            back = [1 for on, following in over if following is not None
                    and following <= on + timedelta(days=ahead)]  # fmt: skip
            row |= {f"bought_within_{ahead}": (len(back), len(over)),
                    f"open_{ahead}": len(own) - len(over)}  # fmt: skip
        rows.append(row)
    return rows


def _departed(each: Transition) -> bool:
    return each.from_stage in CUSTOMERS and each.to_stage == "churned"


def _returned(each: Transition) -> bool:
    return each.from_stage == "churned" and each.to_stage in CUSTOMERS


def churn(asked: Asked) -> list[Row]:
    if asked.by == "month":
        return _churn_by_month(asked)
    if asked.by in ("reason", "branch", "competitor"):
        return _churn_by_reason(asked)
    return _churn_by_group(asked)


def _churn_by_month(asked: Asked) -> list[Row]:
    rows, first = [], asked.first
    while first <= asked.last:
        following = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        start = start_of(asked.world.zone, first)
        end = min(start_of(asked.world.zone, following) - MICROSECOND, asked.ends)
        before, gone, churned, back, departures, win_backs = 0, 0, 0, 0, 0, 0
        for each in asked.world.customers:
            stage = asked.stage(each, start - MICROSECOND)
            own = [one for one in asked.ledger(each) if start <= one.at <= end]
            left, won = sum(map(_departed, own)), sum(map(_returned, own))
            departures, win_backs = departures + left, win_backs + won
            before += stage in CUSTOMERS
            gone += stage == "churned"
            churned += stage in CUSTOMERS and left > 0
            back += stage == "churned" and won > 0
        rows.append({"month": month(first), "customers": before, "churned": (churned, before),
                     "departures": departures, "win_backs": win_backs,
                     "won_back": (back, gone)})  # fmt: skip
        first = following
    return rows


def _churn_by_group(asked: Asked) -> list[Row]:
    groups: dict[Any, list[int]] = defaultdict(lambda: [0] * 6)
    for each in asked.world.customers:
        days = asked.days(each)
        value = asked.of_profile(each)
        if asked.by == "cohort":
            value = month(days[0]) if days else None
        stage = asked.stage(each, asked.begins - MICROSECOND)
        own = [one for one in asked.ledger(each) if asked.begins <= one.at <= asked.ends]
        left, won = sum(map(_departed, own)), sum(map(_returned, own))
        came = any(one.to_stage in CUSTOMERS for one in own)
        counts = (stage in CUSTOMERS or came, left > 0, left, stage == "churned" or left > 0,
                  won > 0, won)  # fmt: skip
        groups[value] = [a + b for a, b in zip(groups[value], counts, strict=True)]
    return [
        {asked.by: value, "customers": customers, "churned": (churned, customers),
         "departures": left, "win_backs": wins, "won_back": (won, gone)}
        for value, (customers, churned, left, gone, won, wins) in groups.items()
        if customers or gone
    ]  # fmt: skip


def _churn_by_reason(asked: Asked) -> list[Row]:
    branches = {each["code"]: each["branch"] for each in CHURN_REASONS}
    groups: dict[Any, list[bool]] = defaultdict(list)
    for each in asked.world.customers:
        ledger = asked.ledger(each)
        for n, one in enumerate(ledger):
            if not (_departed(one) and asked.begins <= one.at <= asked.ends):
                continue
            came = max((other.at for other in ledger[:n] if _returned(other)), default=None)
            back = min((other.at for other in ledger[n:] if _returned(other)), default=None)
            told = [
                record for record in asked.world.departures
                if record.customer == each and record.at <= asked.as_of
                and (came is None or record.at >= came) and (back is None or record.at < back)
            ]  # fmt: skip
            last = max(told, key=lambda record: record.at, default=None)
            reason = last.reason if last else "not_recorded"
            value = {
                "reason": reason,
                "branch": branches.get(reason, "not_recorded"),
                "competitor": last.competitor if last else None,
            }[asked.by]
            groups[value].append(back is not None)
    whole = sum(map(len, groups.values()))
    return [
        {asked.by: value, "departures": len(own), "share": (len(own), whole),
         "won_back": (sum(own), len(own))}
        for value, own in groups.items()
    ]  # fmt: skip


def value(asked: Asked) -> list[Row]:
    if asked.by == "top_percent":
        return _concentration(asked)
    groups: dict[Any, list[str]] = defaultdict(list)
    for each in asked.world.customers:
        if asked.begun(each) <= asked.ends:
            told = asked.of_profile(each)
            if asked.by == "stage":
                told = asked.world.called(asked.stage(each, asked.ends), None, asked.ends)
            elif asked.by in ("rfm_group", "value_tier"):
                told = getattr(asked.scores.get(each), asked.by, None)
            groups[told].append(each)
    whole = sum((asked.revenue(each, asked.first, asked.last)
                 for own in groups.values() for each in own), Decimal())  # fmt: skip
    rows = []
    for told, own in groups.items():
        bought = [
            n for each in own
            if (n := sum(asked.first <= day <= asked.last for day in asked.days(each)))
        ]  # fmt: skip
        revenue = sum((asked.revenue(each, asked.first, asked.last) for each in own), Decimal())
        clv = [row.clv for each in own
               if (row := asked.scores.get(each)) is not None and row.clv is not None]  # fmt: skip
        rows.append(
            {asked.by: told, "customers": len(own), "buyers": len(bought),
             "repurchased": (sum(n > 1 for n in bought), len(bought)), "revenue": revenue,
             "revenue_share": float(revenue / whole) if whole else None,
             "clv": sum(clv, Decimal()) if clv else None,
             "clv_per_customer": (sum(clv) / len(clv)).quantize(UNIT) if clv else None}
        )  # fmt: skip
    return rows


def _concentration(asked: Asked) -> list[Row]:
    bought = sorted(
        (asked.revenue(each, asked.first, asked.last) for each in asked.world.customers
         if any(asked.first <= day <= asked.last for day in asked.days(each))), reverse=True
    )  # fmt: skip
    whole = sum(bought, Decimal())
    rows = []
    for top in (1, 5, 10, 20, 50, 100):
        n = math.ceil(len(bought) * top / 100)
        if n:
            revenue = sum(bought[:n], Decimal())
            rows.append({"top_percent": top, "customers": n, "revenue": revenue,
                         "revenue_share": float(revenue / whole) if whole else None})  # fmt: skip
    return rows


def movers(asked: Asked) -> list[Row]:
    world, a, b = asked.world, asked.first_ends, asked.ends
    year = timedelta(days=364)
    cells: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, Decimal(), Decimal()])
    rows = []
    for each in world.customers:
        early, late = asked.stage(each, a), asked.stage(each, b)
        if asked.begun(each) > a or early == late:
            continue
        before = asked.revenue(each, asked.first - year, asked.first)
        after = asked.revenue(each, asked.last - year, asked.last)
        named = world.called(early, None, a), world.called(late, None, b)
        moved_on = max(one.at for one in asked.ledger(each) if one.at <= b)
        rows.append({"customer_id": each, "from_stage": named[0], "to_stage": named[1],
                     "moved_on": world.day(moved_on).isoformat(), "revenue_before": before,
                     "revenue_after": after, "revenue_change": after - before})  # fmt: skip
        cell = asked.of_profile(each), *named
        cells[cell] = [x + y for x, y in zip(cells[cell], (1, before, after), strict=True)]
    if asked.by == "customer_id":
        return rows
    return [
        {**asked.parted(told), "from_stage": before, "to_stage": after, "customers": n,
         "revenue_before": x, "revenue_after": y, "revenue_change": y - x}
        for (told, before, after), (n, x, y) in cells.items()
    ]  # fmt: skip


def acquisition(asked: Asked) -> list[Row]:
    world, until = asked.world, asked.world.day(asked.as_of)
    groups: dict[Any, list[str]] = defaultdict(list)
    for each in world.customers:
        begun = asked.begun(each)
        if asked.begins <= begun <= asked.ends:
            told = month(world.day(begun)) if asked.by == "month" else asked.of_profile(each)
            if asked.by == "source":
                told = world.profiles.get(each, {}).get("source")
            groups[told].append(each)
    rows = []
    for told, own in groups.items():
        first = {each: min(bought) for each in own if (bought := asked.purchases(each))}
        waited = [each for each in own if each not in first or first[each][0] > asked.begun(each)]
        converted = [each for each in waited if each in first]
        year = [each for each in first if first[each][1] + timedelta(days=364) <= until]
        revenue = sum(
            (asked.revenue(each, first[each][1], first[each][1] + timedelta(days=364))
             for each in year), Decimal()
        )  # fmt: skip
        rows.append(
            {asked.by: told, "customers": len(own), "prospects": len(waited),
             "converted": (len(converted), len(waited)),
             "median_days_to_purchase": middle(
                 (first[each][1] - world.day(asked.begun(each))).days for each in converted),
             "first_year_known": len(year), "first_year_revenue": revenue,
             "first_year_value": (revenue / len(year)).quantize(UNIT) if year else None}
        )  # fmt: skip
    return rows


def interactions(asked: Asked) -> list[Row]:
    groups: dict[Any, list[Contact]] = defaultdict(list)
    for each in asked.world.contacts:
        day = asked.world.day(each.at)
        if each.at <= asked.as_of and asked.first <= day <= asked.last:
            declared = asked.world.kinds.get(each.kind)
            told = {"month": month(day), "phase": declared.phase if declared else "none",
                    "kind": each.kind, "channel": each.channel, "campaign": each.campaign,
                    "outcome": each.outcome}  # fmt: skip
            groups[told[asked.by]].append(each)
    rows = []
    for value, own in groups.items():
        complaints = [each for each in own if each.kind == "complaint"]
        solved = [each for each in complaints if each.outcome == "solved"
                  and ((at := each.solved_at()) is None or at <= asked.as_of)]  # fmt: skip
        hours = [(at - each.at) / timedelta(hours=1) for each in solved
                 if (at := each.solved_at()) is not None]  # fmt: skip
        rows.append(
            {asked.by: value, "interactions": len(own),
             "customers": len({each.customer for each in own}), "complaints": len(complaints),
             "solved": (len(solved), len(complaints)), "median_hours_to_close": middle(hours)}
        )  # fmt: skip
    return rows


REPORTS: Mapping[str, Callable[[Asked], list[Row]]] = {
    "flow": flow, "funnel": funnel, "retention": retention, "return-curve": return_curve,
    "churn": churn, "value": value, "movers": movers, "acquisition": acquisition,
    "interactions": interactions,
}  # fmt: skip
