"""In what encoding a text is, by its first bytes."""

import codecs
import re
from typing import Final, NamedTuple

from app.mappings.document import Encoding
from app.mappings.faults import UnreadableFile

_BOMS: Final[tuple[tuple[bytes, Encoding], ...]] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
_SHEETS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF")
_CONTROLS: Final = [code for code in range(32) if code not in b"\t\n\r\x1b"]
_HIGH = re.compile(rb"[\x80-\xff]+")
_WESTERN = re.compile(rb"[\x80-\x9f]")


class Encoded(NamedTuple):
    """The encoding of a text, and whether nothing else fits."""

    encoding: Encoding
    bom: bool
    certain: bool


def encoding_of(head: bytes, said: Encoding | None = None) -> Encoded:
    """Return the encoding of a text by its first bytes, a byte order mark first.

    UTF-8 that decodes is UTF-8: other texts hardly ever do. GB18030 is told from Latin-1 by what
    surrounds its bytes: two high ones for each Chinese character, one for a letter with an accent.
    """
    if head.startswith(_SHEETS):
        raise UnreadableFile(
            "binary", "the file is a spreadsheet or document, no text", "export it as CSV"
        )
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return Encoded(encoding, True, certain=True)
    if said is not None:
        return Encoded(said, False, certain=True)
    return _without_mark(head)


def _without_mark(head: bytes) -> Encoded:
    zeros, odd = head.count(0), head[1::2].count(0)
    # Of UTF-16 every sign of ASCII has one, all on the same side.
    if zeros * 20 > len(head) and max(odd, zeros - odd) * 10 >= zeros * 9:
        return Encoded("utf-16-le" if odd * 2 > zeros else "utf-16-be", False, certain=False)
    if decodes(head, "utf-8"):
        return Encoded("utf-8", False, certain=True)
    if sum(map(head.count, _CONTROLS)) * 20 > len(head):
        raise UnreadableFile("binary", "the file is no text", "export it as CSV or NDJSON")
    runs = _HIGH.findall(head)
    paired = sum(len(run) for run in runs if len(run) % 2 == 0)
    if decodes(head, "gb18030") and paired * 10 >= 8 * sum(map(len, runs)):
        return Encoded("gb18030", False, certain=False)
    western = _WESTERN.search(head) and decodes(head, "cp1252")
    return Encoded("cp1252" if western else "latin-1", False, certain=False)


def decodes(head: bytes, encoding: str) -> bool:
    """Say whether bytes, which may end within a character, are of an encoding."""
    try:
        codecs.getincrementaldecoder(encoding)("strict").decode(head)
    except UnicodeDecodeError:
        return False
    return True


class Decoder:
    """Decodes a text that comes in pieces; what is no character becomes U+FFFD."""

    def __init__(self, encoding: Encoding) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._begun = False

    def decode(self, block: bytes, *, final: bool = False) -> str:
        """Return the text of a block, without the mark of the byte order."""
        text = self._decoder.decode(block, final)
        if not self._begun and text:
            self._begun = True
            text = text.removeprefix("\ufeff")
        return text
