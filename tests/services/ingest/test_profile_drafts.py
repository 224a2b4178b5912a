"""Many writes of one profile in a request, against a reading of all of them for each."""

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import starmap
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.days import to_micros
from app.lifecycle import profiles
from app.lifecycle.profiles import ATTRIBUTES, Said
from app.schemas.common.shapes import to_pointer
from app.schemas.customers import BulkProfile, ProfileWrite
from app.services.ingest.profile_drafts import Claims, Draft, patches_of
from tests.database import NOW

SINCE = st.sampled_from((None, *(NOW - timedelta(days=n) for n in range(1, 4))))
SOURCES = st.sampled_from(("crm", "shop"))
NESTED = st.dictionaries(st.sampled_from("xyz"), st.sampled_from((None, 1, {"x": 1}, {"y": None})))
VALUES = st.one_of(st.sampled_from((None, 1, True, 1.0, "a", ["a"])), NESTED)
GIVEN = st.fixed_dictionaries(
    {},
    optional={
        "country": st.sampled_from((None, "DE", "Germany", "CN")),
        "city": st.sampled_from((None, "Bonn")),
        ATTRIBUTES: st.none() | st.dictionaries(st.sampled_from("abc"), VALUES),
    },
)
ITEMS = st.lists(st.tuples(GIVEN, SINCE, SOURCES), max_size=12)
Item = tuple[dict[str, Any], datetime | None, str]


def item(given: dict[str, Any], since: datetime | None, source: str) -> BulkProfile:
    return BulkProfile(customer_id="c1", valid_from=since, source=source, **given)


def new_draft() -> Draft:
    row: Any = SimpleNamespace(
        customer_id="c1", profile_version=1, profile_holds_from=None, updated_at=NOW
    )
    return Draft.of(row, (), NOW, created=True)


def contradicts(cell: str, patch: Any, other: str, earlier: Any) -> bool:
    if cell == other:
        return profiles.contradict(patch, earlier)
    return (other == ATTRIBUTES and profiles.is_attribute(cell) and patch is not None) or (
        cell == ATTRIBUTES and profiles.is_attribute(other) and earlier is not None
    )


@given(ITEMS)
def test_a_claim_is_held_against_each_earlier_one(items: list[Item]) -> None:
    claims, accepted = Claims(), list[tuple[BulkProfile, dict[str, Any]]]()
    for each in starmap(item, items):
        patches = patches_of(each)
        earlier = [
            said
            for other, theirs in accepted
            if (other.source, other.valid_from) == (each.source, each.valid_from)
            for said in theirs.items()
        ]
        refused = [
            to_pointer(profiles.steps(cell))
            for cell, patch in patches.items()
            if any(contradicts(cell, patch, *said) for said in earlier)
        ]
        fault = claims.fault_of("c1", each)
        if each.valid_from is None or not refused:
            assert fault is None
            accepted.append((each, patches))
        else:
            assert fault is not None
            assert (fault.pointer, fault.code) == (refused[0], "contradiction")


def merged(target: Any, change: Any) -> Any:
    """Apply RFC 7396, as it is written there."""
    if not isinstance(change, dict):
        return change
    found = {**target} if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


def news(said: list[Said], each: ProfileWrite, values: dict[str, Any]) -> dict[str, Any]:
    """Return what differs from what holds now, or from what the source said of then."""
    told: dict[str, Any] = {}
    if each.valid_from is None:
        told = dict.fromkeys(values) | profiles.cells_at(said, to_micros(NOW))
    else:
        for one in said:
            if (one.valid_from, one.source) == (to_micros(each.valid_from), each.source):
                told |= one.values
    return {
        cell: value
        for cell, value in values.items()
        if cell not in told or not profiles.same(value, told[cell])
    }


@given(ITEMS, st.booleans())
def test_each_write_is_merged_into_what_all_the_earlier_ones_said(
    items: list[Item], whole: bool
) -> None:
    draft, said = new_draft(), list[Said]()
    for each in starmap(item, items):
        at = to_micros(each.valid_from or NOW)
        base = profiles.cells_at(said, at)
        values = patches_of(each)
        if whole:
            profile = ProfileWrite(
                **{
                    name: value
                    for name, value in each.model_dump(exclude={"customer_id"}).items()
                    if name != ATTRIBUTES or value is not None
                }
            )
            is_news = draft.put(profile, "key")
            new = {cell: value for cell, value in values.items() if value is not None}
            values = dict.fromkeys(base.keys() - new.keys() - {ATTRIBUTES}) | new
        else:
            is_news = draft.merge(each, "key")
            if ATTRIBUTES in values:
                del values[ATTRIBUTES]
                values |= dict.fromkeys(filter(profiles.is_attribute, base))
            values = {cell: merged(base.get(cell), patch) for cell, patch in values.items()}
        values = news(said, each, values)
        assert is_news is bool(values)
        if values:
            since = each.valid_from and to_micros(each.valid_from)
            said.append(Said(len(said) + 1, since, to_micros(NOW), each.source, "key", values))
        assert draft.cells == profiles.cells_at(said, to_micros(NOW))
    assert draft.new == said


def test_a_refused_write_leaves_no_trace() -> None:
    draft, day = new_draft(), timedelta(days=1)
    assert draft.merge(item({"city": "Bonn", ATTRIBUTES: {"a": "x" * 9000}}, NOW - day, "crm"), "")
    with pytest.raises(ValueError, match="16 KiB"):
        draft.merge(item({"city": "Kiel", ATTRIBUTES: {"b": "x" * 9000}}, NOW - day, "crm"), "")
    assert draft.merge(item({"country": "DE"}, NOW - 2 * day, "crm"), "")
    assert (len(draft.new), draft.cells.keys()) == (2, {"city", "country", "attributes.a"})


def calls(work: Callable[[BulkProfile], object], items: list[BulkProfile]) -> int:
    """Return how many functions are called, of Python and of C, for all items."""
    count = 0

    def note(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    earlier = sys.getprofile()
    sys.setprofile(note)
    try:
        for each in items:
            work(each)
    finally:
        sys.setprofile(earlier)
    return count


def same_again(number: int) -> BulkProfile:
    given = {"country": "DE", "city": "Bonn", ATTRIBUTES: {f"k{key}": key for key in range(9)}}
    return item(given, NOW - timedelta(days=1), "crm")


def dated(number: int) -> BulkProfile:
    given = {"country": "DE", "city": f"Bonn {number}", ATTRIBUTES: {"a": number, "b": {"x": 1}}}
    return item(given, NOW - timedelta(minutes=1 + number * 37 % 101), "crm")


def clearing(number: int) -> BulkProfile:
    given = {ATTRIBUTES: {f"k{number}-{key}": None for key in range(9)}}
    return item(given, NOW - timedelta(minutes=1 + number), "crm")


@pytest.mark.parametrize("drawn", [same_again, dated, clearing])
def test_twice_as_many_writes_are_twice_the_work(drawn: Callable[[int], BulkProfile]) -> None:
    items = [drawn(number) for number in range(80)]
    for start in (claimed, drafted):
        few, many = calls(start(), items[:40]), calls(start(), items)
        assert many < 2.5 * few, (start.__name__, few, many)


def claimed() -> Callable[[BulkProfile], object]:
    claims = Claims()
    return lambda each: claims.fault_of("c1", each)


def drafted() -> Callable[[BulkProfile], object]:
    draft = new_draft()
    return lambda each: draft.merge(each, "key")
