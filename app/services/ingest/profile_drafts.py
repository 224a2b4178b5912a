"""A customer's profile while a request writes it: what is said, and what then holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.days import to_micros
from app.errors import FieldError
from app.lifecycle import profiles
from app.lifecycle.profiles import ATTRIBUTES, Cells, History, Said
from app.postgres.db import AnyRow
from app.schemas.common.shapes import to_pointer
from app.schemas.common.types import check_attributes
from app.schemas.customers import ProfilePatch, ProfileWrite
from app.services.customers import countries, profile_changes
from app.services.customers.customers import PROFILE_FIELDS


@dataclass
class Draft:
    """One customer: as stored, what was said before, what this request says, what then holds.

    What was said before is there if it is needed: for statements about the past.
    """

    row: AnyRow
    created: bool
    before: Sequence[Said]
    recorded_at: int
    cells: Cells
    new: list[Said] = field(default_factory=list)
    _history: History | None = field(default=None, init=False)

    @classmethod
    def of(cls, row: AnyRow, stored: Sequence[Said], now: datetime, *, created: bool) -> "Draft":
        cells = {} if created else profile_changes.current(row)
        if row.profile_holds_from is None:
            stored = profile_changes.written_once(row, cells)
        # What was written before is known before, also by a clock that is a little ahead.
        recorded_at = to_micros(max(now, row.updated_at))
        return cls(row, created, stored, recorded_at, cells)

    @property
    def version(self) -> int:
        """The version after what has been said: who is made now keeps the first one."""
        version: int = self.row.profile_version
        return version + len(self.new) - (self.created and bool(self.new))

    @property
    def is_written_once(self) -> bool:
        """Whether the columns of the customer tell all of it."""
        once = len(self.new) == 1 and self.new[0].valid_from is None
        return self.row.profile_holds_from is None and not self.before and once

    @property
    def unstored(self) -> list[Said]:
        """What is to be kept beside the columns of the customer."""
        if self.is_written_once:
            return []
        return [*(self.before if self.row.profile_holds_from is None else ()), *self.new]

    @property
    def holds_from(self) -> int | None:
        """Since when the columns hold for certain; None: from the beginning."""
        if self.is_written_once:
            return None
        known = self.row.profile_holds_from
        since = [] if known is None else [to_micros(known)]
        since += [
            each.recorded_at if each.valid_from is None else each.valid_from for each in self.new
        ]
        return max(since)

    def put(self, profile: ProfileWrite, by: str) -> bool:
        """Say that the profile is exactly this; return whether that is news.

        Raise PydanticCustomError if the attributes that result cannot be stored.
        """
        at = _since(profile)
        base = self._base(at)
        dumped = profile.model_dump(mode="json", include=set(PROFILE_FIELDS))
        given = profiles.cells_of(_read(dumped))
        gone = dict.fromkeys(base.keys() - given.keys())
        return self._say({**given, **gone}, base, at, profile.source, by)

    def merge(self, change: ProfilePatch, by: str) -> bool:
        """Say what a JSON merge patch does; return whether that is news. Raise as `put` does."""
        at = _since(change)
        base = self._base(at)
        patches = patches_of(change)
        if ATTRIBUTES in patches:
            del patches[ATTRIBUTES]
            patches |= dict.fromkeys(cell for cell in base if profiles.is_attribute(cell))
        values = {cell: _merge_patch(base.get(cell), patch) for cell, patch in patches.items()}
        return self._say(values, base, at, change.source, by)

    def _base(self, at: int | None) -> Cells:
        return self.cells if at is None else self._past().at(at)

    def _past(self) -> History:
        """Return all that was said, put in order when the past is first spoken of."""
        if self._history is None:
            self._history = History([*self.before, *self.new])
        return self._history

    def _say(
        self, values: Mapping[str, Any], base: Cells, at: int | None, source: str, by: str
    ) -> bool:
        values = self._news(values, at, source)
        if not values:
            return False
        number = self.row.profile_version + len(self.new) + (not self.created)
        said = Said(number, at, self.recorded_at, source, by, values)
        after = self._after(said)
        if any(map(profiles.is_attribute, values)):
            _check(after)
            if at is not None:
                _check({**base, **values})
        self.cells = after
        self.new.append(said)
        if self._history is not None:
            self._history.add(said)
        return True

    def _after(self, said: Said) -> Cells:
        """Return what holds now with something more; what is said of now takes its place."""
        if said.valid_from is not None:
            return self._past().after(said, self.recorded_at)
        cells = {**self.cells, **said.values}
        return {cell: value for cell, value in cells.items() if value is not None}

    def _news(self, values: Mapping[str, Any], at: int | None, source: str) -> Cells:
        """Return the values that differ from what holds, or from what the source said of then."""
        if at is None:
            return {
                cell: value
                for cell, value in values.items()
                if not profiles.same(value, self.cells.get(cell))
            }
        told = self._past().told(at, source)
        return {
            cell: value
            for cell, value in values.items()
            if cell not in told or not profiles.same(value, told[cell])
        }


def _read(given: dict[str, Any]) -> dict[str, Any]:
    """Say a country by its code: what systems call it is no news. One that is none stays a text."""
    country = given.get("country")
    if country is not None:
        given["country"] = countries.code_of(country) or country
    return given


def _since(profile: ProfileWrite) -> int | None:
    return None if profile.valid_from is None else to_micros(profile.valid_from)


def patches_of(change: ProfilePatch) -> dict[str, Any]:
    """Return what a merge patch says of each cell; null for all attributes if it clears them."""
    given = _read(change.model_dump(mode="json", exclude_unset=True, include=set(PROFILE_FIELDS)))
    attributes = given.get(ATTRIBUTES)
    if attributes is not None:
        del given[ATTRIBUTES]
        given |= {profiles.attribute(key): value for key, value in attributes.items()}
    return given


def _merge_patch(target: Any, change: Any) -> Any:
    """Apply RFC 7396 to free JSON."""
    if not isinstance(change, dict):
        return change
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge_patch(result.get(key), value)
    return result


def _check(cells: Mapping[str, Any]) -> None:
    left = {cell: value for cell, value in cells.items() if value is not None}
    check_attributes(profiles.profile_of(left, ())[ATTRIBUTES])


def fault_of(profile: ProfileWrite, now: datetime) -> FieldError | None:
    """Return why a write cannot be, whatever is stored."""
    if profile.valid_from is not None and profile.valid_from > now:
        return FieldError("/valid_from", "future", "must not lie in the future; absent means now")
    return None


@dataclass
class _Claim:
    """What a source says of a customer since one instant: all its merge patches as one."""

    patches: dict[str, Any] = field(default_factory=dict)
    has_attribute: bool = False

    def contradicts(self, cell: str, patch: Any) -> bool:
        if cell in self.patches and profiles.contradict(patch, self.patches[cell]):
            return True
        # To clear all attributes says of each that it has no value.
        if cell == ATTRIBUTES:
            return self.has_attribute
        is_cleared = ATTRIBUTES in self.patches
        return is_cleared and patch is not None and profiles.is_attribute(cell)

    def add(self, patches: Mapping[str, Any]) -> None:
        profiles.unite(self.patches, patches)
        self.has_attribute |= any(
            patch is not None and profiles.is_attribute(cell) for cell, patch in patches.items()
        )


class Claims:
    """What the items of one request say of instants that they state: no source says two things."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str, datetime], _Claim] = {}

    def fault_of(self, customer_id: str, change: ProfilePatch) -> FieldError | None:
        """Return where a later item says another value than an earlier one, and note it if not."""
        if change.valid_from is None:
            return None
        said = self._said.setdefault((customer_id, change.source, change.valid_from), _Claim())
        patches = patches_of(change)
        for cell, patch in patches.items():
            if said.contradicts(cell, patch):
                detail = "an earlier item says another value since the same instant, of this source"
                return FieldError(to_pointer(profiles.steps(cell)), "contradiction", detail)
        said.add(patches)
        return None
