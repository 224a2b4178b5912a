"""Text as the objects of a list that stands within a JSON answer."""

import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Final

from app.mappings.faults import UnreadableFile
from app.mappings.json_rows import DECODER, ObjectRows
from app.mappings.rows import LIMITS, BadRow, Limits, Row

_DEEPEST: Final = 200
_TOKEN: Final = re.compile(r'[{}\[\]:,]|"(?:[^"\\]|\\.)*"|[^\s{}\[\]:,"]+')
_SPACE: Final = re.compile(r"\s*")
_BETWEEN: Final = re.compile(r"[\s,]*")
_BREAK: Final = re.compile(r"\s*[\r\n]\s*")


def keys_of(pointer: str) -> list[str]:
    """Return the steps of a JSON pointer."""
    steps = pointer.split("/")[1:]
    return [step.replace("~1", "/").replace("~0", "~") for step in steps]


class AnswerRows(ObjectRows):
    """Parses the objects of a list in an answer, or in answers that follow each other.

    Nothing around the list is kept, and of the list one object at a time.
    """

    def __init__(self, list_at: str, limits: Limits, *, skip: int) -> None:
        super().__init__(limits, skip)
        self.lists = 0
        self._sought: Mapping[tuple[str | None, ...], str] = {tuple(keys_of(list_at)): list_at}
        """Where lists are looked for, as keys and as JSON pointers."""
        self._text = ""
        self._open: list[str | None] = []
        """What is open: of an object the key that was last read, of a list None."""
        self._string = ""
        self._in_list = False

    def feed(self, text: str, *, final: bool = False) -> Iterator[Row | BadRow]:
        """Return the objects that end in a block."""
        self._text += text
        place, goes_on = 0, True
        while goes_on:
            if self._in_list:
                place = yield from self._items(place)
                goes_on = not self._in_list
            else:
                place = self._walk(place, final=final)
                goes_on = self._in_list
        self._text = self._text[place:]
        if len(self._text) > self._limits.line:
            raise UnreadableFile(
                "json",
                f"there is no JSON, or an object of more than {self._limits.line:,} characters",
            )
        if final and (self._text.strip() or self._open or self._in_list):
            raise UnreadableFile("truncated", "the answer ends before its end, or is no JSON")

    def _items(self, place: int) -> Generator[Row | BadRow, None, int]:
        """Give the objects of the list; return where the first one begins that is not whole."""
        text = self._text
        while True:
            between = _BETWEEN.match(text, place)
            place = between.end() if between else place
            if text.startswith("]", place):
                self._in_list = False
                self.lists += 1
                return place + 1
            try:
                value, end = DECODER.raw_decode(text, place)
            except ValueError:
                return place
            except RecursionError as error:
                raise UnreadableFile("json", "an object is too deep") from error
            yield from self._object(_BREAK.sub(" ", text[place:end]) + "\n", value)
            place = end

    def _walk(self, place: int, *, final: bool) -> int:
        """Go on to the list; return where what is not whole begins."""
        while True:
            space = _SPACE.match(self._text, place)
            place = space.end() if space else place
            token = _TOKEN.match(self._text, place)
            if token is None:
                return place
            word = token.group()
            if token.end() == len(self._text) and word[0] not in '{}[]:,"' and not final:
                return place
            place = token.end()
            if word == "[" and tuple(self._open) in self._sought:
                self._in_list = True
                return place
            self._step(word)

    def _step(self, word: str) -> None:
        if word in "{[":
            if len(self._open) >= _DEEPEST:
                raise UnreadableFile("json", "the answer is too deep")
            self._open.append("" if word == "{" else None)
        elif word in "}]":
            if not self._open:
                raise UnreadableFile("json", "the file is no JSON")
            self._open.pop()
        elif word == ":" and self._open:
            self._open[-1] = self._string
        elif word[0] == '"':
            self._string = _text_of(word)


class _Seeker(AnswerRows):
    """Looks for several lists at once: to go through a text for each takes as often as long."""

    def __init__(self, text: str, places: Sequence[str]) -> None:
        super().__init__("", LIMITS, skip=0)
        self._text = text
        self._sought = {tuple(keys_of(each)): each for each in places}

    def found(self) -> Iterator[str]:
        """Give where lists begin; what they hold is passed over, and what is cut off is the end."""
        place = 0
        while True:
            self._in_list = False
            try:
                place = self._walk(place, final=True)
                if not self._in_list:
                    return
                yield self._sought[tuple(self._open)]
                _, place = DECODER.raw_decode(self._text, place - 1)
            except (ValueError, RecursionError):
                return


def lists_at(text: str, places: Sequence[str]) -> list[str]:
    """Return at which of some JSON pointers lists begin in a text, in the order of those."""
    found = set(_Seeker(text, places).found())
    return [place for place in places if place in found]


def _text_of(word: str) -> str:
    try:
        return str(json.loads(word))
    except ValueError:
        return word
