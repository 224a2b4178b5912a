"""Traces: off by default, and of what nobody can be recognised by."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app.telemetry import tracing

PROGRAM = """
import asyncio, sys
from app.telemetry import access_log, tracing
from app.telemetry.logs import trace_id_var

tracing.configure("clm-test", "1.2.3")
scope = {"method": "GET", "state": {}, "path": "/v1/customers/alice", "query_string": b"q=alice"}
parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
access_log.begin(scope, {"traceparent": parent, "authorization": "Bearer alice"})
scope["state"] |= {"error_code": "internal_error"}
access_log.record(scope, "/v1/customers/{customer_id}", 500, seconds=0.1, bytes_sent=7)
try:
    with tracing.part("score"):
        raise ValueError("alice")
except ValueError:
    pass
print(trace_id_var.get(), "opentelemetry.sdk" in sys.modules)
"""


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """An address that takes traces, and what it was sent."""
    taken: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", taken
    server.shutdown()
    server.server_close()


def run(**environment: str) -> list[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.split()


def test_a_span_says_how_a_request_went_and_of_nobody(collector: tuple[str, list[bytes]]) -> None:
    url, taken = collector
    trace_id, loaded = run(OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_EXPORTER_OTLP_COMPRESSION="none")
    assert (trace_id, loaded) == ("a" * 32, "True")
    (body,) = taken
    assert b"alice" not in body
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    names = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert (names["service.name"], names["service.version"]) == ("clm-test", "1.2.3")
    request, part = resource.scope_spans[0].spans
    assert (request.name, part.name) == ("GET /v1/customers/{customer_id}", "part score")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == ("a" * 32, "b" * 16)
    assert request.status.code == 2
    told = {each.key: each.value for each in request.attributes}
    assert told["http.response.status_code"].int_value == 500
    assert told["error.type"].string_value == "internal_error"
    told = {each.key: each.value.string_value for each in part.attributes}
    assert (part.status.code, told) == (2, {"clm.task": "score", "error.type": "ValueError"})


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
    ],
    ids=json.dumps,
)
def test_unless_asked_for_nothing_is_loaded(environment: dict[str, str]) -> None:
    assert not tracing.wanted(environment)
    assert run(**environment) == ["False"]


def test_what_is_not_offered_is_said() -> None:
    with pytest.raises(ValueError, match="only otlp and none"):
        tracing.wanted({"OTEL_TRACES_EXPORTER": "zipkin"})
    assert tracing.wanted({"OTEL_TRACES_EXPORTER": "otlp"})
