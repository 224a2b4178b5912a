"""The metrics page, read back with the client's own parser."""

import math

from prometheus_client.parser import text_string_to_metric_families

from app.telemetry import metrics


def page(name: str = "") -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    # The parser is slow, and the page long where the API was tested before in this process.
    lines = metrics.render().decode().splitlines(keepends=True)
    families = text_string_to_metric_families("".join(line for line in lines if name in line))
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(name: str, **labels: str) -> float:
    return page(name).get((name, frozenset(labels.items())), 0.0)


def test_requests_by_template() -> None:
    labels = {"method": "GET", "route": "/v1/tests/{id}"}
    for status in (200, 200, 404):
        metrics.observe_request("GET", "/v1/tests/{id}", status, 0.02)
    assert value("clm_http_requests_total", status="200", **labels) == 2
    assert value("clm_http_requests_total", status="404", **labels) == 1
    assert value("clm_http_request_duration_seconds_count", **labels) == 3
    assert value("clm_http_request_duration_seconds_bucket", le="0.01", **labels) == 0
    assert value("clm_http_request_duration_seconds_bucket", le="0.025", **labels) == 3


def test_invented_methods_share_a_label() -> None:
    for method in ("BREW", "PROPFIND"):
        metrics.observe_request(method, "/v1/tests", 405, 0.01)
    assert value("clm_http_requests_total", method="other", route="/v1/tests", status="405") == 2


def test_facts() -> None:
    metrics.count_facts("test", "created", 3)
    metrics.count_facts("test", "created")
    metrics.count_facts("test", "rejected", 0)
    assert value("clm_facts_ingested_total", kind="test", result="created") == 4
    assert (
        "clm_facts_ingested_total",
        frozenset({"kind": "test", "result": "rejected"}.items()),
    ) in page()


def test_gauges_are_unknown_until_set() -> None:
    metrics.set_gauges()
    assert math.isnan(value("clm_model_age_seconds"))
    metrics.set_gauges(
        pool_size=10,
        pool_checked_out=3,
        operations_queue_depth=0,
        operations_queue_age_seconds=0,
        last_scoring_run_age_seconds=60.5,
    )
    assert value("clm_pool_connections", state="size") == 10
    assert value("clm_pool_connections", state="checked_out") == 3
    assert value("clm_operations_queue_depth") == 0
    assert value("clm_operations_queue_age_seconds") == 0
    assert value("clm_last_scoring_run_age_seconds") == 60.5
    assert math.isnan(value("clm_model_age_seconds"))
    metrics.set_gauges()
    assert math.isnan(value("clm_pool_connections", state="size"))


def test_the_page_is_plain_and_has_no_doubles() -> None:
    assert "0.0.4" in metrics.CONTENT_TYPE
    names = {name for name, _ in page()}
    assert not any(name.endswith("_created") for name in names)
    assert "process_resident_memory_bytes" in names
