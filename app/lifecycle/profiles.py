"""Profiles with two times: which value of a cell held when, by what was known when.

A cell is a field of the profile, or one key of its attributes: what different systems say of
different keys stays apart. A write says values of cells, true since `valid_from`, known since
`recorded_at`. Values are as JSON has them, and None says that there is none any more.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

BEGINNING = -(2**63)
"""The instant since which a first value holds."""
ATTRIBUTES = "attributes"
_KEY = f"{ATTRIBUTES}."

Cells = dict[str, Any]
"""Values by cell; a cell without a value is not there."""


class Said(NamedTuple):
    """What one write said. `valid_from` is None where the write did not state it.

    `version` numbers the writes of a customer, in the order in which they became known.
    """

    version: int
    valid_from: int | None
    recorded_at: int
    source: str
    actor: str | None
    values: Mapping[str, Any]


class Statement(NamedTuple):
    """The value that a write said of a cell, and since when it is true."""

    at: int
    value: Any
    said: Said


_AT = attrgetter("at")


def statements(said: Iterable[Said]) -> dict[str, list[Statement]]:
    """Return what was said of each cell, in the order in which later ones take its place.

    Of one instant, what became known last wins. Without a stated instant a value is true since it
    is known, but the first one of a cell from the beginning: nothing else is known of before.
    """
    found: dict[str, list[Statement]] = {}
    for each in sorted(said, key=attrgetter("version")):
        for cell, value in each.values.items():
            own = found.setdefault(cell, [])
            own.append(_statement(each, value, own))
    for own in found.values():
        own.sort(key=_AT)
    return found


def _statement(said: Said, value: Any, own: Sequence[Statement]) -> Statement:
    """Return what a write says of a cell, after all that was said of it before."""
    at = said.valid_from
    if at is None:
        at = said.recorded_at if own else BEGINNING
    return Statement(at, value, said)


def holding(own: Sequence[Statement], at: int) -> Statement | None:
    """Return what holds of a cell at an instant; None before anything does."""
    place = bisect_right(own, at, key=_AT)
    return own[place - 1] if place else None


def cells_at(said: Iterable[Said], at: int) -> Cells:
    """Return the values that hold at an instant."""
    return _values({cell: holding(own, at) for cell, own in statements(said).items()})


def _values(held: Mapping[str, Statement | None]) -> Cells:
    return {cell: one.value for cell, one in held.items() if one and one.value is not None}


class History:
    """What has been said of one profile, kept in order while more is said."""

    def __init__(self, said: Sequence[Said]) -> None:
        self._own = statements(said)
        # Many cells may be said to have no value: what holds is looked for among the others.
        self._valued = {
            cell: own
            for cell, own in self._own.items()
            if any(each.value is not None for each in own)
        }
        self._told: dict[tuple[int, str], Cells] = {}
        for each in sorted(said, key=attrgetter("version")):
            self._note(each)

    def add(self, said: Said) -> None:
        """Take in what is said last."""
        for cell, value in said.values.items():
            own = self._own.setdefault(cell, [])
            insort(own, _statement(said, value, own), key=_AT)
            if value is not None:
                self._valued[cell] = own
        self._note(said)

    def told(self, at: int, source: str) -> Mapping[str, Any]:
        """Return what a source has stated to be true since an instant; None where it took away."""
        return self._told.get((at, source), {})

    def at(self, at: int) -> Cells:
        """Return the values that hold at an instant."""
        return _values({cell: holding(own, at) for cell, own in self._valued.items()})

    def after(self, said: Said, at: int) -> Cells:
        """Return the values that would hold at an instant if something more were said."""
        found = self.at(at)
        for cell, value in said.values.items():
            own = self._own.get(cell, ())
            new, old = _statement(said, value, own), holding(own, at)
            if new.at <= at and (old is None or old.at <= new.at):
                found[cell] = value
        return {cell: value for cell, value in found.items() if value is not None}

    def _note(self, said: Said) -> None:
        if said.valid_from is not None:
            self._told.setdefault((said.valid_from, said.source), {}).update(said.values)


def known(said: Iterable[Said], recorded_at: int) -> list[Said]:
    """Return what had been said up to an instant."""
    return [each for each in said if each.recorded_at <= recorded_at]


def turns(own: Sequence[Statement]) -> list[tuple[int, Any]]:
    """Return the instants at which the value of a cell changes, each with the value since."""
    found: list[tuple[int, Any]] = []
    value = None
    for place, each in enumerate(own):
        replaced = place + 1 < len(own) and own[place + 1].at == each.at
        if not replaced and not same(each.value, value):
            found.append((each.at, each.value))
            value = each.value
    return found


def is_attribute(cell: str) -> bool:
    return cell.startswith(_KEY)


def attribute(key: str) -> str:
    """Return the cell of a key of the attributes."""
    return _KEY + key


def steps(cell: str) -> tuple[str, ...]:
    """Return where a cell stands in a profile: no field has a dot in its name."""
    return tuple(cell.split(".", 1))


def cells_of(profile: Mapping[str, Any]) -> Cells:
    """Return the cells of a profile that have a value."""
    cells = {field: value for field, value in profile.items() if value is not None}
    for key, value in cells.pop(ATTRIBUTES).items():
        if value is not None:
            cells[attribute(key)] = value
    return cells


def profile_of(cells: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """Return the profile that cells make; its fields are there whether or not they have a value."""
    profile: dict[str, Any] = dict.fromkeys(fields)
    profile[ATTRIBUTES] = attributes = {}
    for cell, value in cells.items():
        if is_attribute(cell):
            attributes[cell.removeprefix(_KEY)] = value
        elif cell in profile:
            profile[cell] = value
    return profile


def same(one: Any, other: Any) -> bool:
    """Say whether two values are equal as JSON, where `true` is not 1 as it is in Python."""
    if type(one) is type(other) is str:
        return bool(one == other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def contradict(one: Any, other: Any) -> bool:
    """Say whether two merge patches of one value give another result in the other order."""
    if isinstance(one, dict) and isinstance(other, dict):
        return any(contradict(one[key], other[key]) for key in one.keys() & other.keys())
    return not same(one, other)


def unite(one: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Add to a merge patch one that does not contradict it: what contradicts either, now does."""
    for key, value in other.items():
        known = one.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            unite(known, value)
        else:
            one[key] = value
