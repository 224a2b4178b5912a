"""What is kept of each request: one line of the access log, and the counts of the metrics.

What runs a request leaves what it knows in the state of its scope: who asks (`principal`), how
much came in (`bytes_received`), for how long a slot was waited for (`waited`), and the code of the
problem that is the answer (`error_code`). None of it is a path, a query string or a body.
"""

from collections.abc import Mapping
from typing import Any

from app import metrics
from app.db import SPENT_ELSEWHERE, Spent, spent_var
from app.logs import log_access


def begin() -> None:
    """Sum from now on what the request at hand asks of the database."""
    spent_var.set(Spent())


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
        key_id=getattr(state.get("principal"), "key_id", None),
        code=state.get("error_code"),
    )
