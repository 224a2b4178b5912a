"""Refusals that cost next to nothing, for requests that come while too many wait already in vain.

To read a request as others are read, and to refuse it then, takes a tenth of what answering it
takes: five times as many requests as can be answered would leave half of the answers. What is not
exactly one plain request, arrived whole, is left to be read as ever. Reads and writes alike: were
reads alone refused so, the dearer writes would take their place.
"""

import json
from collections.abc import Callable, Iterable
from time import monotonic

from app.edge.admission import Admission, operation_of
from app.edge.recognition import PRINCIPAL_SECONDS, Recognition
from app.errors import Overloaded
from app.telemetry import metrics
from app.telemetry.logs import new_request_id

_STATUS_LINE = b"HTTP/1.1 503 Service Unavailable\r\n"
_END = b"\r\n\r\n"
_LONGEST = 4_096
_METHODS = {b"GET", b"POST", b"PUT", b"PATCH", b"DELETE"}
_UNUSUAL = (b"\r\ntransfer-encoding:", b"\r\nexpect:", b"\r\nupgrade:", b"\r\nconnection: close")
_AUTHORIZATION, _LENGTH = b"\r\nauthorization:", b"\r\ncontent-length:"
_MANY = 10_000
_INSTANCE, _REQUEST_ID = "\x00instance", "\x00id"


class Shedding:
    """What a process refuses without reading it."""

    def __init__(self, admission: Admission, recognition: Callable[[], Recognition]) -> None:
        self._admission = admission
        self._recognition = recognition
        self._keys: dict[int, tuple[float, str]] = {}
        error = Overloaded()
        problem = json.dumps(
            error.problem(instance=_INSTANCE, request_id=_REQUEST_ID), separators=(",", ":")
        )
        before, _, rest = problem.partition(json.dumps(_INSTANCE)[1:-1])
        between, _, after = rest.partition(json.dumps(_REQUEST_ID)[1:-1])
        self._parts = before.encode(), between.encode(), after.encode()
        own = {**error.headers, "content-type": "application/problem+json",
               "cache-control": "no-store", "x-content-type-options": "nosniff"}  # fmt: skip
        lines = [f"{name.lower()}: {value}\r\n" for name, value in own.items()]
        self._fields = "".join(lines).encode()

    @property
    def active(self) -> bool:
        """Whether there may be something to refuse."""
        return self._admission.overloaded

    def answer(self, data: bytes, fields: Iterable[tuple[bytes, bytes]]) -> bytes | None:
        """Return the answer to what arrived if it is to be refused; `fields` are the server's."""
        head, end, body_sent = data.partition(_END)
        method, _, rest = head.partition(b" ")
        if not end or method not in _METHODS or not rest.startswith(b"/v1/"):
            return None
        lower = head.lower()
        path, key = _path_of(head, rest, lower), self._key_of(head, lower)
        if path is None or key is None or not _is_whole(lower, body_sent):
            return None
        verb = method.decode()
        if not self._admission.sheds(key, operation_of(verb, path)):
            return None
        metrics.count_refusal("shed")
        metrics.count_request(verb, metrics.UNMATCHED, Overloaded.status)
        request_id = new_request_id().encode()
        before, between, after = self._parts
        body = b"".join((before, path.encode(), between, request_id, after))
        server = b"".join([name + b": " + value + b"\r\n" for name, value in fields])
        own = b"x-request-id: %b\r\ncontent-length: %d\r\n\r\n" % (request_id, len(body))
        return b"".join((_STATUS_LINE, server, self._fields, own, body))

    def _key_of(self, head: bytes, lower: bytes) -> str | None:
        if lower.count(_AUTHORIZATION) != 1:
            return None
        begin = lower.find(_AUTHORIZATION) + len(_AUTHORIZATION)
        end = head.find(b"\r\n", begin)
        given = head[begin : end if end >= 0 else len(head)].strip()
        # No secret lies about in memory: the hash is of this process alone.
        until, key = self._keys.get(hash(given), (0.0, ""))
        if monotonic() < until:
            return key
        principal = self._recognition().remembered(given.decode("latin-1"))
        if principal is None:
            return None
        if len(self._keys) >= _MANY:
            self._keys.clear()
        self._keys[hash(given)] = monotonic() + PRINCIPAL_SECONDS / 10, principal.key_id
        return principal.key_id


def _is_whole(lower: bytes, body: bytes) -> bool:
    """Say whether a body is exactly as long as was said, and there is nothing unusual about it."""
    if any(each in lower for each in _UNUSUAL):
        return False
    said = lower.count(_LENGTH)
    if not said:
        return not body
    length = lower.partition(_LENGTH)[2].partition(b"\r\n")[0].strip()
    return said == 1 and length.isdigit() and length == b"%d" % len(body)


def _path_of(head: bytes, rest: bytes, lower: bytes) -> str | None:
    """Return the path of a plain request of HTTP 1.1, None of anything else."""
    target, _, version = rest.partition(b"\r\n")[0].partition(b" ")
    plain = version == b"HTTP/1.1" and len(head) <= _LONGEST and b"\r\nhost:" in lower
    if not plain or head.count(b"\n") != head.count(b"\r\n"):
        return None
    path = target.partition(b"?")[0].decode("latin-1")
    safe = path.isascii() and path.isprintable() and '"' not in path and "\\" not in path
    return path if safe else None
