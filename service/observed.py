"""Whether a worker is traced. Where its settings name a collector its parts are wrapped; else they are what they are,
nothing of OpenTelemetry is imported, and no request costs more."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from importlib import import_module
from typing import Any, Protocol
from uuid import UUID

from audit.ports import Recorder, Store
from service.domain import flow
from service.domain.messages import Limits
from service.domain.ports import Decoder, Models
from service.http.ports import Tracing
from service.http.routes import Infer
from service.settings import Settings
from traceability.marks import implements


class Watched(Protocol):
    """The parts of a worker, as they are to be used."""

    tracing: Tracing | None

    def store(self, store: Store) -> Store: ...

    def ledger(self, ledger: Recorder) -> Recorder: ...

    def infer(self, decoder: Decoder, models: Models, limits: Limits) -> Infer: ...


class Untraced:
    tracing: Tracing | None = None

    def store(self, store: Store) -> Store:
        return store

    def ledger(self, ledger: Recorder) -> Recorder:
        return ledger

    def infer(self, decoder: Decoder, models: Models, limits: Limits) -> Infer:
        return partial(flow.infer, decoder=decoder, models=models, limits=limits)


class Traced:
    def __init__(self, tracing: Any, traced: Any) -> None:
        """Both from modules that are imported only where they are wanted."""
        self.tracing: Tracing | None = tracing
        self._tracing = tracing
        self._traced = traced
        self._waiting: dict[str, Any] = {}

    def store(self, store: Store) -> Store:
        wrapped: Store = self._traced.TracedStore(self._tracing, store, self._waiting)
        return wrapped

    def ledger(self, ledger: Recorder) -> Recorder:
        wrapped: Recorder = self._traced.TracedLedger(self._tracing, ledger, self._waiting)
        return wrapped

    def infer(self, decoder: Decoder, models: Models, limits: Limits) -> Infer:
        decoder = self._traced.TracedDecoder(self._tracing, decoder)
        models = self._traced.TracedModels(self._tracing, models)
        wrapped: Infer = self._traced.TracedInfer(
            self._tracing, partial(flow.infer, decoder=decoder, models=models, limits=limits)
        )
        return wrapped


@implements("REQ-DEP-020")
def watched(
    settings: Settings, *, version: str, process_id: UUID, unsent: Callable[[int], None], resources: AsyncExitStack
) -> Watched:
    """Traced where `MEDAI_OTLP_URL` says where to; spans that are left at the end are sent by `resources`.

    Raises `SettingInvalid` where that is no URL.
    """
    if not settings.otlp_url:
        return Untraced()
    adapter, traced = import_module("service.adapters.tracing"), import_module("service.adapters.traced")
    wanted = adapter.TracingSettings(
        url=settings.otlp_url,
        percent=settings.trace_percent,
        queue_spans=settings.trace_queue_spans,
        timeout_ms=settings.trace_timeout_ms,
    )
    tracing = adapter.Tracing(adapter.exporter(wanted), wanted, version=version, process_id=process_id, unsent=unsent)
    resources.push_async_callback(tracing.close)
    return Traced(tracing, traced)
