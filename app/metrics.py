"""Metrics: one registry of the process, and the few functions that write to it.

Labels are route templates and fixed words, never ids: their number must not grow with use.
"""

import math
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which processes of one service count together; set before the first import
of the client."""
CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
UNMATCHED: Final = "unmatched"

FactResult = Literal["created", "updated", "duplicate", "rejected"]
Refusal = Literal[
    "body_memory", "connections", "head_time", "head_size", "line", "malformed", "no_key", "rate",
    "shed", "waited",
]  # fmt: skip
"""Why a request was not even begun."""

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# A `_created` series for every other one doubles the page and says nothing new.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_requests = Counter(
    "clm_http_requests",
    "Requests answered; status 499: the caller left before the answer.",
    ("method", "route", "status"),
    registry=REGISTRY,
)
_durations = Histogram(
    "clm_http_request_duration_seconds",
    "Time from the head of a request to the end of its answer, waiting included.",
    ("method", "route"),
    buckets=_BUCKETS,
    registry=REGISTRY,
)
requests_in_flight: Final = Gauge(
    "clm_http_requests_in_flight",
    "Requests begun and not yet answered.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
admission_wait: Final = Histogram(
    "clm_admission_wait_seconds",
    "Time that requests which then ran had waited for a slot.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
    registry=REGISTRY,
)
_refusals = Counter(
    "clm_refusals",
    "Requests and connections refused before anything was done for them, by reason.",
    ("reason",),
    registry=REGISTRY,
)
_facts = Counter(
    "clm_facts_ingested", "Facts received, by outcome.", ("kind", "result"), registry=REGISTRY
)
_pool = Gauge(
    "clm_pool_connections",
    "Database connections, of all processes that answer at this address.",
    ("state",),
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
_gauges: Final[Mapping[str, Gauge]] = {
    name: Gauge(f"clm_{name}", text, registry=REGISTRY, multiprocess_mode="mostrecent")
    for name, text in (
        ("operations_queue_depth", "Operations waiting or running."),
        ("operations_queue_age_seconds", "Age of the oldest operation that waits or runs."),
        ("last_scoring_run_age_seconds", "Time since the last successful scoring run ended."),
        ("model_age_seconds", "Time since the active model was fitted."),
        (
            "churn_calibration_error",
            "Expected calibration error of what was predicted a horizon before the published run.",
        ),
        (
            "churn_calibration_in_the_large",
            "Share of customers that churned minus the share that was predicted.",
        ),
    )
}


@lru_cache(4096)
def _children(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    method = method if method in _METHODS else "other"
    return _requests.labels(method, route, str(status)), _durations.labels(method, route)


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request under its route template."""
    count, duration = _children(method, route, status)
    count.inc()
    duration.observe(seconds)


@lru_cache
def _refused(reason: Refusal) -> Counter:
    return _refusals.labels(reason)


def count_refusal(reason: Refusal) -> None:
    """Count one request that was refused before anything was done for it."""
    _refused(reason).inc()


def count_request(method: str, route: str, status: int) -> None:
    """Count an answer that took no time worth to be measured."""
    _children(method, route, status)[0].inc()


def count_facts(kind: str, result: FactResult, n: int = 1) -> None:
    """Count `n` facts of one kind (transaction, customer …) with one outcome."""
    _facts.labels(kind, result).inc(n)


def count_all_facts(kind: str, counts: Mapping[str, int]) -> None:
    """Count facts of one kind by outcome."""
    for result, n in counts.items():
        _facts.labels(kind, result).inc(n)


def set_gauges(
    *,
    pool_size: float | None = None,
    pool_checked_out: float | None = None,
    queue_depth: float | None = None,
    queue_age_seconds: float | None = None,
    last_scoring_run_age_seconds: float | None = None,
    model_age_seconds: float | None = None,
    churn_calibration_error: float | None = None,
    churn_calibration_in_the_large: float | None = None,
) -> None:
    """Set the gauges read at a scrape; what is not known is NaN, since 0 would read as good."""
    set_pool(pool_size, pool_checked_out)
    _gauges["operations_queue_depth"].set(_known(queue_depth))
    _gauges["operations_queue_age_seconds"].set(_known(queue_age_seconds))
    _gauges["last_scoring_run_age_seconds"].set(_known(last_scoring_run_age_seconds))
    _gauges["model_age_seconds"].set(_known(model_age_seconds))
    _gauges["churn_calibration_error"].set(_known(churn_calibration_error))
    _gauges["churn_calibration_in_the_large"].set(_known(churn_calibration_in_the_large))


def set_pool(size: float | None, checked_out: float | None) -> None:
    """Set what the pool of this process holds."""
    _pool.labels("size").set(_known(size))
    _pool.labels("checked_out").set(_known(checked_out))


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def shared() -> bool:
    """Say whether this process counts together with others."""
    return SHARED_FOLDER in os.environ


def forget(pid: int, folder: str) -> None:
    """Take out what held only while a process lived; what it counted stays counted."""
    multiprocess.mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


def render() -> bytes:
    """Return every metric in the Prometheus text format, of content type `CONTENT_TYPE`."""
    if not shared():
        return generate_latest(REGISTRY)
    together = CollectorRegistry()
    multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return generate_latest(together)


if not shared():
    set_gauges()
