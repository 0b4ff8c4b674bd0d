"""Traces: one for each request, under the id that is on its record, with nothing in it that a record may not hold."""

import asyncio
import subprocess
import sys
from typing import Any, cast
from uuid import UUID

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, StatusCode, TraceFlags

from audit.errors import LedgerUnavailable
from audit.record import Prediction
from service.adapters import tracing as adapter
from service.adapters.traced import TracedStore
from service.errors import DecodeFailed, SettingInvalid
from service.observed import Untraced
from tests.http_fakes import Service

SETTINGS = adapter.TracingSettings(url="http://127.0.0.1:4318", percent=100, queue_spans=64, timeout_ms=100)
PROCESS_ID = UUID("11111111-2222-4333-8444-555555555555")
CALLERS = f"00-{'a' * 32}-{'b' * 16}-00"
CORRELATION_ID = "0123456789abcdef0123456789abcdef"


class Traced:
    """What was traced while a scenario ran, whose `service` is traced."""

    def __init__(self, **settings) -> None:
        self.memory = InMemorySpanExporter()
        self.lost: list[int] = []
        self.tracing = self.over(self.memory, **settings)

    def over(self, exporter, **settings):
        known = {name: getattr(SETTINGS, name) for name in SETTINGS.__struct_fields__}
        return adapter.Tracing(
            exporter, adapter.TracingSettings(**(known | settings)), version="1", process_id=PROCESS_ID,
            unsent=self.lost.append,
        )  # fmt: skip

    def run(self, scenario):
        async def whole():
            service = Service(tracing=self.tracing)
            await scenario(service)
            await self.tracing.close()
            return service

        return asyncio.run(whole())

    @property
    def spans(self):
        return {span.name: span for span in self.memory.get_finished_spans()}


async def _asked(service, **headers):
    await service.infer(headers=headers)


@pytest.fixture(scope="module")
def begun_here():
    """A request without a trace of its own, and its service."""
    traced = Traced()
    return traced, traced.run(_asked)


@pytest.fixture(scope="module")
def continued():
    traced = Traced()
    return traced, traced.run(lambda service: _asked(service, traceparent=CALLERS))


def test_recorder_inference_and_append_are_spans_of_one_trace(begun_here):
    spans = begun_here[0].spans
    assert set(spans) == {"POST /infer", "infer", "ledger.append"}
    assert len({span.context.trace_id for span in spans.values()}) == 1


def test_inference_and_append_are_below_the_request(begun_here):
    spans = begun_here[0].spans
    root = spans["POST /infer"].context.span_id
    assert {spans[name].parent.span_id for name in ("infer", "ledger.append")} == {root}


def test_the_request_s_span_is_the_one_on_its_record(begun_here):
    traced, service = begun_here
    (record,) = service.ledger.of_kind(Prediction)
    root = traced.spans["POST /infer"]
    assert root.parent is None
    assert record.traceparent == f"00-{root.context.trace_id:032x}-{root.context.span_id:016x}-00"


def test_a_caller_s_trace_is_continued_below_the_caller_s_span(continued):
    root = continued[0].spans["POST /infer"]
    assert (root.context.trace_id, root.parent.span_id) == (int("a" * 32, 16), int("b" * 16, 16))


@pytest.mark.verifies("REQ-DEP-020")
def test_the_request_s_span_has_the_ids_and_the_index_that_its_answer_has():
    traced = Traced()
    service = traced.run(lambda service: _asked(service, **{"x-correlation-id": CORRELATION_ID}))
    (record,) = service.ledger.of_kind(Prediction)
    said = traced.spans["POST /infer"].attributes
    assert (said["medai.correlation_id"], said["medai.request_id"]) == (CORRELATION_ID, record.request_id)
    assert (said["http.response.status_code"], said["medai.ledger_index"]) == (200, 0)


@pytest.mark.verifies("REQ-DEP-020")
def test_a_refusal_s_span_has_its_code():
    traced = Traced()
    traced.run(lambda service: service.ask("GET", "/nowhere"))
    assert traced.spans["GET <unmatched>"].attributes["medai.code"] == "not_found"


@pytest.mark.verifies("REQ-DEP-020")
def test_an_error_is_its_code_and_never_its_message():
    async def scenario(service):
        service.infer_error = DecodeFailed("DOE^JOHN")
        await service.infer()

    traced = Traced()
    traced.run(scenario)
    failed = traced.spans["infer"]
    assert (failed.attributes["error.type"], failed.status.status_code) == ("decode_failed", StatusCode.ERROR)
    assert "DOE" not in "".join(span.to_json() for span in traced.spans.values())


def test_spans_hold_listed_attributes_alone(begun_here, continued):
    named = {
        name for traced, _ in (begun_here, continued) for span in traced.spans.values() for name in span.attributes
    }
    assert named <= adapter.ATTRIBUTES


@pytest.mark.verifies("REQ-DEP-020")
def test_a_caller_s_flag_does_not_choose_what_is_sent():
    sampled = f"00-{'f' * 32}-{'b' * 16}-01"  # beyond one percent of all ids
    traced = Traced(percent=1)
    traced.run(lambda service: _asked(service, traceparent=sampled))
    assert traced.spans == {}


class _Store:
    async def append(self, known_size, event_ids, records, *, timeline=None):
        if known_size < 0:
            raise LedgerUnavailable("away")
        return "appended"


def _committed(traced, waiting, known_size=0):
    async def whole():
        store = TracedStore(traced.tracing, cast(Any, _Store()), waiting)
        try:
            return await store.append(known_size, [UUID(int=1), UUID(int=2)], [b"", b""])
        finally:
            await traced.tracing.close()

    return asyncio.run(whole())


def _waiting():
    return {
        str(UUID(int=number)): SpanContext(number, number, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        for number in (1, 2)
    }


@pytest.mark.verifies("REQ-DEP-020")
def test_a_commit_is_below_one_append_and_linked_to_the_others():
    traced = Traced()
    assert _committed(traced, _waiting()) == "appended"
    span = traced.spans["ledger.commit"]
    assert (span.parent.span_id, [link.context.span_id for link in span.links]) == (1, [2])
    assert span.attributes == {"medai.batch_records": 2}


@pytest.mark.verifies("REQ-DEP-020")
def test_a_commit_that_nobody_traces_is_no_span():
    traced = Traced()
    _committed(traced, {})
    assert traced.spans == {}


@pytest.mark.verifies("REQ-DEP-020")
def test_a_commit_that_fails_is_marked_with_the_code():
    traced = Traced()
    with pytest.raises(LedgerUnavailable):
        _committed(traced, _waiting(), known_size=-1)
    assert traced.spans["ledger.commit"].attributes["error.type"] == "ledger_unavailable"


class _Away(InMemorySpanExporter):
    def export(self, spans):
        return SpanExportResult.FAILURE


@pytest.mark.verifies("REQ-DEP-020")
@pytest.mark.verifies("REQ-DEP-021")
def test_spans_that_the_collector_does_not_take_are_counted():
    traced = Traced()
    traced.tracing = traced.over(_Away())
    service = traced.run(_asked)
    assert (len(service.ledger.of_kind(Prediction)), sum(traced.lost)) == (1, 3)


@pytest.mark.verifies("REQ-DEP-021")
def test_after_the_end_nothing_is_sent_and_what_is_left_is_counted():
    memory = InMemorySpanExporter()
    lost: list[int] = []
    spans: list[Any] = [None, None]
    sending = adapter._Sending(memory, lost.append)
    sending.end_at(0.0)
    assert sending.export(spans) is SpanExportResult.FAILURE
    assert (memory.get_finished_spans(), lost) == ((), [2])


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "ftp://host", "http://", "http://host/?key=1"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(SettingInvalid):
        adapter.exporter(adapter.TracingSettings(url=url, percent=100, queue_spans=64, timeout_ms=100))


@pytest.mark.verifies("REQ-DEP-020")
def test_nothing_of_opentelemetry_is_loaded_while_nothing_is_traced():
    ask = (
        "import sys, contextlib\n"
        "from service import observed, settings, worker\n"
        "named = dict(version='1', process_id=None, unsent=None, resources=contextlib.AsyncExitStack())\n"
        "watched = observed.watched(settings.read({}), **named)\n"
        "print(watched.tracing, [name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout == "None []\n"


def test_parts_that_are_not_traced_are_what_they_are():
    part: Any = object()
    assert (Untraced().store(part), Untraced().ledger(part)) == (part, part)
