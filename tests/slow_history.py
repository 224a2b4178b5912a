"""How the stages of one customer follow each other by a policy, slowly: instant by instant."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests import slow_profile
from tests.slow_policy import (
    MODEL_VARIABLES,
    NARROWED,
    Change,
    Decision,
    Document,
    Model,
    Person,
    Slow,
    phase_of,
    scale_of,
    variables,
)
from tests.twin import MICROSECOND, start_of


def beginning(document: Document, zone: ZoneInfo, t: datetime) -> str:
    """Return the stage of somebody of whom nothing is known."""
    return Slow(Person(zone, t), document, lambda *_: None).decide(t)[0]


def role_of(document: Document, stage: str) -> str:
    """Return what a stage means: what is said of it, or what its code says."""
    said = {each["code"]: each.get("role") for each in document["stages"]}[stage]
    return said or {"potential": "prospect", "churned": "churned"}.get(stage, "customer")


def called(document: Document, stage: str) -> str:
    """Return what a policy that comes into force calls a stage."""
    renamed: str = (document.get("maps") or {}).get(stage, stage)
    return renamed


def in_words_of(document: Document, decision: Decision) -> Decision | None:
    """Return a decision as a policy calls its stage, if it has such a stage."""
    stage = called(document, decision.stage)
    known = any(each["code"] == stage for each in document["stages"])
    return replace(decision, stage=stage) if known else None


def carried(former: Document, document: Document, decision: Decision) -> Decision | None:
    """Return in which stage a decision goes on when another policy comes into force, if any."""
    found = in_words_of(document, decision)
    if found is None:
        meant = role_of(former, decision.stage)
        codes = [each["code"] for each in document["stages"]]
        alike = [code for code in codes if role_of(document, code) == meant]
        found = replace(decision, stage=alike[0]) if len(alike) == 1 else None
    return found


def cells_of(term: Document) -> set[str]:
    """Return the cells of the profile that a variable may look at."""
    if term["variable"] == "attribute":
        return {f"attributes.{term['name']}"}
    named = {"days_until_contract_end": "contract_ends_on", "age_years": "birth_date"}
    return {named.get(term["variable"], term["variable"])}


def differs(person: Person, cell: str, t: datetime) -> bool:
    """Say whether a cell of the profile has another value at t than just before."""
    before, after = (slow_profile.value(person.told, cell, at) for at in (t - MICROSECOND, t))
    return repr(before) != repr(after)


def looked_at(person: Person, document: Document, t: datetime, slow: Slow | None = None) -> bool:
    """Say whether at t a fact came that rules of a policy look at."""
    used = variables(document)
    for term in used:
        name, kind, phase = term["variable"], term.get("kind"), term.get("phase")
        now = [each for each in person.interactions if each.at == t]
        if name == "complaints_90_days":
            kind, name = "complaint", "interactions"
        if name in ("last_satisfaction", "satisfied"):
            now, name = [each for each in now if scale_of(document, each.kind)], "interactions"
        if name in ("interactions", "days_since_interaction") and any(
            kind in (None, each.kind) and phase in (None, phase_of(document, each.kind))
            for each in now
        ):
            return True
    if any(differs(person, cell, t) for term in used for cell in cells_of(term)):
        return True
    money = {"revenue", "mean_purchase_value", "amount_trend", "frequency_trend", *MODEL_VARIABLES}
    narrowed = any(term["variable"] == "purchase_days" and NARROWED & term.keys() for term in used)
    if narrowed or money & {term["variable"] for term in used}:
        return any(fact.at == t for fact in person.facts)
    slow = slow or Slow(person, document)
    return list(slow.purchases(t)[0]) != list(slow.purchases(t - MICROSECOND)[0])


def by_hand_at(decisions: Sequence[Decision]) -> set[datetime]:
    """Return when decisions are made, and when pins end."""
    hands = {each.at for each in decisions}
    for n, each in enumerate(decisions):
        # Where another decision took its place before, nothing ended with a pin.
        if each.until and not any(later.at <= each.until for later in decisions[n + 1 :]):
            hands.add(each.until)
    return hands


class Step(NamedTuple):
    """An instant that may matter: what changed, if anything did, and the decision that stands."""

    stage: str
    change: Change | None
    stands: Decision | None


def history(
    person: Person,
    timeline: Sequence[tuple[Document, datetime | None]],
    now: datetime,
    decisions: Sequence[Decision] = (),
    model: Model | None = None,
) -> list[Change]:
    """Return every change of stage up to now, found by asking at all instants that may matter."""
    steps = walk(person, timeline, now, decisions, model)
    return [step.change for step in steps if step.change is not None]


def walk(
    person: Person,
    timeline: Sequence[tuple[Document, datetime | None]],
    now: datetime,
    decisions: Sequence[Decision] = (),
    model: Model | None = None,
) -> list[Step]:
    """Return what is so at each instant up to now at which anything may change.

    `timeline` is the policies in order, each with the instant from which it is in force.
    """
    documents = [document for document, _ in timeline]
    starts = {start for _, start in timeline if start is not None}
    happened = {fact.at for fact in person.facts} | {each.at for each in person.interactions}
    first = min([person.begun_at, *happened, *(each.at for each in person.records)])
    happened |= slow_profile.instants(person.told)
    hands = by_hand_at(decisions)
    days = range((person.day(now) - person.day(first)).days + 1)
    midnights = {start_of(person.zone, person.day(first) + timedelta(days=n)) for n in days}
    asked = sorted(t for t in happened | midnights | starts | hands | {first} if first <= t <= now)
    slow = [Slow(person, document, model) for document in documents]

    def in_force(t: datetime) -> int:
        return max(n for n, (_, start) in enumerate(timeline) if start is None or start <= t)

    found: list[Step] = []
    before = beginning(documents[in_force(first)], person.zone, first)
    snapshot: Decision | None = None
    ruled = ""
    last = in_force(first)
    bought = {fact.at for fact in person.facts if fact.kind == "purchase"}
    for t in asked:
        number = in_force(t)
        policies = list(zip(documents[last:number], documents[last + 1 : number + 1], strict=True))
        says, rule = slow[number].decide(t)
        by_fact = t == first or (
            t in happened and looked_at(person, documents[number], t, slow[number])
        )
        made = [each for each in decisions if each.at == t]
        if snapshot is not None and snapshot.until is None:
            by_fact = by_fact or t in bought
            # Another fact ends nothing of which rules say what they said, nor does another policy.
            if t in bought or (says != ruled and not policies):
                snapshot = None
        if made:
            snapshot = in_words_of(documents[number], made[-1])
        if snapshot is not None and snapshot.until is not None and t >= snapshot.until:
            snapshot = None
        was = before
        for former, document in policies:
            before = called(document, before)
            if snapshot is not None and not made:
                snapshot = carried(former, document, snapshot)
        ruled, last = says, number
        after = says if snapshot is None else snapshot.stage
        change = None
        if after != before:
            cause = (
                "manual" if t in hands
                else "policy" if t in starts and t > first
                else "fact" if by_fact
                else "inactivity"
            )  # fmt: skip
            by_hand = snapshot is not None
            change = Change(was, after, t, cause, "override" if by_hand else rule)
        found.append(Step(after, change, snapshot))
        before = after
    return found
