"""What the service has been told of customers, and what follows from it by the slow policy."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests import slow_profile
from tests.slow_history import beginning, called, history, walk
from tests.slow_policy import Change, Decision, Document, Interaction, Left, Person, Slow, variables
from tests.slow_profile import Said
from tests.twin import MICROSECOND, Fact, Name, Twin, in_force

LAST = datetime(9999, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=90)
"""How much further than asked a history is followed at once."""


@dataclass(frozen=True)
class InForce:
    """A policy, and since when it has been in force; None: for ever."""

    version: int
    document: Document
    start: datetime | None = None


def nobody_under(document: Document) -> tuple[Slow, datetime]:
    """Return somebody of whom nothing is known, and an instant."""
    t = datetime(2000, 1, 1, tzinfo=UTC)
    return Slow(Person(ZoneInfo("UTC"), t), document), t


@dataclass
class Timeline:
    """The policies that were in force, in order."""

    policies: list[InForce]

    def at(self, t: datetime) -> InForce:
        return [each for each in self.policies if each.start is None or each.start <= t][-1]

    @property
    def current(self) -> InForce:
        return self.policies[-1]

    @property
    def looks_at_purchases_alone(self) -> bool:
        return all(
            slow._of_purchases(term["variable"], t) is not NotImplemented
            for slow, t in (nobody_under(each.document) for each in self.policies)
            for term in variables(slow.document)
        )

    def followed_by(self, version: int, document: Document, start: datetime) -> "Timeline":
        return Timeline([*self.policies, InForce(version, document, start)])


def role(document: Document, stage: str) -> str | None:
    """Return what a stage means; None if the policy has no such stage."""
    return {each["code"]: each["role"] for each in document["stages"]}.get(stage)


@dataclass
class Told:
    """One customer as told. `recorded_until` is up to when the ledger must be complete."""

    created_at: datetime
    recorded_until: datetime
    facts: list[Fact] = field(default_factory=list)
    interactions: dict[Name, tuple[int, Interaction]] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    voided: dict[Name, int] = field(default_factory=dict)
    """The highest revision that was voided: it and all lower ones count for nothing."""
    voided_interactions: dict[Name, int] = field(default_factory=dict)
    records: dict[Name, tuple[int, Left]] = field(default_factory=dict)

    def person(self, zone: ZoneInfo) -> Person:
        first_contact = slow_profile.value(self.said, "first_contact_at", LAST)
        return Person(
            zone,
            min(self.created_at, first_contact or self.created_at),
            tuple(in_force(self.counted)),
            tuple(event for _, (_, event) in self._in_order(self.interactions)),
            {"attributes": {}, "source": self.said[0].source if self.said else None},
            tuple(left for _, (_, left) in self._in_order(self.records)),
            tuple(self.said),
        )

    @staticmethod
    def _in_order(told: Mapping[Name, tuple[int, Any]]) -> list[tuple[Name, tuple[int, Any]]]:
        return sorted(told.items(), key=lambda item: (item[1][1].at, item[0]))

    @property
    def counted(self) -> list[Fact]:
        return [fact for fact in self.facts if fact.revision > self.voided.get(fact.name, 0)]

    @property
    def names(self) -> list[Name]:
        return list(dict.fromkeys(fact.name for fact in self.facts))

    def revision_of(self, name: Name) -> int:
        return max(fact.revision for fact in self.facts if fact.name == name)


class Life:
    """One customer under all policies there were: the truth, found slowly."""

    def __init__(self, told: Told, timeline: Timeline, zone: ZoneInfo) -> None:
        self.person = told.person(zone)
        self.twin = Twin(self.person.facts, zone)
        self.decisions = tuple(told.decisions)
        self.timeline = timeline
        self._slow = {each.version: Slow(self.person, each.document) for each in timeline.policies}
        self._until: datetime | None = None
        self._changes: list[Change] = []

    @property
    def first(self) -> datetime:
        person = self.person
        happened = [*person.facts, *person.interactions, *person.records]
        return min([person.begun_at, *(each.at for each in happened)])

    def changes(self, until: datetime) -> list[Change]:
        """Return every change of stage up to an instant."""
        if self._until is None or until > self._until:
            self._until = until + AHEAD
            regime = [(each.document, each.start) for each in self.timeline.policies]
            self._changes = history(self.person, regime, self._until, self.decisions)
        return self._changes[: bisect_right(self._changes, until, key=lambda each: each.at)]

    def beginning(self) -> str:
        document = self.timeline.at(self.first).document
        return beginning(document, self.person.zone, self.first)

    def stage(self, t: datetime) -> str:
        if t < self.first:  # Not heard of yet: what was true of the profile then.
            return self.under(t).decide(t)[0]
        changes = self.changes(t)
        if not changes:
            return self.called(self.beginning(), self.first, t)
        return self.called(changes[-1].to_stage, changes[-1].at, t)

    def standing(self, t: datetime) -> Decision | None:
        """Return the decision that stands at an instant, in the words of the policy in force."""
        if not self.decisions:
            return None
        regime = [(each.document, each.start) for each in self.timeline.policies]
        return walk(self.person, regime, t, self.decisions)[-1].stands

    def pinned(self, t: datetime) -> Decision | None:
        """Return the pin that holds at an instant."""
        stands = self.standing(t)
        return None if stands is None or stands.until is None else stands

    def called(self, stage: str, since: datetime, t: datetime) -> str:
        """Return what the stage of an instant is called at a later one."""
        for each in self.timeline.policies:
            if each.start and since < each.start <= t:
                stage = called(each.document, stage)
        return stage

    def under(self, t: datetime) -> Slow:
        return self._slow[self.timeline.at(t).version]

    def has_left(self, t: datetime) -> bool:
        return role(self.timeline.at(t).document, self.stage(t)) == "churned"

    def evidence(self, t: datetime) -> dict[str, Any]:
        """Return what the policy then in force looked at."""
        slow = self.under(t)
        return {_key(term): slow.value(term, t) for term in variables(slow.document)}

    def why_left(self, t: datetime) -> Left | None:
        """Return the record that applies to one who has left: the last since the last win-back."""
        if not self.has_left(t):
            return None
        back = self.win_backs(t)
        told = [each for each in self.person.records
                if each.at <= t and (not back or each.at >= back[-1])]  # fmt: skip
        return told[-1] if told else None

    def win_backs(self, t: datetime) -> list[datetime]:
        """Return when somebody who had left became a customer again, not counting policies."""
        found = []
        for change in self.changes(t):
            former = self.timeline.at(change.at - MICROSECOND).document
            entered = self.timeline.at(change.at).document
            if (
                change.cause != "policy"
                and role(former, change.from_stage) == "churned"
                and role(entered, change.to_stage) == "customer"
            ):
                found.append(change.at)
        return found


SHOWN = {
    "kind": "{}", "phase": "phase {}", "category": "category {}", "product": "product {}",
    "channel": "channel {}",
    "days": "{} days", "name": "{}",
}  # fmt: skip
"""How evidence shows the parameters of a variable, in order."""


def _key(term: Mapping[str, Any]) -> str:
    if term["variable"] == "complaints_90_days":
        return "interactions(complaint, 90 days)"
    said = [form.format(term[name]) for name, form in SHOWN.items() if name in term]
    return f"{term['variable']}({', '.join(said)})" if said else str(term["variable"])


class Customers:
    """Everybody as told, and the life of each, worked out anew when more is told."""

    def __init__(self, zone: ZoneInfo, timeline: Timeline) -> None:
        self.zone = zone
        self.timeline = timeline
        self.told: dict[str, Told] = {}
        self._lives: dict[str, tuple[object, Life]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.told))

    def of(self, customer_id: str, now: datetime) -> Told:
        """Return a customer, made now if not known."""
        return self.told.setdefault(customer_id, Told(now, now))

    def life(self, customer_id: str) -> Life:
        told = self.told[customer_id]
        person = told.person(self.zone)
        same_while = (
            person.begun_at, person.facts, person.interactions, person.records,
            tuple(told.decisions), len(person.said),
            tuple((each.version, each.start) for each in self.timeline.policies),
        )  # fmt: skip
        known = self._lives.get(customer_id)
        if known is None or known[0] != same_while:
            known = self._lives[customer_id] = same_while, Life(told, self.timeline, self.zone)
        return known[1]
