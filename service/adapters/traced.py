"""The parts of a service, each wrapped so that its work is a span. Where tracing is off nothing is wrapped."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext

from audit.ports import Appended, Cosigned, Lease, Proven, Readiness, Recorder, Store
from audit.record import Record
from service.adapters.tracing import Tracing
from service.domain.card import Card
from service.domain.messages import DecodedImage, InferenceRequest, Limits, MediaType, Prediction, RuntimeIdentity
from service.domain.ports import Decoder, Model, Models, Run
from traceability.marks import implements

Infer = Callable[[InferenceRequest], Awaitable[Prediction]]
Waiting = dict[str, SpanContext]
"""The spans of the appends that are under way, by their records' event ids: ledger and store share one."""
_T = TypeVar("_T")


class TracedInfer:
    """`infer`, in a span."""

    def __init__(self, tracing: Tracing, infer: Infer) -> None:
        self._tracing = tracing
        self._infer = infer

    @implements("REQ-DEP-020")
    async def __call__(self, request: InferenceRequest) -> Prediction:
        with self._tracing.span("infer") as span:
            span.set_attribute("medai.media_type", request.media_type)
            prediction = await self._infer(request)
            span.set_attribute("medai.model", f"{prediction.model.name}@{prediction.model.version}")
            return prediction


class TracedDecoder:
    def __init__(self, tracing: Tracing, decoder: Decoder) -> None:
        self._tracing = tracing
        self._decoder = decoder

    async def decode(self, body: bytes, media_type: MediaType, frame: int | None, limits: Limits) -> DecodedImage:
        with self._tracing.span("decode"):
            return await self._decoder.decode(body, media_type, frame, limits)


class TracedModels:
    def __init__(self, tracing: Tracing, models: Models) -> None:
        self._tracing = tracing
        self._models = models

    def find(self, wanted: str | None) -> Model:
        return TracedModel(self._tracing, self._models.find(wanted))

    def all(self) -> tuple[Model, ...]:
        return self._models.all()


class TracedModel:
    def __init__(self, tracing: Tracing, model: Model) -> None:
        self._tracing = tracing
        self._model = model

    @property
    def card(self) -> Card:
        return self._model.card

    @property
    def runtime(self) -> RuntimeIdentity:
        return self._model.runtime

    async def compute(self, step: Callable[[Run], _T]) -> _T:
        with self._tracing.span("model"):
            return await self._model.compute(step)


class TracedLedger:
    """Each append is a span, until the record is durable and proved."""

    def __init__(self, tracing: Tracing, ledger: Recorder, waiting: Waiting) -> None:
        self._tracing = tracing
        self._ledger = ledger
        self._waiting = waiting
        self.enter, self.leave = ledger.enter, ledger.leave
        self.unready, self.refused = ledger.unready, ledger.refused

    @implements("REQ-DEP-020")
    async def append(self, record: Record) -> Proven:
        with self._tracing.span("ledger.append") as span:
            span.set_attribute("medai.record", type(record).__name__)
            if span.is_recording():
                self._waiting[record.event_id] = span.get_span_context()
            try:
                proven = await self._ledger.append(record)
            finally:
                self._waiting.pop(record.event_id, None)
            span.set_attribute("medai.ledger_index", proven.index)
            return proven


class TracedStore:
    """Each commit is a span below the first traced append that it is of, and linked to the others."""

    def __init__(self, tracing: Tracing, store: Store, waiting: Waiting) -> None:
        self._tracing = tracing
        self._store = store
        self._waiting = waiting

    @implements("REQ-DEP-020")
    async def append(
        self, known_size: int, event_ids: Sequence[UUID], records: Sequence[bytes], *, timeline: int | None = None
    ) -> Appended:
        found = [self._waiting[name] for event_id in event_ids if (name := str(event_id)) in self._waiting]
        if not found:
            return await self._store.append(known_size, event_ids, records, timeline=timeline)
        below = trace.set_span_in_context(NonRecordingSpan(found[0]), Context())
        with self._tracing.span("ledger.commit", context=below, links=[Link(one) for one in found[1:]]) as span:
            span.set_attribute("medai.batch_records", len(records))
            return await self._store.append(known_size, event_ids, records, timeline=timeline)

    async def publish(self, size: int, checkpoint: bytes) -> None:
        await self._store.publish(size, checkpoint)

    async def lease(self, name: str, holder: UUID, ttl_ms: int) -> Lease:
        return await self._store.lease(name, holder, ttl_ms)

    async def release(self, name: str, holder: UUID) -> None:
        await self._store.release(name, holder)

    async def cosign(self, lease: Lease, cosigned: Cosigned) -> None:
        await self._store.cosign(lease, cosigned)

    async def ready(self) -> Readiness:
        return await self._store.ready()
