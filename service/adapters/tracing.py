"""Traces for operators: OpenTelemetry spans, sent over OTLP/HTTP to a collector.

Only a worker that was told of a collector (`MEDAI_OTLP_URL`) imports this module. A trace holds what a record may hold
and less: ids, the route's template, a status, a code, a model's name and sizes; never a finding, a name, a message or
a token. A collector that is away costs spans, never an answer.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

from msgspec import Struct
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags

from audit.errors import AuditError
from service.errors import ServiceError, SettingInvalid
from traceability.marks import implements

ATTRIBUTES: Final = frozenset(
    {"error.type", "http.request.method", "http.response.status_code", "http.route", "medai.batch_records"}
    | {"medai.code", "medai.correlation_id", "medai.ledger_index", "medai.media_type", "medai.model"}
    | {"medai.record", "medai.request_id"}
)
"""Every attribute that a span may have. The first four are OpenTelemetry's own names (semantic conventions, HTTP)."""

PATH: Final = "v1/traces"  # OTLP/HTTP: where a collector takes traces, below its base URL
_BATCH_SPANS: Final = 512  # the SDK's own default; a queue may be smaller


class TracingSettings(Struct, frozen=True, kw_only=True):
    """Where spans go, and how many."""

    url: str
    percent: int
    queue_spans: int
    timeout_ms: int


def exporter(settings: TracingSettings) -> SpanExporter:
    """Sends to the collector of `settings`. Headers and certificates: OpenTelemetry's own environment variables.

    Raises `SettingInvalid` where the URL is none.
    """
    parts = urlsplit(settings.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SettingInvalid("MEDAI_OTLP_URL: give the collector's base URL, such as http://127.0.0.1:4318")
    return OTLPSpanExporter(endpoint=f"{settings.url.rstrip('/')}/{PATH}", timeout=settings.timeout_ms / 1000)


class Tracing:
    """Makes spans. `unsent` is told how many spans did not reach the collector."""

    def __init__(
        self,
        to: SpanExporter,
        settings: TracingSettings,
        *,
        version: str,
        process_id: UUID,
        unsent: Callable[[int], None],
    ) -> None:
        self._ids = _Ids()
        self._sending = _Sending(to, unsent)
        self._close_s = settings.timeout_ms / 1000
        # By the trace's own id: whoever set the flag in a request's header could have all of them exported.
        ratio = TraceIdRatioBased(settings.percent / 100)
        self._provider = TracerProvider(
            sampler=ParentBased(ratio, remote_parent_sampled=ratio, remote_parent_not_sampled=ratio),
            resource=Resource.create(
                {"service.name": "medai-flow", "service.version": version, "service.instance.id": str(process_id)}
            ),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        batches = BatchSpanProcessor(
            self._sending,
            max_queue_size=settings.queue_spans,
            max_export_batch_size=min(_BATCH_SPANS, settings.queue_spans),
        )
        self._provider.add_span_processor(batches)
        self._tracer = self._provider.get_tracer("medai-flow", version)

    async def close(self) -> None:
        """What is queued is sent, for at most twice the timeout."""
        self._sending.end_at(time.monotonic() + self._close_s)
        await asyncio.to_thread(self._provider.shutdown)

    @contextmanager
    def exchange(
        self, traceparent: str, *, begun_by: Literal["caller", "service"], correlation_id: str, request_id: str
    ) -> Iterator["Exchange"]:
        """One request and its answer (implements `service.http.ports.Tracing`), as the span that its record names
        where the trace begins here, else as a child of the caller's."""
        trace_id, span_id = (int(part, 16) for part in traceparent.split("-")[1:3])
        parent = Context()
        if begun_by == "caller":
            remote = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(int(traceparent[-2:], 16)))
            parent = trace.set_span_in_context(NonRecordingSpan(remote), parent)
        else:
            self._ids.given = (trace_id, span_id)
        with self.span("request", kind=SpanKind.SERVER, context=parent) as span:
            span.set_attribute("medai.correlation_id", correlation_id)
            span.set_attribute("medai.request_id", request_id)
            yield Exchange(span)

    @contextmanager
    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        context: Context | None = None,
        links: Sequence[Link] = (),
    ) -> Iterator[Span]:
        """A span around the block, below the one that is under way. An error is its code or class: its message may
        quote what was sent to us."""
        with self._tracer.start_as_current_span(
            name, kind=kind, context=context, links=links, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                code = error.code if isinstance(error, AuditError | ServiceError) else type(error).__name__
                span.set_attribute("error.type", code)
                span.set_status(StatusCode.ERROR)
                raise


class Exchange:
    """The span of one request."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @implements("REQ-DEP-020")
    def answered(self, *, method: str, route: str, status: int, code: str | None, index: int | None) -> None:
        """What the recorder says of it at its end."""
        span = self._span
        span.update_name(f"{method} {route}")
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        if code is not None:
            span.set_attribute("medai.code", code)
        if index is not None:
            span.set_attribute("medai.ledger_index", index)
        if status >= 500:
            span.set_status(StatusCode.ERROR)


class _Ids(RandomIdGenerator):
    """Random, but for a span that already has its ids: those that are on the request's record."""

    given: tuple[int, int] | None = None

    def generate_trace_id(self) -> int:
        return self.given[0] if self.given is not None else super().generate_trace_id()

    def generate_span_id(self) -> int:
        given, self.given = self.given, None
        return given[1] if given is not None else super().generate_span_id()


class _Sending(SpanExporter):
    """`to`, counting what it does not take; nothing more is sent once it has ended."""

    def __init__(self, to: SpanExporter, unsent: Callable[[int], None]) -> None:
        self._to = to
        self._unsent = unsent
        self._until = float("inf")

    def end_at(self, moment: float) -> None:
        self._until = moment

    @implements("REQ-DEP-021")
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        late = time.monotonic() >= self._until
        result = SpanExportResult.FAILURE if late else self._to.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._unsent(len(spans))
        return result

    def shutdown(self) -> None:
        self._to.shutdown()
