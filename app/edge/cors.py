"""Lets pages of named other sites call the API, and nobody else's.

Outermost, so that refusals of the guard are readable, too. Callers prove who they are by a key that
their page sends, never by a cookie: credentials of the browser are not allowed.
"""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.handlers import problem_response
from app.errors import MalformedRequest, printable
from app.schemas.responses import HEADERS

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
SENT = (
    "Authorization", "Content-Type", "Content-Encoding", "Idempotency-Key", "If-Match",
    "X-Request-Id", "traceparent", "tracestate",
)  # fmt: skip
SHOWN = tuple(dict.fromkeys((*HEADERS, "RateLimit", "RateLimit-Policy", "Allow")))
PREFLIGHT_SECONDS = 7_200
"""How long a browser need not ask again; none keeps an answer for longer."""


class Cors(CORSMiddleware):
    """Answers what browsers ask before they send a request, and says who may read answers."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=SENT,
            expose_headers=SHOWN,
            max_age=PREFLIGHT_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a question of a browser, or pass a request on."""
        if scope["type"] != "http" or scope["method"] != "OPTIONS":
            await super().__call__(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if "origin" not in headers or "access-control-request-method" not in headers:
            await super().__call__(scope, receive, send)
            return
        answer = self.preflight_response(headers)
        if answer.status_code == 200:
            told = {
                name: value
                for name, value in answer.headers.items()
                if not name.startswith("content-")
            }
            answer = Response(status_code=204, headers=told)
        else:
            vary = answer.headers["vary"]
            detail = printable(bytes(answer.body).decode())
            answer = problem_response(MalformedRequest(detail, headers={"Vary": vary}), scope)
        await answer(scope, receive, send)
