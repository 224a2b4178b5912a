"""What the service is told: purchases, refunds, interactions, profiles, late and again."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from app.lifecycle.presets import PRESETS
from app.schemas.common.types import format_instant
from app.schemas.customers import ProfilePatch, ProfileWrite
from app.schemas.ingest.interactions import InteractionIn
from app.schemas.ingest.transactions import TransactionIn
from app.services.ingest import interactions, profiles, transactions
from tests import slow_profile
from tests.kept import as_item, ingest
from tests.simulation.customers import Customers, InForce, Timeline, Told
from tests.simulation.draws import amounts, edges, ids, lateness, places
from tests.simulation.policies import KINDS, described
from tests.simulation.profiles import as_json, news
from tests.simulation.world import World
from tests.slow_policy import KINDS as DECLARED
from tests.slow_policy import Interaction
from tests.twin import MICROSECOND, Fact, Name, start_of

LATEST = timedelta(hours=20)
"""How far ahead of its time a fact may come."""


def has(what: str) -> Callable[["Telling"], bool]:
    """Whether something has been told of anybody."""
    return lambda self: any(getattr(each, what) for each in self.customers.told.values())


class Telling(RuleBasedStateMachine):
    """Facts of some customers, written in any order; who was `touched` is to be looked at."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.world.begin()
        self.zone = world.here.calendar.zone
        first = InForce(1, described(PRESETS["five_stages"]))
        self.customers = Customers(self.zone, Timeline([first]))
        self.number = count()
        self.awaited: dict[str, list[Name]] = {}
        self.touched: set[str] = set()
        self.kinds: dict[str, Any] = dict(DECLARED)

    def teardown(self) -> None:
        self.world.end()

    @property
    def now(self) -> datetime:
        return self.world.now

    def one_with(self, what: str, place: int) -> tuple[str, Told]:
        """Return a customer of whom something has been told."""
        known = [each for each in self.customers if getattr(self.customers.told[each], what)]
        each = known[place % len(known)]
        return each, self.customers.told[each]

    def instant(self, customer_id: str, late: int, edge: str) -> datetime:
        """Return an instant some days ago: by the clock, at the edge of a day, or as before."""
        told = self.customers.told.get(customer_id)
        if edge == "again" and told is not None:
            happened = [each.at for each in told.facts]
            happened += [each.at for _, each in told.interactions.values()]
            if happened:
                return min(happened[late % len(happened)], self.now + LATEST)
        day = self.now.astimezone(self.zone).date() - timedelta(days=late)
        start = start_of(self.zone, day)
        at = {
            "start": start,
            "after": start + MICROSECOND,
            "before": start - MICROSECOND,
            "noon": start + timedelta(hours=12),
        }.get(edge, self.now - timedelta(days=late))
        return min(at, self.now + LATEST)

    def post(self, items: list[tuple[str, Fact]]) -> list[str]:
        batch = [as_item(each, fact) for each, fact in items]
        statuses = self.world.do(ingest, self.world.here, batch, self.now)
        for (each, fact), status in zip(items, statuses, strict=True):
            told = self.customers.of(each, self.now)
            told.facts.append(fact)
            if status != "duplicate":
                told.recorded_until = self.now
            self.touched.add(each)
        return statuses

    @rule(bought=st.lists(st.tuples(ids, lateness, edges, amounts, st.booleans()),
                          min_size=1, max_size=4))  # fmt: skip
    def buy(self, bought: list[tuple[str, int, str, str, bool]]) -> None:
        items = [
            (each, Fact(self.name_of_purchase(each, awaited=awaited),
                        self.instant(each, late, edge), Decimal(amount)))
            for each, late, edge, amount, awaited in bought
        ]  # fmt: skip
        assert set(self.post(items)) == {"created"}

    def name_of_purchase(self, each: str, *, awaited: bool) -> Name:
        """Return a new name, or one that a refund came before."""
        if awaited and self.awaited.get(each):
            return self.awaited[each].pop()
        return "default", f"p{next(self.number)}"

    @precondition(has("facts"))
    @rule(place=places, later=st.sampled_from((-1, 0, 0, 1, 5, 30, 100)),
          share=st.sampled_from((0, Decimal("0.25"), Decimal("0.5"), 1, 1, 2)),
          named=st.sampled_from(("it", "it", "it", "nothing", "awaited", None)))  # fmt: skip
    def refund(self, place: int, later: int, share: Decimal, named: str | None) -> None:
        each, told = self.one_with("facts", place)
        bought = [one for one in told.facts if one.kind == "purchase"] or told.facts
        purchase = bought[place % len(bought)]
        number = next(self.number)
        name = {"it": purchase.name, "nothing": ("default", "nothing"),
                "awaited": ("default", f"awaited{number}")}.get(named or "")  # fmt: skip
        if named == "awaited" and name:
            self.awaited.setdefault(each, []).append(name)
        at = min(purchase.at + timedelta(days=later), self.now + LATEST)
        amount = (purchase.amount * share).quantize(Decimal("0.0001"))
        refund = Fact(("pos", f"r{number}"), at, amount, "refund", name)
        assert self.post([(each, refund)]) == ["created"]

    @precondition(has("facts"))
    @rule(place=places, late=lateness, edge=edges, amount=amounts,
          revision=st.sampled_from((1, 1, 2)), below=st.booleans(),
          turned=st.sampled_from((False, False, False, True)))  # fmt: skip
    def revise(
        self, place: int, late: int, edge: str, amount: str, revision: int, below: bool,
        turned: bool,
    ) -> None:  # fmt: skip
        each, told = self.one_with("facts", place)
        name = told.names[place % len(told.names)]
        known = [fact for fact in told.facts if fact.name == name]
        newest = max(known, key=lambda fact: fact.revision)
        free = set(range(1, newest.revision)) - {fact.revision for fact in known}
        number = min(free) if below and free else newest.revision + revision
        kind, refunds = newest.kind, newest.refunds
        if turned and kind == "purchase":
            others = [other for other in told.names if other != name]
            kind, refunds = "refund", others[place % len(others)] if others else None
        elif turned:
            kind, refunds = "purchase", None
        at = self.instant(each, late, edge)
        fact = Fact(name, at, Decimal(amount), kind, refunds, number)
        status = "updated" if number > newest.revision else "duplicate"
        assert self.post([(each, fact)]) == [status]

    @precondition(has("facts"))
    @rule(place=places)
    def repeat(self, place: int) -> None:
        each, told = self.one_with("facts", place)
        item = as_item(each, told.facts[place % len(told.facts)])
        assert self.world.do(ingest, self.world.here, [item], self.now) == ["duplicate"]
        self.touched.add(each)

    @precondition(has("facts"))
    @rule(place=places)
    def contradict(self, place: int) -> None:
        """Post another content under a revision that is known: it is refused."""
        each, told = self.one_with("facts", place)
        known = told.facts[place % len(told.facts)]
        item = as_item(each, replace(known, amount=known.amount + 1))
        for batch in ([item], [item | {"kind": "purchase", "refunds": None}]):
            items = [TransactionIn.model_validate(one) for one in batch]
            done = self.world.do(
                transactions.ingest, self.world.here, items, atomic=False, now=self.now
            )
            assert [status for status, _ in done.outcomes] == ["rejected"]
        self.touched.add(each)

    @rule(happened=st.lists(st.tuples(ids, st.sampled_from(KINDS), lateness, edges,
                                      st.sampled_from((None, 1, 3, 4.5))),
                            min_size=1, max_size=3))  # fmt: skip
    def interact(self, happened: list[tuple[str, str, int, str, float | None]]) -> None:
        self.tell(
            [
                (each, ("default", f"i{next(self.number)}"), 1,
                 Interaction(self.instant(each, late, edge), kind, self.on_scale(kind, score)))
                for each, kind, late, edge, score in happened
            ]
        )  # fmt: skip

    def on_scale(self, kind: str, score: float | None) -> float | None:
        """Return a score if the scale of its kind has it: others are refused."""
        scale = self.kinds[kind]["scale"]
        return score if scale is None or (score or 0) <= scale["max"] else None

    @precondition(has("interactions"))
    @rule(place=places, kind=st.sampled_from(KINDS), late=lateness, edge=edges)
    def revise_interaction(self, place: int, kind: str, late: int, edge: str) -> None:
        each, told = self.one_with("interactions", place)
        name = sorted(told.interactions)[place % len(told.interactions)]
        revision, _ = told.interactions[name]
        event = Interaction(self.instant(each, late, edge), kind)
        self.tell([(each, name, revision + 1, event)])

    def tell(self, events: list[tuple[str, tuple[str, str], int, Interaction]]) -> None:
        items = [
            InteractionIn.model_validate(
                {"customer_id": each, "source": source, "interaction_id": interaction_id,
                 "occurred_at": format_instant(event.at), "kind": event.kind,
                 "score": event.score, "revision": revision}
            )
            for each, (source, interaction_id), revision, event in events
        ]  # fmt: skip
        self.world.do(interactions.ingest, self.world.here, items, atomic=True, now=self.now)
        for each, name, revision, event in events:
            told = self.customers.of(each, self.now)
            told.interactions[name] = revision, event
            self.looked_at(each, told)

    def looked_at(self, each: str, told: Told) -> None:
        """Note that something else than a purchase was written."""
        self.touched.add(each)
        if not self.customers.timeline.looks_at_purchases_alone:
            told.recorded_until = self.now

    @rule(each=ids, merge=st.booleans(), ends=st.sampled_from((None, -3, 0, 1, 30, 90, 200)),
          began=st.sampled_from((None, None, -400, -30, 0, 5)),
          ago=st.sampled_from((None, None, None, 0, 1, 7, 30, 90, 200)), edge=edges,
          source=st.sampled_from(("default", "crm", "web")),
          country=st.sampled_from((None, "CN", "DE", "Germany")),
          kind=st.sampled_from((None, "company")),
          owner=st.sampled_from((None, "ann", "bob")), clear=st.booleans(),
          attributes=st.fixed_dictionaries({}, optional={
              "vip": st.sampled_from((True, False, "yes", None)),
              "grade": st.sampled_from((3, 3.5, 0, "no", ["x"], {"y": 1}, {"z": 2}))}))  # fmt: skip
    def tell_profile(
        self, each: str, merge: bool, ends: int | None, began: int | None, ago: int | None,
        edge: str, source: str, clear: bool, **fields: Any,
    ) -> None:  # fmt: skip
        today = self.now.astimezone(self.zone).date()
        given = {
            **fields,
            "contract_ends_on": None if ends is None else today + timedelta(days=ends),
            "first_contact_at": None if began is None else self.now + timedelta(days=began),
        }
        told = self.customers.told.get(each)
        whole = told is None or not merge
        if not whole:
            cleared = ("country", "contract_ends_on") if clear else ()
            given = {name: value for name, value in given.items()
                     if value is not None or name in cleared}  # fmt: skip
        since = None if ago is None else min(self.instant(each, ago, edge), self.now)
        self.say(each, given, since, source, whole=whole)

    @precondition(has("said"))
    @rule(place=places, country=st.sampled_from(("中国", "DE", "FR")), again=st.booleans())
    def correct_profile(self, place: int, country: str, again: bool) -> None:
        """Say another value since the same instant, or the same again."""
        each, told = self.one_with("said", place)
        known = told.said[place % len(told.said)]
        values = slow_profile.profile(known.values) if again else {"country": country}
        self.say(each, values, known.since, known.source, whole=False)

    def say(
        self, each: str, given: dict[str, Any], since: datetime | None, source: str, *, whole: bool
    ) -> None:
        where = {"if_match": None, "now": self.now, "by": "sim"}
        body = as_json({**given, "source": source, "valid_from": since})
        if whole:
            profile = ProfileWrite.model_validate_json(body)
            self.world.do(profiles.put, self.world.here, each, profile, **where)
        else:
            patch = ProfilePatch.model_validate_json(body)
            self.world.do(profiles.patch, self.world.here, each, patch, **where)
        told = self.customers.of(each, self.now)
        said = news(told.said, given, since, self.now, source, whole=whole)
        if said is not None:
            told.said.append(said)
            self.looked_at(each, told)
