"""Finds the operation that a request is for, runs it, and sends its answer or its problem.

What is no operation of the API goes on to FastAPI: health, documentation, 404 and 405. Whatever
answers GET answers HEAD; the document does not say so of each, as HTTP says it of all.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.edge import handlers
from app.edge.jsonbody import ClmRequest
from app.http.deps import Route

Handler = Callable[[Request], Awaitable[Response]]


Operations = dict[tuple[str, int], list[tuple[list[str | None], list[str], Route]]]
"""By method and number of steps of the path, in the order of their routes."""


def operations(app: FastAPI) -> Operations:
    """Return the operations of an API, each of which there is a way to run.

    Raises
    ------
    NotImplementedError
        If an endpoint asks for what is not done here, see `app/http/endpoints.py`.
    """
    found: Operations = {}
    for route in app.routes:
        if not isinstance(route, Route):
            continue
        route.prepare()
        steps = route.path_format.split("/")
        wanted = [None if step.startswith("{") else step for step in steps]
        names = [step[1:-1] for step in steps if step.startswith("{")]
        for method in route.methods or ():
            found.setdefault((method, len(steps)), []).append((wanted, names, route))
    return found


class Dispatch:
    """Runs operations."""

    def __init__(self, app: ASGIApp, found: Operations) -> None:
        self._next = app
        self._found = found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        route = None
        if scope["type"] == "http":
            route = self._match(scope)
            if scope["method"] == "HEAD":
                send = _without_body(send)
        if route is None:
            await self._next(scope, receive, send)
            return
        scope["route"] = route
        request = ClmRequest(scope, receive)
        try:
            response = await route.run(request)
        except Exception as error:
            handler = handlers.handler_of(error)
            if handler is None:
                raise
            response = await handler(request, error)
        await response(scope, receive, send)

    def _match(self, scope: Scope) -> Route | None:
        steps = _steps(scope)
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        for wanted, names, route in self._found.get((method, len(steps)), ()):
            values = []
            for want, step in zip(wanted, steps, strict=True):
                if want is None and step:
                    values.append(step)
                elif want != step:
                    break
            else:
                scope["path_params"] = dict(zip(names, values, strict=True))
                return route
        return None


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head


def _steps(scope: Scope) -> list[str]:
    """Return the steps of a path; a `/` that is written `%2F` parts none."""
    root: str = scope.get("root_path", "")
    raw: bytes = scope.get("raw_path") or b""
    if b"%2F" in raw or b"%2f" in raw:
        path = raw.decode("ascii", "replace").removeprefix(root)
        return [unquote(step) for step in path.split("/")]
    steps: list[str] = scope["path"].removeprefix(root).split("/")
    return steps
