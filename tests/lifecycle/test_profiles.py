"""Cells of profiles through time, against a reading that looks at each by itself."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.lifecycle import profiles
from app.lifecycle.profiles import BEGINNING
from tests import slow_profile
from tests.lifecycle.assembled import instant, micros
from tests.lifecycle.test_variables import NOON
from tests.slow_profile import EVER, Said
from tests.twin import MICROSECOND

DAYS = [NOON + timedelta(days=n) for n in range(6)]
CELLS = ("country", "owner", "attributes.vip")
VALUES = st.sampled_from((None, 1, True, "a", "b", ["a"], {"x": 1}))
WRITES = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(CELLS), VALUES, min_size=1),
        st.sampled_from((None, *DAYS)),
        st.sampled_from(("crm", "shop", "support")),
        st.integers(0, 2),
    ),
    max_size=9,
)


def told(writes: list[tuple[dict[str, Any], Any, str, int]]) -> list[Said]:
    """Return writes in order, each known some days after the one before, or at the same instant."""
    known, found = NOON, []
    for values, since, source, later in writes:
        known += timedelta(days=later)
        found.append(Said(values, None if since is None else min(since, known), known, source))
    return found


def as_kept(said: list[Said]) -> list[profiles.Said]:
    return [
        profiles.Said(number, None if each.since is None else micros(each.since),
                      micros(each.known), each.source, None, each.values)
        for number, each in enumerate(said)
    ]  # fmt: skip


@given(WRITES, st.randoms(use_true_random=False))
def test_what_holds_at_any_instant_is_what_was_said_last_of_it(writes: Any, rng: Any) -> None:
    """Three sources, in any order of what is true since when, with corrections."""
    said = told(writes)
    kept = as_kept(said)
    rng.shuffle(kept)  # the order in which rows are read says nothing
    happened = {EVER, *DAYS, *(each.known for each in said)}
    asked = sorted({at + step for at in happened for step in (timedelta(0), MICROSECOND)})
    for at in asked:
        assert same(profiles.cells_at(kept, micros(at)), slow_profile.held(said, at))
        for known in asked:
            found = profiles.cells_at(profiles.known(kept, micros(known)), micros(at))
            assert same(found, slow_profile.held(said, at, known)), (at, known)


@given(WRITES)
def test_a_cell_turns_where_its_value_differs_from_the_one_before(writes: Any) -> None:
    said = told(writes)
    for cell, own in profiles.statements(as_kept(said)).items():
        turns = dict(profiles.turns(own))
        for at in sorted({EVER, *slow_profile.instants(said)}):
            before = None if at == EVER else slow_profile.value(said, cell, at - MICROSECOND)
            after = slow_profile.value(said, cell, at)
            number = BEGINNING if at == EVER else micros(at)
            assert (number in turns) == (repr(before) != repr(after))
            assert repr(turns.get(number, after)) == repr(after)
        assert {at for at in turns if at != BEGINNING} <= {
            micros(each) for each in slow_profile.instants(said)
        }


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Compare as text: in Python, True equals 1."""
    return sorted(map(repr, found.items())) == sorted(map(repr, expected.items()))


def test_an_older_change_leaves_what_holds_now() -> None:
    said = [
        Said({"country": "CN"}, None, DAYS[0]),
        Said({"country": "DE"}, DAYS[3], DAYS[4]),
        Said({"country": "FR"}, DAYS[1], DAYS[5]),
        Said({"country": "IT"}, DAYS[3], DAYS[5]),
    ]
    kept = as_kept(said)
    held = [profiles.cells_at(kept, micros(day))["country"] for day in DAYS]
    assert held == ["CN", "FR", "FR", "IT", "IT", "IT"]
    assert profiles.cells_at(kept, BEGINNING) == {"country": "CN"}
    before = profiles.known(kept, micros(DAYS[4]))
    assert [profiles.cells_at(before, micros(day))["country"] for day in DAYS[:4]] == [
        "CN", "CN", "CN", "DE",
    ]  # fmt: skip
    assert instant(profiles.statements(kept)["country"][-1].at) == DAYS[3]


def test_patches_contradict_each_other_where_their_order_matters() -> None:
    assert not profiles.contradict({"a": 1}, {"b": 2})
    assert not profiles.contradict({"a": {"x": 1}}, {"a": {"y": 1, "x": 1}})
    assert profiles.contradict({"a": {"x": 1}}, {"a": {"x": 2}})
    assert profiles.contradict({"a": 1}, 1)
    assert profiles.contradict(1, True)
    assert not profiles.contradict(None, None)
