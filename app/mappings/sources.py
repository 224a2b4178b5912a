"""Where the texts of fields come from: the columns of a row, found once by their names."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from hashlib import sha256
from typing import Any

from app.mappings.bad import Bad
from app.mappings.faults import Fault
from app.mappings.texts import Getter, as_text, text_of, value_of

_LOOKED_AT = 500
"""Names of columns among which one is looked for that is not there."""
Part = dict[str, str]


class PartRow(list[str]):
    """A row of CSV, and one of the parts in it."""

    part: Part


class PartObject(dict[str, Any]):
    """A row of JSON, and one of the parts in it."""

    part: Part


def with_part(fields: Any, part: Part) -> PartRow | PartObject:
    """Return a row as it is seen from one of its parts."""
    found = PartObject(fields) if isinstance(fields, dict) else PartRow(fields)
    found.part = part
    return found


class Columns:
    """The columns of a file, by name; keeps what is looked at, and what is not found."""

    def __init__(self, names: Sequence[str], blanks: Sequence[str], *, is_json: bool) -> None:
        self.faults: list[Fault] = []
        self.used: set[str] = set()
        self.names = tuple(names)
        self.is_json = is_json
        self._blanks = frozenset(("", *blanks))
        self._places = {name: place for place, name in enumerate(names)}
        self._folded: dict[str, str] = {}
        for name in names:
            self._folded.setdefault(name.strip().casefold(), name)

    def fault(self, pointer: str, code: str, detail: str) -> None:
        self.faults.append(Fault(pointer, code, detail))

    def named(self, name: str) -> str | None:
        """Return the column of a name, which may be written in other letters."""
        found = name if name in self._places else self._folded.get(name.strip().casefold())
        if found is None and self.is_json:
            return name  # objects leave out what is blank
        return found

    def matching(self, pattern: str) -> list[str]:
        """Return the columns of a name, or of all that begin or end as it does."""
        if pattern.endswith("*"):
            start = pattern[:-1].casefold()
            return [name for name in self.names if name.casefold().startswith(start)]
        if pattern.startswith("*"):
            end = pattern[1:].casefold()
            return [name for name in self.names if name.casefold().endswith(end)]
        found = self.named(pattern)
        return [] if found is None else [found]

    def getter(self, name: str, pointer: str, blanks: Sequence[str] = ()) -> Getter:
        """Return what gets the text of a column."""
        fillers = self._blanks.union(blanks)
        if name.startswith("@"):
            return _of_part(name[1:], fillers)
        column = self.named(name)
        if column is None:
            self.fault(pointer, "unknown_column", self._unknown(name))
            return lambda _: ""
        self.used.add(column.split(".", 1)[0] if self.is_json else column)
        if self.is_json:
            return _of_object(column, fillers)
        return _of_row(column, self._places[column], fillers)

    def native(self, name: str, pointer: str) -> Callable[[Any], Any]:
        """Return what gets the value of a column as JSON has it; of CSV its text."""
        column = self.named(name)
        if not self.is_json or column is None or name.startswith("@"):
            getter = self.getter(name, pointer)
            return lambda fields: getter(fields) or None
        self.used.add(column.split(".", 1)[0])
        blanks = self._blanks

        def get(fields: Any) -> Any:
            value = value_of(fields, column)
            if isinstance(value, str):
                value = value.strip()
                return None if value in blanks else value
            return None if value in ([], {}) else value

        return get

    def _unknown(self, name: str) -> str:
        near = get_close_matches(name[:100], self.names[:_LOOKED_AT], 3)
        meant = f"is {' or '.join(map(repr, near))} meant?" if near else "the header has no such"
        return f"there is no column {name[:100]!r}; {meant}"


def _of_row(column: str, place: int, blanks: frozenset[str]) -> Getter:
    def get(fields: Any) -> str:
        text: str = fields[place].strip()
        if text in blanks:
            return ""
        return unguarded(text, column) if text[0] in "'=" else text

    return get


def _of_object(column: str, blanks: frozenset[str]) -> Getter:
    def get(fields: Any) -> str:
        text = as_text(fields[column]) if column in fields else text_of(fields, column)
        if text in blanks:
            return ""
        return unguarded(text, column) if text[0] in "'=" else text

    def get_list(fields: Any) -> str:
        text = text_of(fields, column)
        return "" if text in blanks else text

    return get_list if "." in column else lambda fields: get(fields) or get_list(fields)


def _of_part(name: str, blanks: frozenset[str]) -> Getter:
    def get(fields: Any) -> str:
        text: str = fields.part.get(name, "").strip()
        return "" if text in blanks else text

    return get


def unguarded(text: str, column: str) -> str:
    """Take off what spreadsheets are kept from computing by; refuse what they would compute."""
    if text.startswith("'"):
        is_guard = text[1:2] in tuple("=+-@") or (text.isascii() and text[1:].isdecimal())
        return text[1:].strip() if is_guard else text
    if text.startswith('="') and text.endswith('"') and len(text) >= 3:
        return text[2:-1].replace('""', '"').strip()
    raise Bad("formula", "it is a formula of a spreadsheet, not its value", column)


def joined(getters: Sequence[Getter], separator: str) -> Getter:
    """Return the texts that are not blank, with a separator between."""
    return lambda fields: separator.join(text for get in getters if (text := get(fields)))


def first(getters: Sequence[Getter]) -> Getter:
    """Return the first text that is not blank."""

    def get(fields: Any) -> str:
        for each in getters:
            text = each(fields)
            if text:
                return text
        return ""

    return get


def hashed(getters: Sequence[Getter]) -> Getter:
    """Return digits that stand for texts, and for no others."""

    def get(fields: Any) -> str:
        texts = [each(fields) for each in getters]
        told = "".join(f"{len(text)}:{text}" for text in texts)
        return sha256(told.encode()).hexdigest()[:32] if any(texts) else ""

    return get


_SCRIPTS = (("\u3040", "\u30ff"), ("\u3400", "\u9fff"), ("\uac00", "\ud7af"))


def person_name(getters: Sequence[Getter]) -> Getter:
    """Return given and family name in the order of their script, in which they are listed.

    Of Chinese, Japanese and Korean names the family name is first, and no blank is between.
    """

    def get(fields: Any) -> str:
        texts = [text for each in getters if (text := each(fields))]
        if texts and all(_is_eastern(text) for text in texts):
            return "".join(reversed(texts))
        return " ".join(texts)

    return get


def _is_eastern(text: str) -> bool:
    return all(any(low <= char <= high for low, high in _SCRIPTS) for char in text)
