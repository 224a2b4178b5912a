"""What a worker answers over HTTP, if it is asked to: `/metrics`, `/livez` and `/readyz`.

It does so from a thread, so that a probe is answered while the event loop works on a part. A worker
is alive while its loop turns, and ready while the database answers it; both are given as long as
the lease of a part, after which another worker takes over anyway.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from app.config import Settings
from app.services.operations.parts import LEASE
from app.telemetry import metrics

PATIENCE_SECONDS = LEASE.total_seconds()
_SLOW_CALLER_SECONDS = 5.0

Answer = tuple[str, str, bytes]


class Signs:
    """When the event loop of a worker last turned, and when the database last answered it."""

    def __init__(self) -> None:
        self.turned_at = self.answered_at = time.monotonic()

    def answered(self) -> None:
        """Note that the database has answered."""
        self.answered_at = time.monotonic()

    def turned(self) -> None:
        """Note that the event loop turns."""
        self.turned_at = time.monotonic()


class _Quiet(WSGIRequestHandler):
    timeout = _SLOW_CALLER_SECONDS  # one thread serves them all

    def log_message(self, *_: Any) -> None:
        """Say nothing: probes come every few seconds."""


class _Server(WSGIServer):
    def handle_error(self, *_: Any) -> None:
        """Say nothing of a prober that has left."""


@contextlib.contextmanager
def served(settings: Settings, signs: Signs) -> Iterator[None]:
    """Answer probes at the port of the settings while the body runs; without one, do nothing."""
    port = settings.worker_metrics_port
    if port is None:
        yield
        return
    try:
        server = make_server(settings.host, port, _app(signs), _Server, _Quiet)
    except OSError as error:
        raise ValueError(
            f"CLM_WORKER_METRICS_PORT: cannot listen on {settings.host} port {port}:"
            f" {error.strerror}"
        ) from None
    threading.Thread(target=server.serve_forever, name="worker-page", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _app(signs: Signs) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        status, media_type, body = _answer(environ["PATH_INFO"], signs)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            status, media_type, body = _problem("405 Method Not Allowed", "method_not_allowed")
        start(status, [("Content-Type", media_type), ("Content-Length", str(len(body)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    return answer


def _answer(path: str, signs: Signs) -> Answer:
    if path == "/metrics":
        return "200 OK", metrics.CONTENT_TYPE, metrics.render()
    since = {"/livez": signs.turned_at, "/readyz": signs.answered_at}.get(path)
    if since is None:
        return _problem("404 Not Found", "not_found")
    if time.monotonic() - since > PATIENCE_SECONDS:
        code = "unavailable" if path == "/livez" else "database_unavailable"
        return _problem("503 Service Unavailable", code)
    return "200 OK", "application/json", b'{"status":"ok"}'


def _problem(status: str, code: str) -> Answer:
    number, _, title = status.partition(" ")
    document = {"type": "about:blank", "title": title, "status": int(number), "code": code}
    return status, "application/problem+json", json.dumps(document).encode()
