"""What ends an override without an end: a purchase, or a new answer of the rules, nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.lifecycle.documents import parse
from app.lifecycle.history import History
from tests.lifecycle.assembled import changes, followed, instant
from tests.slow_history import walk
from tests.slow_policy import Decision, Interaction, Person
from tests.slow_profile import Said
from tests.twin import Fact

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULED: dict[str, Any] = {
    "stages": [{"code": code, "name": {"en": code, "zh": code}, "role": "customer"}
               for code in ("plain", "angry", "gold", "big")],
    "inactivity_limit": {"floor_days": 500, "gap_multiple": 1, "gap_margin_days": 0},
    "rules": [
        {"code": "is_gold", "stage": "gold",
         "when": {"variable": "attribute", "name": "level", "op": "==", "value": "gold"}},
        {"code": "complains", "stage": "angry",
         "when": {"variable": "interactions", "kind": "complaint", "days": 30, "op": ">=",
                  "value": 2}},
        {"code": "is_big", "stage": "big",
         "when": {"variable": "purchase_days", "op": ">=", "value": 1_000}},
        {"code": "otherwise", "stage": "plain"},
    ],
}  # fmt: skip


def day(number: float) -> datetime:
    return NOON + timedelta(days=number)


def bought(*days: float) -> tuple[Fact, ...]:
    return tuple(Fact(("default", f"p{n}"), day(each), Decimal(5)) for n, each in enumerate(days))


def back(number: float) -> Fact:
    return Fact(("default", "back"), day(number), Decimal(5), "refund", ("default", "p0"))


def level(number: float, value: str) -> Said:
    return Said({"attributes.level": value}, day(number), day(number))


def complaints(*days: float) -> tuple[Interaction, ...]:
    return tuple(Interaction(day(each), "complaint") for each in days)


PERSON = Person(ZoneInfo("Europe/Berlin"), NOON, bought(0), profile={"attributes": {"level": "no"}})
BIG = [Decision(day(10), "big")]


def traced(person: Person, now: datetime, decisions: Sequence[Decision]) -> History:
    """Follow somebody under those rules, which must find what the slow evaluator does."""
    found = followed([person], [(parse(1, RULED), None)], now, {0: decisions})
    slow = walk(person, [(RULED, None)], now, decisions)
    assert changes(found) == [step.change for step in slow if step.change]
    stands, standing = slow[-1].stands, found.standing_override(0)
    assert (stands and stands.stage) == (standing and standing.stage)
    return found


@pytest.mark.parametrize(
    "person",
    [
        pytest.param(replace(PERSON, said=(level(20, "silver"),)), id="a cell"),
        pytest.param(replace(PERSON, interactions=complaints(20)), id="an interaction"),
        pytest.param(replace(PERSON, facts=(*PERSON.facts, back(20))), id="a refund"),
        pytest.param(replace(PERSON, said=(level(10, "silver"),)), id="a cell as it is set"),
    ],
)
def test_a_fact_that_rules_answer_as_before_ends_nothing(person: Person) -> None:
    found = traced(person, day(60), BIG)
    standing = found.standing_override(0)
    assert standing is not None
    assert (standing.stage, found.last(1)[0][0]) == ("big", "big")


@pytest.mark.parametrize(
    ("person", "ends", "after", "cause"),
    [
        pytest.param(replace(PERSON, said=(level(20, "gold"),)),
                     day(20), "gold", "fact", id="a cell"),
        pytest.param(replace(PERSON, interactions=complaints(20, 21)),
                     day(21), "angry", "fact", id="an interaction"),
        pytest.param(replace(PERSON, interactions=complaints(8, 9)),
                     datetime(2026, 4, 8, 22, tzinfo=UTC), "plain", "inactivity", id="time"),
        pytest.param(replace(PERSON, facts=bought(0, 20, 21)),
                     day(20), "plain", "fact", id="a purchase"),
        pytest.param(replace(PERSON, facts=bought(0, 9.9, 10.01)),
                     day(10.01), "plain", "fact", id="a purchase on a day that had one"),
    ],
)  # fmt: skip
def test_a_purchase_or_a_new_answer_ends_it(
    person: Person, ends: datetime, after: str, cause: str
) -> None:
    found = traced(person, day(60), BIG)
    assert found.standing_override(0) is None
    (end,) = [each for each in found.transitions() if each.from_stage == "big"]
    assert (instant(end.at), end.to_stage, end.cause) == (ends, after, cause)


def test_of_many_purchases_only_those_that_may_end_an_override_are_looked_at() -> None:
    """Twenty a day, of which the rules see one: each override is ended by the next one after it."""
    often = bought(*(number + minute / 1440 for number in range(30) for minute in range(20)))
    person = replace(PERSON, facts=often)
    made = [
        Decision(day(10.005), "big"),
        Decision(day(10.5), "angry"),
        Decision(day(12.001), "gold", day(14.0001)),
        Decision(day(20.01), "big"),
        Decision(day(20.0101), "gold"),
        Decision(day(29.9), "angry"),
    ]
    plain = traced(person, day(40), [])
    found = traced(person, day(40), made)
    standing = found.standing_override(0)
    assert standing is not None
    assert standing.stage == "angry"
    # Each begins, one ends with its time, and four purchases may end one.
    assert len(found.rows.owner) <= len(plain.rows.owner) + len(made) + 1 + 4


def test_who_moves_on_after_a_rename_is_called_anew_no_longer() -> None:
    """Only the name of who stayed in a renamed stage has to be written."""
    later = {
        **RULED,
        "stages": [{**each, "code": each["code"].replace("plain", "usual")}
                   for each in RULED["stages"]],
        "rules": [{**each, "stage": each["stage"].replace("plain", "usual")}
                  for each in RULED["rules"]],
        "maps": {"plain": "usual"},
    }  # fmt: skip
    people = [PERSON, replace(PERSON, said=(level(20, "gold"),)), replace(PERSON, begun_at=day(12))]
    people[2] = replace(people[2], facts=bought(13))
    regime = [(parse(1, RULED), None), (parse(2, later), day(11))]
    found = followed(people, regime, day(60))
    assert [stage for stage, _ in found.last(3)] == ["usual", "gold", "usual"]
    assert found.called_anew() == {0: "usual"}
