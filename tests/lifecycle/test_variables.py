"""Every variable of the registry: its values, the edge of its window, the days on which it turns.

What needs a database is in `tests/services/test_variables.py`.
"""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

from app.lifecycle.documents import InvalidPolicy, parse
from app.lifecycle.evidence import shown
from app.lifecycle.expressions import Compare
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.policy import Policy, Rule, Stage
from app.lifecycle.variables.definition import Term, Turning, Variable
from app.lifecycle.variables.parameters import PARAMETERS
from app.lifecycle.variables.registry import VARIABLES
from app.models import Customer
from app.schemas.customers import Profile
from app.seasons import Season
from tests.depth import drawn
from tests.lifecycle import at_random
from tests.lifecycle.assembled import at_instant, changes, followed, slow_stand_in, through_time
from tests.slow_history import history, looked_at
from tests.slow_policy import KINDS, Interaction, Person, Slow
from tests.slow_profile import Said
from tests.twin import MICROSECOND, Fact, start_of

INACTIVITY = {"floor_days": 10, "gap_multiple": 2, "gap_margin_days": 5}
NOON = datetime(2021, 2, 1, 11, tzinfo=UTC)
BERLIN = at_random.ZONES[1]
POOLS: dict[str, tuple[Any, ...]] = {
    "kind": (None, "complaint", "survey", "csat"),
    "phase": (None, "aftersale", "presale"),
    "days": (None, 1, 7, 90),
    "category": (None, "tea"),
    "product": (None, "p1"),
    "channel": (None, "web"),
    "name": ("vip", "grade"),
}
NO_VARIABLES = {
    "name": "who somebody is decides nothing",
    "email": "who somebody is decides nothing",
    "phone": "who somebody is decides nothing",
    "parent_customer_id": "another customer; rules look at one",
    "referred_by": "another customer; rules look at one",
    "first_contact_at": "the beginning of the history, which interactions and purchases date",
}
"""Fields of the profile that no rule looks at, and why."""
each_row = pytest.mark.parametrize("row", at_random.ROWS, ids=lambda row: row.name)
windowed = pytest.mark.parametrize("name", ["interactions", "purchase_days", "revenue"])


def asked_of(row: Variable) -> Iterator[dict[str, Any]]:
    """Yield the variable with each choice of its parameters."""
    for values in product(*(POOLS[name] for name in row.accepts)):
        given = {n: v for n, v in zip(row.accepts, values, strict=True) if v is not None}
        if row.of_surveys and given.get("kind") == "complaint":
            continue  # refused: it has no scale
        yield {"variable": row.name, **given}


def looking_at(*terms: dict[str, Any], season: list[float] | None = None) -> Policy:
    """Return a policy that reads what the terms need, whatever they are compared with."""
    whens = [Compare(at_random.read(term), "known", value=True) for term in terms]
    return Policy(
        1, (Stage("a", {}, "customer"),),
        InactivityLimit(**INACTIVITY, season=Season.of(season)),
        tuple(Rule(f"r{n}", "a", when) for n, when in enumerate(whens)),
    )  # fmt: skip


def plain(value: Any) -> Any:
    return pytest.approx(value, rel=1e-12) if isinstance(value, float) else value


@each_row
def test_its_values_are_those_of_the_slow_evaluator(row: Variable) -> None:
    rng = random.Random(row.name)
    for _ in range(12):
        people = [at_random.person(rng, BERLIN) for _ in range(4)]
        asked = list(asked_of(row))
        season = at_random.season(rng)
        policy = looking_at(*asked, **season)
        now = at_random.moment(rng, rng.choice(people))
        records = at_instant(people, policy, now, by_day=rng.random() < 0.5)
        every = np.arange(len(people))
        values = records.values([at_random.read(term) for term in asked], every, records.day)
        document = {"inactivity_limit": INACTIVITY, **season}
        slow = [Slow(each, document, slow_stand_in) for each in people]
        for term in asked:
            read = at_random.read(term)
            found = shown(read, values[read])
            assert found == [plain(each.value(term, now)) for each in slow], (term, now)
            for value in found:
                check_promises(row, value)


def check_promises(row: Variable, value: Any) -> None:
    """Hold a value against what its row says of all: rules beyond that are refused."""
    assert value is not None or not row.always_known, row.name
    if value is None or row.type == "any":
        return
    assert row.choices is None or value in row.choices, (row.name, value)
    if row.type == "number":
        assert row.minimum is None or value >= row.minimum, (row.name, value)
        assert row.maximum is None or value <= row.maximum, (row.name, value)
        assert not row.whole or value == int(value), (row.name, value)


@windowed
@pytest.mark.parametrize("days", [1, 7, 90])
def test_a_window_ends_at_the_same_day_for_all(name: str, days: int) -> None:
    """What happened so many days ago counts up to, and without, the length of the window."""
    person = Person(
        BERLIN,
        NOON,
        (Fact(("default", "p"), NOON, Decimal(5), channel="web"),),
        (Interaction(NOON, "complaint"),),
    )
    given = {"kind": "complaint"} if name == "interactions" else {"channel": "web"}
    term = {"variable": name, "days": days, **given}
    worth = 5.0 if name == "revenue" else 1.0
    policy, read = looking_at(term), at_random.read(term)
    for ago, expected in ((0, worth), (days - 1, worth), (days, 0.0), (days + 1, 0.0)):
        day = person.day(NOON) + timedelta(days=ago)
        first, end = start_of(BERLIN, day), start_of(BERLIN, day + timedelta(days=1))
        for now in (max(NOON, first), end - MICROSECOND):
            records = at_instant([person], policy, now)
            assert records.values([read], np.zeros(1, int), records.day)[read].tolist() == [
                expected
            ]


def test_complaints_of_90_days_are_another_name() -> None:
    alias = VARIABLES["complaints_90_days"].alias_of
    assert alias is not None
    assert alias == at_random.read({"variable": "complaints_90_days"})
    said = {"variable": "interactions", "days": 90, "kind": "complaint"}
    assert alias == at_random.read(said)
    assert alias.key == "interactions(complaint, 90 days)"


@each_row
def test_between_facts_it_turns_as_it_says(row: Variable) -> None:
    """Each day after the last fact is asked for, one after another, for more than a year."""
    rng = random.Random(row.name)
    for _ in range(6):
        person = at_random.person(rng, BERLIN)
        asked = list(asked_of(row))
        happened = [person.begun_at, *(e.at for e in (*person.facts, *person.interactions))]
        records = through_time([person], [looking_at(*asked)], max(happened))[0]
        terms = list(dict.fromkeys(map(at_random.read, asked)))
        for record in range(len(records.day)):
            first, last = int(records.day[record]), int(records.span.last[record])
            day = np.arange(first, min(last, first + 400) + 1)
            values = records.values(terms, np.full(len(day), record), day)
            for term in terms:
                check_turning(term, values[term])


@each_row
def test_a_rule_on_it_is_followed_through_time(row: Variable) -> None:
    rng, moved = random.Random(row.name), 0
    for _ in range(drawn(60, 600)):
        person, document = at_random.person(rng, BERLIN), at_random.asking(rng, row)
        try:
            policy = parse(1, document)
        except InvalidPolicy:  # what never holds is refused, and what always does
            continue
        now = max(at_random.moment(rng, person, latest=200), person.begun_at)
        found = changes(followed([person], [(policy, None)], now))
        assert found == history(person, [(document, None)], now, model=slow_stand_in)
        moved += len(found)
    assert moved


@each_row
def test_the_slow_evaluator_knows_which_facts_are_news_to_it(row: Variable) -> None:
    """Another purchase of a day is to rules on what purchases are worth; a call, to those on calls.

    Random lives tell the two apart in one of a hundred, and only by the cause of a transition.
    """
    bought, called = NOON + timedelta(hours=1), NOON + timedelta(hours=2)
    changed = NOON + timedelta(hours=3)
    facts = [Fact(("default", str(n)), at, Decimal(5)) for n, at in enumerate((NOON, bought))]
    for term in asked_of(row):
        policy, read = looking_at(term), at_random.read(term)
        call = Interaction(called, min((read.kinds or {"survey"}) & KINDS.keys()), 3.0)
        said = Said(dict.fromkeys(read.cells, "another") | {"name": "Ann"}, changed)
        person = Person(BERLIN, NOON, tuple(facts), (call,), said=(said,))
        document = {"rules": [{"when": {**term, "op": "known", "value": True}}]}
        assert looked_at(person, document, bought) == policy.follows_transactions, term
        of_calls = bool(read.needs & {"interactions", "answers"}) and read.kinds != frozenset()
        assert looked_at(person, document, called) == of_calls, term
        assert looked_at(person, document, changed) == bool(read.cells), term


def check_turning(term: Term, values: Any) -> None:
    if values.dtype == object or term.turning is Turning.STILL:
        assert all(a == b or a != a for a, b in pairwise(values.tolist())), term  # noqa: PLR0124
        assert term.turning is Turning.STILL, term
        return
    known = ~np.isnan(values)
    assert known.all() or not known.any(), term
    steps = np.diff(values[known])
    if term.turning is Turning.AGES:
        assert (steps == 1).all(), term
    elif term.turning is Turning.GROWS:
        assert (steps >= 0).all(), term
    else:
        assert term.turning is Turning.FALLS, term
        assert (steps <= 0).all(), term


def test_a_birthday_is_the_day_on_which_age_grows() -> None:
    born = {"plain": date(2000, 5, 3), "leap": date(2000, 2, 29)}
    term = at_random.read({"variable": "age_years"})
    policy = looking_at({"variable": "age_years"})
    for birth, days in (("plain", ["2021-05-02", "2021-05-03"]),
                        ("leap", ["2021-02-28", "2021-03-01"]),
                        ("leap", ["2024-02-28", "2024-02-29"])):  # fmt: skip
        person = Person(BERLIN, NOON, profile={"birth_date": born[birth]})
        ages = []
        for day in days:
            midday = datetime.fromisoformat(f"{day}T11:00:00+00:00")
            records = at_instant([person], policy, midday)
            ages.append(records.values([term], np.zeros(1, int), records.day)[term][0])
        assert ages[1] == ages[0] + 1


def test_each_field_of_the_profile_is_a_variable_or_is_said_not_to_be() -> None:
    read = {column for row in VARIABLES.values() for column in row.columns}
    assert read.isdisjoint(NO_VARIABLES)
    assert read | NO_VARIABLES.keys() == {*Profile.model_fields, "source"}
    assert read <= set(Customer.__table__.c.keys())


def test_random_policies_draw_on_the_whole_registry() -> None:
    rng, drawn = random.Random(0), set()
    for _ in range(250):
        drawn |= {term.name for term in at_random.policy(rng)[1].terms}
    assert drawn == {row.name for row in at_random.ROWS if row.alias_of is None}


def test_random_lives_cross_a_window_of_90_days() -> None:
    rng, spans = random.Random(0), []
    for _ in range(300):
        person = at_random.person(rng, BERLIN)
        days = [person.day(e.at) for e in (*person.facts, *person.interactions)]
        spans.append((max(days) - min(days)).days if days else 0)
    assert np.median(spans) > 150
    assert max(spans) > 400


def test_rows_are_whole() -> None:
    for name, row in VARIABLES.items():
        assert name == row.name
        assert set(row.accepts) <= set(PARAMETERS)
        for each in (row, row.narrowed) if row.narrowed else (row,):
            assert each.narrowed is None or each.narrowed.narrowed is None
