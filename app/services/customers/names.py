"""Names as they are searched: without accents, by any word, and Chinese by any part.

Words of scripts with blanks are found by their beginnings. Scripts without blanks have no words to
go by: of these, single characters and pairs are indexed, and what is longer is looked at again.
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

PREFIX_LENGTH = 8
"""Beginnings of words are indexed up to here; longer ones are looked at again."""
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ŧ": "t", "æ": "ae", "œ": "oe",
     "þ": "th"}
)  # fmt: skip
"""Letters with strokes and the like, which Unicode does not take apart."""
# Marks of South and South East Asian scripts are parts of words, though they are no letters.
_LETTER = r"(?:[^\W_]|[\u0900-\u0963\u0966-\u109f\u1780-\u17ff])"
_BLANKLESS = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    r"\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]+"
)
_APOSTROPHES = "'’ʼ‘`"
_NO_APOSTROPHES = str.maketrans("", "", _APOSTROPHES)
_WORD = re.compile(f"{_LETTER}+")
_JOINED = re.compile(rf"{_LETTER}+(?:[{_APOSTROPHES}.·‐‑-]+{_LETTER}+)*")
_ROTATED = range(2, 5)
"""Lengths of names of people without blanks, which are also found with the surname last."""


def fold(text: str) -> str:
    """Return a text without case, accents, widths and what is not seen."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    bare = "".join(char for char in folded if not _is_dropped(char))
    return unicodedata.normalize("NFC", bare.translate(_LETTERS))


def _is_dropped(char: str) -> bool:
    """Say whether it is an accent or invisible; marks that are half of a letter are neither.

    The classes are those of accents, of Hebrew points and of Arabic vowels.
    """
    combining = unicodedata.combining(char)
    return combining >= 200 or 10 <= combining <= 36 or unicodedata.category(char) == "Cf"


def without_apostrophes(text: str) -> str:
    return text.translate(_NO_APOSTROPHES)


class Words(NamedTuple):
    """The words of a name, and its runs of characters of scripts without blanks."""

    spaced: tuple[str, ...]
    runs: tuple[str, ...]

    def text(self) -> str:
        """Return it as one text in which each word begins after a blank."""
        return "".join(f" {word}" for word in (*self.spaced, *self.runs))


def words_of(name: str) -> Words:
    """Return what a name is found by; `O'Dair` has three words, and blanks part no Chinese."""
    spaced: dict[str, None] = {}
    runs = [""]
    for chunk in _JOINED.findall(fold(name)):
        pieces = _WORD.findall(chunk)
        whole = "".join(pieces)
        if len(pieces) > 1 and not _BLANKLESS.search(whole):
            spaced[whole] = None
        for piece in pieces:
            for part, is_run in _parts(piece):
                if is_run:
                    runs[-1] += part
                else:
                    spaced[part] = None
                    runs += [""] if runs[-1] else []
    return Words(tuple(spaced), tuple(dict.fromkeys(filter(None, runs))))


def _parts(piece: str) -> list[tuple[str, bool]]:
    """Return a piece cut where scripts with and without blanks meet."""
    if piece.isascii():
        return [(piece, False)]
    found, end = [], 0
    for run in _BLANKLESS.finditer(piece):
        found += [(piece[end : run.start()], False), (run.group(), True)]
        end = run.end()
    found.append((piece[end:], False))
    return [part for part in found if part[0]]


def terms_of(words: Words) -> set[str]:
    """Return what is indexed of a name."""
    terms = {
        word[:end] for word in words.spaced for end in range(1, min(len(word), PREFIX_LENGTH) + 1)
    }
    for run in words.runs:
        terms.update(run)
        terms |= _pairs(run)
        if len(run) in _ROTATED:
            terms |= {run[at:] + run[:at] for at in (1, 2) if at < len(run)}
    return terms


def _pairs(run: str) -> set[str]:
    return {run[at : at + 2] for at in range(len(run) - 1)}


class Wanted(NamedTuple):
    """What a name must have for one word of a query.

    All of `terms`, and `within` in its text, unless that is empty; or else the one term `instead`.
    """

    terms: frozenset[str]
    within: str = ""
    instead: str | None = None


@lru_cache(maxsize=256)
def wanted(query: str) -> tuple[Wanted, ...]:
    """Return what a name must have to be found; nothing if the query has no letter or digit."""
    folded = without_apostrophes(fold(query))
    parts = [part for piece in _WORD.findall(folded) for part in _parts(piece)]
    return tuple(dict.fromkeys(_run(part) if is_run else _word(part) for part, is_run in parts))


def _word(word: str) -> Wanted:
    within = f" {word}" if len(word) > PREFIX_LENGTH else ""
    return Wanted(frozenset({word[:PREFIX_LENGTH]}), within)


def _run(run: str) -> Wanted:
    if len(run) <= 2:
        return Wanted(frozenset({run}))
    return Wanted(frozenset(_pairs(run)), run, run if len(run) in _ROTATED else None)
