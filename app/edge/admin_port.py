"""Metrics and documentation at a port of their own, which need not be open to callers."""

from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import NotFound


class AdminPort:
    """Hides some paths from every other port; there, all is served."""

    def __init__(self, app: ASGIApp, port: int, paths: Collection[str]) -> None:
        self._app = app
        self._port = port
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless it came in by the wrong door."""
        if scope["type"] == "http":
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            if path in self._paths and (scope.get("server") or ("", None))[1] != self._port:
                raise NotFound("No route has this path")
        await self._app(scope, receive, send)
