"""What is kept of each request: one line of the access log, and the counts of the metrics.

What runs a request leaves what it knows in the state of its scope: who asks (`principal`), how
much came in (`bytes_received`), for how long a slot was waited for (`waited`), and the code of the
problem that is the answer (`error_code`). None of it is a path, a query string or a body.
"""

from collections.abc import Mapping
from typing import Any

from app.errors import AppError
from app.postgres.db import SPENT_ELSEWHERE, Spent, spent_var
from app.telemetry import metrics, tracing
from app.telemetry.logs import log_access, trace_id_var


def begin(scope: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Sum from now on what the request at hand asks of the database, and trace it if asked to."""
    spent_var.set(Spent())
    span = tracing.begin(scope["method"], headers)
    if span is not None:
        scope["state"]["span"] = span
        trace_id_var.set(tracing.trace_id(span))


def record(
    scope: Mapping[str, Any],
    route: str,
    status: int,
    *,
    seconds: float,
    bytes_sent: int,
    of_probe: bool = False,
) -> None:
    """Count and log a request that has been answered, or whose caller has left."""
    method, spent = scope["method"], spent_var.get()
    metrics.observe_request(method, route, status, seconds, spent.seconds)
    if SPENT_ELSEWHERE.statements:
        metrics.count_shared_database_time(SPENT_ELSEWHERE.seconds)
        SPENT_ELSEWHERE.seconds, SPENT_ELSEWHERE.statements = 0.0, 0
    state: Mapping[str, Any] = scope.get("state", {})
    waited = state.get("waited")
    key_id, code = getattr(state.get("principal"), "key_id", None), state.get("error_code")
    if "span" in state:
        known = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "http.response.body.size": bytes_sent,
            "error.type": code,
            "clm.key_id": key_id,
            "clm.database_seconds": spent.seconds,
            "clm.statements": spent.statements,
            "clm.waited_seconds": waited,
        }
        tracing.end(state["span"], f"{method} {route}", status, known)
    log_access(
        of_probe=of_probe,
        method=method,
        route=route,
        status=status,
        ms=round(seconds * 1000, 2),
        waited_ms=None if waited is None else round(waited * 1000, 2),
        database_ms=round(spent.seconds * 1000, 2),
        statements=spent.statements,
        bytes_received=state.get("bytes_received", 0),
        bytes_sent=bytes_sent,
        key_id=key_id,
        code=code,
    )


def record_refusal(method: str, error: AppError, request_id: str, *, logged: bool) -> None:
    """Count, and log if it is to be, what the connection answered without running a request.

    `method` is empty if what came is no request.
    """
    metrics.count_request(method, metrics.UNMATCHED, error.status)
    if logged:
        log_access(
            method=method or None,
            route=metrics.UNMATCHED,
            status=error.status,
            key_id=error.key_id,
            code=error.code,
            request_id=request_id,
        )
