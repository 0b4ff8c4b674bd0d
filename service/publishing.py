"""A worker's part in publishing checkpoints: one worker of all leads, with database connections of its own.

They are its own so that a slow question of the publisher's never stands before an append or a probe.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from audit import anchors_configured, note
from audit.attestation import Served
from audit.ports import Anchor, PublishingObserver
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from audit.publishing_anchors import Source
from audit.settings import ledger_settings, places, publish_settings

CONNECTIONS = 1


def remote_anchors(environment: Mapping[str, str], key: note.Verifier) -> Mapping[str, Anchor]:
    """The anchors beyond the folder. Raises `SettingInvalid`."""
    return anchors_configured.remote(places(environment), publish_settings(environment), (key,), key.name)


def served(environment: Mapping[str, str]) -> Served:
    """Which checkpoint the log serves. Raises `SettingInvalid`."""
    return anchors_configured.served(places(environment))


@asynccontextmanager
async def running(
    environment: Mapping[str, str],
    key: note.Verifier,
    remote: Mapping[str, Anchor],
    *,
    observer: PublishingObserver,
    holder: UUID,
    forked: Callable[[str], None],
) -> AsyncIterator[None]:
    """Publish meanwhile, where this worker leads. Raises `SettingInvalid` before anything is published.

    The folder is the ledger's own to write: each worker anchors to it what it signs, within a second.
    """
    where, knobs, publish = places(environment), ledger_settings(environment), publish_settings(environment)
    policy = anchors_configured.adopted(where, (key,))
    if publish.in_service == "no" or where.database_url is None or where.reader_url is None:
        yield
        return
    store = PostgresStore(
        where.database_url,
        connect_timeout_ms=knobs.connect_timeout_ms,
        statement_timeout_ms=knobs.statement_timeout_ms,
        lock_timeout_ms=knobs.lock_timeout_ms,
    )
    reader = PostgresReader(
        where.reader_url,
        connect_timeout_ms=knobs.connect_timeout_ms,
        statement_timeout_ms=knobs.statement_timeout_ms,
        connections=CONNECTIONS,
    )
    publisher = anchors_configured.publisher(
        publish,
        source=Source(store, reader, key),
        anchors=remote,
        policy=policy,
        observer=observer,
        holder=holder,
        forked=forked,
    )
    if publisher is None:
        yield
        return
    task = asyncio.create_task(publisher.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await store.close()
        await reader.close()
