"""Reads a JSON body strictly: what two readers could take for two things is refused."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from starlette.requests import Request

from app.errors import FieldError, MalformedRequest, UnsupportedMediaType, printable
from app.schemas.common.decimals import JsonNumber

MAX_DEPTH = 200
MAX_KEYS = 1_000
# 2 MB of `{},` would become six hundred thousand objects; a full batch has some ten thousand.
MAX_CONTAINERS = 150_000
INLINE_BYTES = 32_768
"""Bodies that are read on the event loop; larger ones in a thread, which shares the interpreter
with it: what is read calls our functions for each object and number, and gives way between them."""

_JSON_TYPE = re.compile(r"application/([\w.-]+\+)?json", re.IGNORECASE)
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE)


P = ParamSpec("P")
T = TypeVar("T")


async def aside(size: int, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Call a function on a body of so many bytes, where it keeps nobody waiting."""
    if size > INLINE_BYTES:
        return await asyncio.to_thread(function, *arguments, **named)
    return function(*arguments, **named)


def malformed(detail: str, code: str = "malformed_json") -> MalformedRequest:
    """Return the error of a body that cannot be read as a whole."""
    return MalformedRequest(
        "The body is not acceptable JSON", errors=[FieldError("", code, detail)]
    )


def _nested_too_deep() -> MalformedRequest:
    # How deep Python's own reader gets depends on its version: one answer for both limits.
    return malformed(f"values are nested more than {MAX_DEPTH} deep", "nesting_too_deep")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        # The set grows while it is asked: the first key met twice is named.
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise malformed(f"the key {printable(twice)!r} occurs twice in one object", "duplicate_key")
    if len(found) > MAX_KEYS:
        raise malformed(f"an object has more than {MAX_KEYS} keys", "too_many_keys")
    return found


# `NaN`, `Infinity` and 1e400 become floats here, on purpose: the field they stand in then
# refuses them with a pointer to it, and in a batch only that item is lost.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=JsonNumber)


def _check_depth(value: object) -> None:
    level: list[Any] = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [
            value
            for each in level
            for value in (each.values() if type(each) is dict else each)
            if type(value) is dict or type(value) is list
        ]
        if not level:
            return
    raise _nested_too_deep()


def loads(body: bytes) -> object:
    """Parse UTF-8 JSON; raise MalformedRequest with the place of the fault."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed(f"byte {error.start}: not UTF-8") from None
    if text.startswith("\ufeff"):
        raise malformed("line 1 column 1: a byte order mark")
    openings = text.count("{") + text.count("[")
    if openings > MAX_CONTAINERS:
        raise malformed(f"more than {MAX_CONTAINERS} objects and lists", "too_many_values")
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise malformed(f"{place}: {printable(error.msg)}") from None
    except RecursionError:
        raise _nested_too_deep() from None
    except ValueError:  # Python's limit for the digits of one integer
        raise malformed("a number has too many digits", "number_too_long") from None
    if openings > MAX_DEPTH:
        _check_depth(value)
    return value


def check_media_type(content_type: str | None) -> None:
    """Refuse a body that calls itself anything but JSON in UTF-8; no name counts as JSON."""
    if content_type is None:
        return
    charset = _CHARSET.search(content_type)
    if not _JSON_TYPE.fullmatch(content_type.partition(";")[0].strip()) or (
        charset and charset[1].lower() not in ("utf-8", "utf8")
    ):
        raise UnsupportedMediaType("Send the body as application/json in UTF-8")


class ClmRequest(Request):
    """A request whose body is JSON read by `loads`.

    FastAPI turns what these methods raise into `HTTPException(400) from error`; the handler
    of HTTPException unwraps it.
    """

    async def body(self) -> bytes:
        """Return the body; refuse one that is not JSON."""
        body = await super().body()
        if body:
            check_media_type(self.headers.get("content-type"))
        return body

    @property
    def parsed(self) -> Any:
        """The body as it was parsed, None if nobody has asked for it."""
        return getattr(self, "_json", None)

    async def json(self) -> Any:
        """Return the parsed body."""
        if not hasattr(self, "_json"):
            body = await self.body()
            self._json = await aside(len(body), loads, body)
        return self._json
