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

Figure = float | Mapping[str, float | None] | None
PartOutcome = Literal["done", "put_off", "failed", "lost"]
FactResult = Literal["created", "updated", "duplicate", "rejected"]
Refusal = Literal[
    "body_memory", "connections", "exports", "head_time", "head_size", "line", "malformed",
    "no_key", "rate", "shed", "waited",
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
_database = Counter(
    "clm_http_database_seconds",
    "Time that requests have waited for statements, commits not included; route `shared`: for"
    " statements that answer several requests at once.",
    ("method", "route"),
    registry=REGISTRY,
)
_shared_database = _database.labels("any", "shared")
_parts = Histogram(
    "clm_part_duration_seconds",
    "Time a worker worked on a part of an operation, by how that ended: done, put_off to be tried"
    " again, failed, or lost to another worker.",
    ("task", "outcome"),
    buckets=(0.05, 0.25, 1, 2.5, 5, 10, 30, 60, 120, 300, 600),
    registry=REGISTRY,
)
_build = Gauge(
    "clm_build_info",
    "Always 1: the version that runs here, and the revision of the schema that it was written for.",
    ("version", "revision"),
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)

_FIGURES: Final[Mapping[str, str]] = {
    "operations_queue_depth": "Operations waiting or running.",
    "operations_queue_age_seconds": "Age of the oldest operation that waits or runs.",
    "last_scoring_run_age_seconds": "Time since the last successful scoring run ended.",
    "model_age_seconds": "Time since the active model was fitted.",
    "churn_calibration_error": (
        "Expected calibration error of what was predicted a horizon before the published run."
    ),
    "churn_calibration_in_the_large": (
        "Share of customers that churned minus the share that was predicted."
    ),
    "operation_parts_waiting": "Parts of operations that wait to be claimed.",
    "operation_parts_running": "Parts of operations that a worker holds.",
    "operation_parts_tried_again": "Parts not done that were begun more than once.",
    "operation_parts_abandoned": "Parts whose worker no longer says that it works on them.",
    "database_size_bytes": "Size of the database on disk.",
    "disk_free_bytes": "Bytes free where the embedded database is; unknown with another one.",
    "disk_size_bytes": "Bytes of the disk where the embedded database is.",
}
_FIGURES_BY: Final[Mapping[str, tuple[str, str]]] = {
    "last_success_timestamp_seconds": (
        "task",
        "When a scoring run, fit, housekeeping or backup last succeeded, in Unix seconds.",
    ),
    "operations_failed_last_day": ("kind", "Operations that failed within 24 hours, by kind."),
}
_gauges: Final[Mapping[str, Gauge]] = {
    name: Gauge(f"clm_{name}", text, registry=REGISTRY, multiprocess_mode="mostrecent")
    for name, text in _FIGURES.items()
}
_gauges_by: Final[Mapping[str, Gauge]] = {
    name: Gauge(f"clm_{name}", text, (label,), registry=REGISTRY, multiprocess_mode="mostrecent")
    for name, (label, text) in _FIGURES_BY.items()
}
_observed: set[tuple[str, str]] = set()
"""Labels that were told of once: they are said to be 0, or unknown, when they no longer are."""


@lru_cache(4096)
def _children(method: str, route: str, status: int) -> tuple[Counter, Histogram, Counter]:
    method = method if method in _METHODS else "other"
    return (
        _requests.labels(method, route, str(status)),
        _durations.labels(method, route),
        _database.labels(method, route),
    )


def observe_request(
    method: str, route: str, status: int, seconds: float, database_seconds: float = 0.0
) -> None:
    """Count one answered request under its route template."""
    count, duration, database = _children(method, route, status)
    count.inc()
    duration.observe(seconds)
    database.inc(database_seconds)


def count_shared_database_time(seconds: float) -> None:
    """Add what was asked for several requests at once, or for none."""
    _shared_database.inc(seconds)


def observe_part(task: str, outcome: PartOutcome, seconds: float) -> None:
    """Count one part that a worker has let go of."""
    _parts.labels(task, outcome).observe(seconds)


def set_build(version: str, revision: str) -> None:
    """Say what runs here."""
    _build.labels(version, revision).set(1)


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


def set_gauges(**figures: Figure) -> None:
    """Set the gauges read at a scrape; what is not known is NaN, since 0 would read as good."""
    set_pool(_plain(figures.pop("pool_size", None)), _plain(figures.pop("pool_checked_out", None)))
    for name, gauge in _gauges.items():
        gauge.set(_known(_plain(figures.pop(name, None))))
    for name, labelled in _gauges_by.items():
        by_label = figures.pop(name, None)
        assert by_label is None or isinstance(by_label, Mapping)
        _observed.update((name, label) for label in by_label or ())
        for label in [label for of, label in _observed if of == name]:
            figure = None if by_label is None else by_label.get(label, 0.0)
            labelled.labels(label).set(_known(figure))
    assert not figures, figures


def set_pool(size: float | None, checked_out: float | None) -> None:
    """Set what the pool of this process holds."""
    _pool.labels("size").set(_known(size))
    _pool.labels("checked_out").set(_known(checked_out))


def _plain(figure: Figure) -> float | None:
    assert not isinstance(figure, Mapping)
    return figure


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
