"""Traces by OpenTelemetry, off unless its own environment variables ask for them.

One span a request and one a part of an operation, of fixed words and numbers alone: no path, query
string, header or statement, as each of them may name a customer. While off, it costs a comparison.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_FAULT = 500

_tracer: Any = None


def wanted(environment: Mapping[str, str]) -> bool:
    """Say whether the environment asks for traces.

    Raises
    ------
    ValueError
        If it asks for an exporter that is not offered.
    """
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    if exporter not in ("", "otlp"):
        raise ValueError(f"OTEL_TRACES_EXPORTER={exporter}: only otlp and none are offered")
    return exporter == "otlp" or any(environment.get(name) for name in _ENDPOINTS)


def configure(service: str, version: str) -> None:
    """Begin to trace if the environment asks for it; the SDK reads all of its other variables."""
    global _tracer  # noqa: PLW0603  # of the process, as the SDK has it
    if not wanted(os.environ):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise ValueError(
            "the environment asks for traces (OTEL_…), whose library is not installed: "
            "pip install clm-service[otel], or set OTEL_TRACES_EXPORTER=none"
        ) from error
    named = {"service.name": os.environ.get("OTEL_SERVICE_NAME", service)}
    resource = Resource.create({**named, "service.version": version})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("clm", version)


def begin(method: str, headers: Mapping[str, str]) -> Any | None:
    """Begin the span of a request, as a child of that of its caller; None while off."""
    if _tracer is None:
        return None
    from opentelemetry.trace import SpanKind  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
        TraceContextTextMapPropagator,
    )

    names = ("traceparent", "tracestate")
    sent = {name: headers[name] for name in names if name in headers}
    parent = TraceContextTextMapPropagator().extract(sent)
    return _tracer.start_span(method, context=parent, kind=SpanKind.SERVER)


def trace_id(span: Any) -> str:
    """Return the id of a span's trace, as the log has it."""
    return format(span.get_span_context().trace_id, "032x")


def end(span: Any, name: str, status: int, attributes: Mapping[str, object]) -> None:
    """End the span of a request by what is known of it now."""
    from opentelemetry.trace import StatusCode  # noqa: PLC0415

    span.update_name(name)
    span.set_attributes({key: value for key, value in attributes.items() if value is not None})
    if status >= _FAULT:
        span.set_status(StatusCode.ERROR)
    span.end()


@contextlib.contextmanager
def part(task: str) -> Iterator[None]:
    """Trace what a worker does on a part; while off, do nothing."""
    if _tracer is None:
        yield
        return
    from opentelemetry.trace import StatusCode  # noqa: PLC0415

    # What an error says may quote a row: its type is told in the log.
    with _tracer.start_as_current_span(
        f"part {task}",
        attributes={"clm.task": task},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise
