"""What operators see: JSON lines with an allow-list of fields, and Prometheus metrics over all workers.

No line, label or value carries a token, a peer, a name or anything of a patient. A field that is not on the
list is dropped, whoever logs it: also what libraries write with `logging` becomes its logger's name alone.
"""

import logging
import os
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, get_args

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from audit.findings import Fault
from service.adapters.alike import Alike
from traceability.marks import implements

if TYPE_CHECKING:
    from audit.watch import Pass

FIELDS: Final = frozenset(
    {"address", "code", "commit", "correlation_id", "count", "docs", "duration_ms", "error", "event", "exit_code"}
    | {"internal", "left_out", "level", "logger", "message", "method", "model", "more", "origin", "pid", "reason"}
    | {"records", "route", "size", "status", "timestamp", "version", "where", "worker", "workers"}
)
"""Every field that a log line may have."""

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_RECORDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_LEVELS: Final[Mapping[str, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


@implements("REQ-SEC-009")
def allow_listed(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog's last word before a line is written: fields that nobody allowed are gone."""
    return {name: value for name, value in event.items() if name in FIELDS}


def configure(level: str, stream: TextIO | None = None, *, alike_per_minute: int) -> None:
    """Log lines go to `stream` (standard error) from now on; so do those of libraries, by their name alone. Of those
    that are alike, so many a minute."""
    minimum = _LEVELS[level]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            Alike(alike_per_minute),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            allow_listed,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(minimum),
        logger_factory=structlog.WriteLoggerFactory(file=stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Libraries()]
    root.setLevel(max(minimum, logging.WARNING))


class _Libraries(logging.Handler):
    """Libraries write what they like into their messages; only who spoke, and how loudly, is kept."""

    @implements("REQ-SEC-009")
    def emit(self, record: logging.LogRecord) -> None:
        error = type(record.exc_info[1]).__name__ if record.exc_info and record.exc_info[1] else None
        structlog.get_logger().log(
            record.levelno, "library", logger=record.name, **({"error": error} if error is not None else {})
        )


class Telemetry:
    """Counts and logs for one worker (the ports `service.http.ports.Telemetry`, `audit.ports.Observer`,
    `audit.ports.PublishingObserver` and `audit.watch.WatchObserver`).

    With `PROMETHEUS_MULTIPROC_DIR` set before prometheus_client is imported, every worker's numbers are in
    files there, and any worker answers for all of them.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._log = structlog.get_logger()
        self._requests = Counter("medai_requests_total", "Answers.", ("method", "route", "status"), registry=registry)
        self._request_seconds = Histogram(
            "medai_request_seconds", "From the first byte in to the last one out.", ("route",),
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._refusals = Counter("medai_refusals_total", "Answers that are problems.", ("code",), registry=registry)
        self._unrecorded = Counter(
            "medai_unrecorded_total", "Answers or outcomes without a record.", ("reason",), registry=registry
        )
        self._inference_seconds = Histogram(
            "medai_inference_seconds", "Decoding and the model, for one finding.", ("model",),
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._findings = Counter("medai_findings_total", "Findings.", ("model", "decision"), registry=registry)
        self._admitted = Gauge(
            "medai_admitted", "Requests to /infer inside.", multiprocess_mode="livesum", registry=registry
        )
        self._running = Gauge(
            "medai_running", "Requests to /infer at work.", multiprocess_mode="livesum", registry=registry
        )
        self._batch_records = Histogram(
            "medai_ledger_batch_records", "Records in a commit.", buckets=_RECORDS, registry=registry
        )
        self._commit_seconds = Histogram(
            "medai_ledger_commit_seconds", "A commit to the ledger.", buckets=_SECONDS, registry=registry
        )
        self._ledger_events = Counter(
            "medai_ledger_events_total", "What the ledger met.", ("event",), registry=registry
        )
        # Whoever leads says these: the largest of all processes is the truth, also after another took over.
        self._anchor_size = _largest("medai_anchor_size", "Records that the anchor covers.", "anchor", registry)
        self._anchor_time = _largest(
            "medai_anchor_timestamp_seconds", "When the anchor last covered all that was signed.", "anchor", registry
        )
        self._anchor_failures = Counter(
            "medai_anchor_failures_total",
            "Checkpoints that were not anchored.",
            ("anchor", "reason"),
            registry=registry,
        )
        self._witness_size = _largest("medai_witness_size", "Records that the witness cosigned.", "witness", registry)
        self._witness_time = _largest(
            "medai_witness_timestamp_seconds", "When the witness last cosigned.", "witness", registry
        )
        self._witness_failures = Counter(
            "medai_witness_failures_total", "Cosignatures that did not come.", ("witness", "reason"), registry=registry
        )
        self._attested_size = _largest(
            "medai_attested_size", "Records that the policy's witnesses attest.", None, registry
        )
        self._ready = _lowest("medai_ready", "1 while the worker answers as /readyz says it does, else 0.", registry)
        self._ledger_ready = _lowest("medai_ledger_ready", "1 while records can be taken, else 0.", registry)
        self._ledger_size = _largest("medai_ledger_size", "Records, as this process has checked them.", None, registry)
        self._unsent = Counter(
            "medai_trace_spans_unsent_total", "Spans that the collector did not take.", registry=registry
        )
        self._audited = _Audited(registry)

    @implements("REQ-DEP-007")
    def answered(
        self, method: str, route: str, status: int, code: str | None, seconds: float, *, correlation_id: str
    ) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)
        if code is not None:
            self._refusals.labels(code).inc()
        self._log.debug(
            "answered", method=method, route=route, status=status, duration_ms=int(seconds * 1000), code=code,
            correlation_id=correlation_id,
        )  # fmt: skip

    @implements("REQ-DEP-007")
    def unrecorded(self, reason: str) -> None:
        self._unrecorded.labels(reason).inc()

    def inferred(self, model: str, decision: str, seconds: float) -> None:
        self._inference_seconds.labels(model).observe(seconds)
        self._findings.labels(model, decision).inc()

    def waiting(self, admitted: int, running: int) -> None:
        self._admitted.set(admitted)
        self._running.set(running)

    @implements("REQ-SEC-009")
    def failed(self, where: str, error: BaseException, *, correlation_id: str | None = None) -> None:
        """The error's class and the line of ours that it came from; its message may quote what was sent to us."""
        asked = {"correlation_id": correlation_id} if correlation_id is not None else {}
        self._log.error("failed", where=where, error=type(error).__name__, message=_origin(error), **asked)

    def flushed(self, *, records: int, commit_us: int) -> None:
        self._batch_records.observe(records)
        self._commit_seconds.observe(commit_us / 1_000_000)

    def anchored(self, anchor: str, size: int) -> None:
        self._anchor_size.labels(anchor).set(size)
        self._anchor_time.labels(anchor).set_to_current_time()

    def anchor_failed(self, anchor: str, reason: str) -> None:
        self._anchor_failures.labels(anchor, reason).inc()

    def witnessed(self, witness: str, size: int) -> None:
        self._witness_size.labels(witness).set(size)
        self._witness_time.labels(witness).set_to_current_time()

    def witness_failed(self, witness: str, reason: str) -> None:
        self._witness_failures.labels(witness, reason).inc()

    def attested(self, size: int) -> None:
        self._attested_size.set(size)

    def verified(self, seen: "Pass") -> None:
        self._audited.say(seen)

    def event(self, code: str, message: str) -> None:
        self._ledger_events.labels(code).inc()
        self._log.warning("ledger", code=code, message=message)

    @implements("REQ-DEP-022")
    def standing(self, *, ready: bool, ledger_ready: bool, ledger_size: int) -> None:
        """How this worker stands, each second."""
        self._ready.set(int(ready))
        self._ledger_ready.set(int(ledger_ready))
        self._ledger_size.set(ledger_size)

    def unsent(self, spans: int) -> None:
        """So many spans did not reach the collector."""
        self._unsent.inc(spans)

    def said(self, code: str, message: str) -> None:
        """A line for operators that is no event of the ledger."""
        self._log.warning("service", code=code, message=message)

    @implements("REQ-DEP-007")
    def exposition(self) -> bytes:
        """All workers' numbers in Prometheus's text format."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the package's own types end here
        return generate_latest(registry)


class _Audited:
    """What the self-audit found. One worker of all looks at a time: the newest word is the truth."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._size = _newest("medai_audit_verified_size", "Records that the self-audit verified.", registry)
        self._anchored = _newest("medai_audit_anchored_size", "Records that anchors vouch for.", registry)
        self._time = _newest("medai_audit_timestamp_seconds", "When the last self-audit ended.", registry)
        self._seconds = _newest("medai_audit_pass_seconds", "How long the last self-audit took.", registry)
        self._verdict = _newest(
            "medai_audit_verdict", "Its verdict: 0 valid, 1 altered or broken, 3 unattested.", registry
        )
        self._findings = _newest("medai_audit_findings", "What it found, by class.", registry, "class")

    def say(self, seen: "Pass") -> None:
        self._size.set(seen.report.size)
        self._anchored.set(seen.report.anchored)
        self._time.set(seen.ended_s)
        self._seconds.set(seen.seconds)
        self._verdict.set(seen.report.exit_code)
        for fault in get_args(Fault):
            self._findings.labels(fault).set(seen.classes.get(fault, 0))


def _largest(name: str, what: str, label: str | None, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, what, (label,) if label else (), multiprocess_mode="max", registry=registry)


def _lowest(name: str, what: str, registry: CollectorRegistry) -> Gauge:
    """Of all workers that live, the one that stands worst."""
    return Gauge(name, what, multiprocess_mode="livemin", registry=registry)


def _newest(name: str, what: str, registry: CollectorRegistry, label: str | None = None) -> Gauge:
    return Gauge(name, what, (label,) if label else (), multiprocess_mode="mostrecent", registry=registry)


def _origin(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    last = frames[-1]
    return f"{Path(last.filename).name}:{last.lineno} {last.name}"
