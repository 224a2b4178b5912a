"""Text in blocks as the lines of its file."""

import io


class TextLines:
    """Splits text that comes in blocks, cut anywhere, into lines with their ends.

    Lines end with a line feed, a carriage return, or both, in any mixture. A line longer than
    `most` characters is cut behind one more than those, so that it can be told.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._partial = ""
        self._dropping = False

    def feed(self, text: str, *, final: bool = False) -> list[str]:
        """Return the lines that end in a block."""
        if self._dropping:
            ends = [place for place in (text.find("\n"), text.find("\r")) if place >= 0]
            if not ends and not final:
                return []
            text = text[min(ends) :] if ends else ""
            self._dropping = False
        text = self._partial + text
        # A line feed may follow a carriage return at the end.
        last = text.rfind("\r", 0, len(text) - 1)
        cut = len(text) if final else max(text.rfind("\n"), last) + 1
        self._partial = text[cut:]
        if len(self._partial) > self._most:
            self._dropping = not self._partial.endswith("\r")
            end = "" if self._dropping else "\r"
            self._partial = self._partial[: self._most + 1] + end
        return lines_of(text[:cut])


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, with their ends."""
    return list(io.StringIO(text, newline="")) if text else []
