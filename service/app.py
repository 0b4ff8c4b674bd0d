"""One worker's service, composed: models, decoders, ledger, and the two applications over them.

`start` brings up everything in order and fails closed: what it returns can answer. `Running.stop` goes the other way.
This and the command line are where `audit.postgres` is known.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import lru_cache
from importlib.metadata import version
from typing import Final
from uuid import UUID, uuid4

from audit import anchors_configured, note, record, signing
from audit import settings as ledger_settings
from audit.anchors import FolderAnchor
from audit.clock import SystemClock
from audit.errors import AuditError
from audit.keyring import KeyPlace
from audit.ledger import Ledger
from audit.outages import FolderOutages
from audit.ports import Anchor, Reader
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from service import entrusted, observed, publishing, released, watching
from service import settings as service_settings
from service.adapters import model_store, secrets, telemetry
from service.adapters.decoders_parent import PoolSettings
from service.adapters.images import DecoderSettings, ImageDecoder
from service.adapters.onnx_model import RuntimeSettings
from service.adapters.presence import Presence
from service.adapters.release import Active
from service.domain.messages import Limits
from service.errors import SettingInvalid
from service.http import application
from service.http import version as versions
from service.http.internal import Internal
from service.http.policy import Policy
from service.readiness import Readiness
from service.settings import Settings

DISTRIBUTION: Final = "medai-flow"
_TICK_S: Final = 1.0
_SWEEP_EVERY: Final = 60  # ticks between two looks for windows that other homes' processes left open
_STRAGGLERS_S: Final = 5.0  # for cancelled requests to record themselves before the ledger is closed


class Running:
    """A worker that can answer, until it is drained and stopped."""

    def __init__(
        self,
        *,
        settings: Settings,
        readiness: Readiness,
        presence: Presence,
        ledger: Ledger,
        reader: Reader,
        models: model_store.ModelStore,
        parts: application.Parts,
        pseudonyms: secrets.CurrentPseudonyms,
        active: Active | None,
        metrics: telemetry.Telemetry,
        resources: AsyncExitStack,
    ) -> None:
        self._settings = settings
        self._readiness = readiness
        self._presence = presence
        self._ledger = ledger
        self._reader = reader
        self._models = models
        self._clock = parts.clock
        self._pseudonyms = pseudonyms
        self._process_id = str(parts.process_id)
        self._active = active
        self._telemetry = metrics
        self._resources = resources
        self._application = application.create(parts)
        self._housekeeping: asyncio.Task[None] | None = None
        self.public = self._application.asgi
        self.internal = Internal(
            unready=readiness.reason, metrics=metrics.exposition, metrics_type=telemetry.CONTENT_TYPE
        )

    async def begin(self) -> None:
        """On record as started; the windows that others left open begin to be closed."""
        await self._ledger.append(
            record.ServiceStarted(
                format=record.FORMAT,
                event_id=record.new_event_id(),
                recorded_at_us=self._clock.now_us(),
                process_id=self._process_id,
                version=version(DISTRIBUTION),
                commit=self._settings.commit,
                release=self._active.digest if self._active is not None else None,
                models=tuple(
                    record.ModelRef(name=model.card.name, version=model.card.version, sha256=model.card.sha256)
                    for model in self._models.all()
                ),
            )
        )
        if self._active is not None:
            await self._ledger.append(
                released.activated(
                    self._active,
                    environment=self._settings.environment,
                    process_id=self._process_id,
                    now_us=self._clock.now_us(),
                )
            )
        self._housekeeping = asyncio.create_task(self._keep_house())

    def leave_rotation(self) -> None:
        """Not ready any more; whoever has not noticed yet is still served."""
        self._readiness.draining = True

    def refuse(self) -> None:
        """No new image is taken; what is inside goes on."""
        self._application.admission.draining = True

    async def stop(self) -> None:
        """What is under way has ended or is cut, windows are closed, the end is on record, nothing is left running."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STRAGGLERS_S):
                await self.public.idle.wait()
        if self._housekeeping is not None:
            self._housekeeping.cancel()
            await asyncio.gather(self._housekeeping, return_exceptions=True)
        try:
            if self._ledger.unready() is None:
                await self._application.windows.close_all()
                await self._ledger.append(
                    record.ServiceStopped(
                        format=record.FORMAT,
                        event_id=record.new_event_id(),
                        recorded_at_us=self._clock.now_us(),
                        process_id=self._process_id,
                        requests=self.public.total_requests,
                    )
                )
        except AuditError as error:
            # The end is then not on record; the next start closes the windows without a count.
            self._telemetry.failed("stop", error)
        await self._resources.aclose()

    async def _keep_house(self) -> None:
        ticks = 0
        while True:
            self._telemetry.standing(
                ready=self._readiness.reason() is None,
                ledger_ready=self._ledger.unready() is None,
                ledger_size=self._ledger.size,
            )
            self._pseudonyms.look()
            try:
                if self._ledger.unready() is None:
                    await self._application.windows.close_past()
                    gone = self._presence.gone()
                    if gone or ticks % _SWEEP_EVERY == 0:
                        await self._sweep(gone)
            except AuditError as error:
                self._telemetry.failed("housekeeping", error)
            ticks += 1
            await asyncio.sleep(_TICK_S)

    async def _sweep(self, gone: frozenset[str]) -> None:
        """What processes of this home that are gone left open is closed at once, what others did after their grace."""
        if await self._application.windows.sweep(self._reader, gone):
            self._presence.forget(gone)


async def start(settings: Settings, environment: Mapping[str, str], metrics: telemetry.Telemetry) -> Running:
    """A worker that is on record as started. Raises `AuditError` or `ServiceError`: then nothing is left running."""
    async with AsyncExitStack() as resources:
        models, decoder = await _inference(settings, resources)
        active = await asyncio.to_thread(released.of, settings, models)
        process_id = uuid4()
        watched = observed.watched(
            settings, version=version(DISTRIBUTION), process_id=process_id, unsent=metrics.unsent, resources=resources
        )
        given, where = environment, ledger_settings.places(environment)
        presence = resources.enter_context(Presence(where.home / "run" / "processes", process_id))
        confidential = await entrusted.secrets_of(given, metrics, resources)
        environment = confidential.environment(given)
        keys = confidential.signing_keys()
        signer = (keys.held() or (signing.load(where.signing_key),))[0]
        remote = publishing.remote_anchors(environment, signer.verifier)
        ledger, reader, log = _ledger(
            environment, (signer, keys), process_id, metrics, resources, tuple(remote.values()), watched
        )
        await ledger.start()
        resources.push_async_callback(ledger.close)
        await _begin_background((environment, given), ledger, signer, remote, process_id, metrics, resources)
        readiness = Readiness(ledger, stale=confidential.stale)
        pseudonyms = entrusted.pseudonyms_of(settings, where.home, confidential, metrics)
        described = lru_cache(1)(lambda key: versions.encode(_version(settings, models, key, active)))
        parts = application.Parts(
            ledger=watched.ledger(ledger),
            log=log,
            infer=watched.infer(decoder, models, _limits(settings)),
            tokens=await entrusted.tokens_of(settings, given, confidential, metrics, resources),
            pseudonyms=pseudonyms,
            telemetry=metrics,
            clock=SystemClock(),
            policy=policy_of(settings),
            process_id=process_id,
            version=lambda: described(ledger.keys.current.key),
            unready=readiness.reason,
            release=active.digest if active is not None else None,
            release_page=active.page if active is not None else None,
            tracing=watched.tracing,
        )
        running = Running(
            settings=settings,
            readiness=readiness,
            presence=presence,
            ledger=ledger,
            reader=reader,
            models=models,
            parts=parts,
            pseudonyms=pseudonyms,
            active=active,
            metrics=metrics,
            resources=resources.pop_all(),
        )
    try:
        await running.begin()
    except BaseException:
        await running.stop()
        raise
    return running


async def _inference(settings: Settings, resources: AsyncExitStack) -> tuple[model_store.ModelStore, ImageDecoder]:
    """The models, and what decodes images for them in processes of its own."""
    models = await asyncio.to_thread(_load_models, settings)
    resources.callback(models.close)
    decoder = ImageDecoder(_decoder_settings(settings))
    resources.push_async_callback(decoder.close)
    await decoder.start()
    return models, decoder


def _ledger(
    environment: Mapping[str, str],
    signing_with: tuple[note.Signer, KeyPlace],
    process_id: UUID,
    metrics: telemetry.Telemetry,
    resources: AsyncExitStack,
    remote: tuple[Anchor, ...],
    watched: observed.Watched,
) -> tuple[Ledger, Reader, Reader]:
    """The ledger, what reads for it, and what the log is served from."""
    signer, keys = signing_with
    knobs, where = ledger_settings.ledger_settings(environment), ledger_settings.places(environment)
    if where.database_url is None or where.reader_url is None:
        raise SettingInvalid("MEDAI_DATABASE_URL: a worker needs one; `medai serve` gives it the embedded PostgreSQL's")
    store = PostgresStore(
        where.database_url,
        connect_timeout_ms=knobs.connect_timeout_ms,
        statement_timeout_ms=knobs.statement_timeout_ms,
        lock_timeout_ms=knobs.lock_timeout_ms,
    )
    resources.push_async_callback(store.close)
    reader = PostgresReader(
        where.reader_url,
        connect_timeout_ms=knobs.connect_timeout_ms,
        statement_timeout_ms=knobs.reader_statement_timeout_ms,
        connections=knobs.reader_connections,
    )
    resources.push_async_callback(reader.close)
    log = PostgresReader(
        where.reader_url,
        connect_timeout_ms=knobs.connect_timeout_ms,
        statement_timeout_ms=knobs.log_statement_timeout_ms,
        connections=knobs.log_connections,
        serves=publishing.served(environment),
    )
    resources.push_async_callback(log.close)
    ledger = Ledger(
        store=watched.store(store),
        reader=reader,
        signer=signer,
        keys=keys,
        second=signing.load_second(where.ml_dsa_key, signer.name, required=where.ml_dsa_required),
        anchor=anchors_configured.Several((FolderAnchor(where.anchors, (signer.verifier,)), *remote)),
        clock=SystemClock(),
        settings=knobs,
        process_id=str(process_id),
        observer=metrics,
        outages=FolderOutages(where.home / "outages"),
    )
    return ledger, reader, log


async def _begin_background(
    environments: tuple[Mapping[str, str], Mapping[str, str]],
    ledger: Ledger,
    signer: note.Signer,
    remote: Mapping[str, Anchor],
    process_id: UUID,
    metrics: telemetry.Telemetry,
    resources: AsyncExitStack,
) -> None:
    """Checkpoints are published and the ledger is audited meanwhile, where it is this worker's turn.

    The environments: this process's own, and what its children are given."""
    environment, given = environments
    await resources.enter_async_context(
        publishing.running(
            environment, signer.verifier, remote, observer=metrics, holder=process_id, forked=ledger.halt
        )
    )
    await resources.enter_async_context(
        watching.running(
            environment,
            lambda: ledger.keys.current.key,
            observer=metrics,
            holder=process_id,
            contradicted=ledger.halt,
            child_environment=given,
        )
    )


def _load_models(settings: Settings) -> model_store.ModelStore:
    shipped = (model_store.BUNDLED,) if settings.shipped_models == "yes" else ()
    return model_store.load((*shipped, *service_settings.model_folders(settings)), runtime_settings(settings))


def runtime_settings(settings: Settings) -> RuntimeSettings:
    return RuntimeSettings(
        inference_threads=settings.inference_threads,
        intra_op_threads=settings.intra_op_threads,
        optimization=settings.optimization,
    )


def _decoder_settings(settings: Settings) -> DecoderSettings:
    return DecoderSettings(
        threads=settings.decoder_threads,
        pool=PoolSettings(workers=settings.decoder_processes, memory_mib=settings.decoder_memory_mib),
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        max_pixels=settings.max_pixels,
        max_frames=settings.max_frames,
        max_inflated_bytes=settings.max_inflated_bytes,
        deadline_ms=settings.decode_deadline_ms,
    )


def policy_of(settings: Settings) -> Policy:
    """The bounds of the HTTP edge that `settings` give."""
    shared = set(Policy.__struct_fields__) & set(Settings.__struct_fields__) - {"trusted_proxies"}
    given = {name: getattr(settings, name) for name in shared}
    return Policy(trusted_proxies=service_settings.proxies(settings), **given)


def _version(
    settings: Settings, models: model_store.ModelStore, key: note.Verifier, active: Active | None
) -> versions.Version:
    runtime = model_store.runtimes(models.all())[0]
    return versions.Version(
        service=DISTRIBUTION,
        version=version(DISTRIBUTION),
        commit=settings.commit,
        release=active.digest if active is not None else "unreleased",
        models=tuple(
            versions.ModelVersion(
                name=model.card.name,
                version=model.card.version,
                sha256=model.card.sha256,
                title=model.card.title,
                notice=model.card.notice,
            )
            for model in models.all()
        ),
        ledger=versions.LedgerVersion(origin=key.name, verifier_key=str(key)),
        runtime=versions.RuntimeVersion(
            name=runtime.name,
            version=runtime.version,
            provider=runtime.provider,
            optimization=runtime.optimization,
            options={
                "inference_threads": str(settings.inference_threads),
                "intra_op_threads": str(settings.intra_op_threads),
                "allow_spinning": "0",
                "execution_mode": "sequential",
            },
        ),
    )
