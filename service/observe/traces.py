"""Traces of requests, by OpenTelemetry: one span a request, and one for each of its stages: its sum
over the slices of the request, one stage behind the other.

They are sent by a thread of their own, in batches; what it cannot send in time is dropped, and
delays no answer. The packages come with the extra `traces`.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from service.errors import SettingsError


def require_opentelemetry() -> None:
    """Check that what traces need is installed.

    Raises:
        SettingsError: it is not.
    """
    try:
        import_module("opentelemetry.sdk.trace")
        import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as error:
        raise SettingsError(
            f"AFM_TRACES: needs OpenTelemetry: pip install 'ctr-afm[serve,traces]' ({error})"
        ) from error


class RequestSpan:
    """The span of one request; `traceparent` says which one it is, as a header does."""

    def __init__(self, span: Any, tracer: Any, began_ns: int) -> None:
        self._span = span
        self._tracer = tracer
        self._began_ns = began_ns

    @property
    def traceparent(self) -> bytes:
        """As W3C has it."""
        context = self._span.get_span_context()
        ids = f"{context.trace_id:032x}-{context.span_id:016x}"
        return f"00-{ids}-{int(context.trace_flags):02x}".encode()

    def end(self, stages: Mapping[str, float], status: int, rows: int | None) -> None:
        """Close it: `stages` in seconds, in their order; `status` 0 where there was no answer."""
        if not self._span.is_recording():
            return
        from opentelemetry import trace

        self._span.set_attribute("http.response.status_code", status)
        if rows is not None:
            self._span.set_attribute("afm.rows", rows)
        if status == 0 or status >= 500:
            self._span.set_status(trace.StatusCode.ERROR)
        inside = trace.set_span_in_context(self._span)
        at = self._began_ns
        for stage, seconds in stages.items():
            span = self._tracer.start_span(stage, context=inside, start_time=at)
            at += int(1e9 * seconds)
            span.end(end_time=at)
        self._span.end()


class Traces:
    """Sends spans to the OTLP endpoint at `url`. `share`: of the requests that bring no
    `traceparent`; for the others its flag counts.

    Raises:
        SettingsError: OpenTelemetry is not installed.
    """

    def __init__(self, url: str, share: float, version: str) -> None:
        require_opentelemetry()
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

        named = {"service.name": "ctr-afm", "service.version": version}
        self._provider = TracerProvider(
            resource=Resource.create(named),
            sampler=ParentBased(TraceIdRatioBased(share)),
            shutdown_on_exit=False,  # `close` does it
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
        self._tracer = self._provider.get_tracer("ctr-afm", version)

    def begin(self, route: str, traceparent: str, began_ns: int) -> RequestSpan:
        """The span of a request to `route`, which came at `began_ns` (since 1970) with this
        `traceparent`; one that cannot be read counts as none.
        """
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
        span = self._tracer.start_span(
            f"POST {route}",
            context=parent,
            kind=trace.SpanKind.SERVER,
            attributes={"http.request.method": "POST", "http.route": route},
            start_time=began_ns,
        )
        return RequestSpan(span, self._tracer, began_ns)

    def close(self) -> None:
        """Send what waits, for a few seconds at most."""
        self._provider.shutdown()
