"""The send channel of a request, and how a refusal is sent on it."""

from collections.abc import Iterable, Mapping

from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.edge.handlers import problem_response
from app.edge.intake import discard
from app.errors import AppError, Overloaded, PayloadTooLarge, RequestTimeout, Unauthorized

_LINGER_SECONDS = 1.0


class Reply:
    """The send channel of one request: adds our headers, knows how far the answer is."""

    def __init__(self, send: Send, headers: dict[bytes, bytes]) -> None:
        self._send = send
        self.headers = headers
        self.status: int | None = None
        self.bytes_sent = 0
        self.complete = self.body_read = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            theirs = [pair for pair in message.get("headers", ()) if pair[0] not in self.headers]
            message["headers"] = [*theirs, *self.headers.items()]
        else:
            self.bytes_sent += len(message.get("body", b""))
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.complete = True


async def refuse(
    error: AppError, scope: Scope, headers: Mapping[str, str], receive: Receive, reply: Reply
) -> None:
    """Answer with the problem, and close the connection if the rest of a body may follow.

    The server drops the unread rest of a body within its limits by itself, but not whatever
    somebody sends who has no key; and a caller that waits for `100 Continue` may or may not send
    it: the next request could not be told from it.
    """
    response = problem_response(error, scope)
    follows = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    unwanted = isinstance(error, (PayloadTooLarge, RequestTimeout, Unauthorized, Overloaded))
    closing = not reply.body_read and ("expect" in headers or (follows and unwanted))
    if closing:
        response.headers["connection"] = "close"
    await reply(
        {"type": "http.response.start", "status": error.status, "headers": response.raw_headers}
    )
    await reply({"type": "http.response.body", "body": response.body, "more_body": closing})
    if not closing:
        return
    # Closing while the caller still sends would reset the connection, and the answer with it.
    await discard(receive, _LINGER_SECONDS)
    await reply({"type": "http.response.body", "body": b"", "more_body": False})


def rendered(
    error: AppError,
    path: bytes,
    request_id: str,
    fields: Iterable[tuple[bytes, bytes]],
    *,
    keep: bool,
    body: bool,
) -> bytes:
    """Return a whole answer as it goes out, for a request that no application sees.

    `fields` are the server's own; without `keep` it is the last one on its connection.
    """
    scope = {"path": "/", "raw_path": path, "state": {"request_id": request_id}}
    response = problem_response(error, scope)
    own = [
        *fields,
        *response.raw_headers,
        (b"x-request-id", request_id.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        *([] if keep else [(b"connection", b"close")]),
    ]
    lines = [name + b": " + value + b"\r\n" for name, value in own]
    lines += [b"\r\n", bytes(response.body) if body else b""]
    return STATUS_LINE[error.status] + b"".join(lines)
