"""A worker's part in the self-audit: of all, whoever's turn it is verifies the ledger in a process of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from audit.look import ChildEyes
from audit.note import Verifier
from audit.postgres.store import PostgresStore
from audit.settings import ledger_settings, places, watch_settings
from audit.watch import Turn, Watch, WatchObserver


@asynccontextmanager
async def running(
    environment: Mapping[str, str],
    key: Callable[[], Verifier],
    *,
    observer: WatchObserver,
    holder: UUID,
    contradicted: Callable[[str], None],
    child_environment: Mapping[str, str] | None = None,
) -> AsyncIterator[None]:
    """Watch meanwhile, where it is this worker's turn. Raises `SettingInvalid` before anything is looked at.

    The child logs in to the database by itself: what this process holds for that is not in `child_environment`, which
    is `environment` where this process holds nothing.
    """
    where, knobs, watch = places(environment), ledger_settings(environment), watch_settings(environment)
    if watch.in_service == "no" or where.database_url is None:
        yield
        return
    store = PostgresStore(
        where.database_url,
        connect_timeout_ms=knobs.connect_timeout_ms,
        statement_timeout_ms=knobs.statement_timeout_ms,
        lock_timeout_ms=knobs.lock_timeout_ms,
    )
    work = Watch(
        ChildEyes(child_environment or environment, key),
        interval_s=watch.interval_s,
        whole_interval_s=watch.whole_interval_s,
        observer=observer,
        contradicted=contradicted,
    )
    task = asyncio.create_task(work.run(Turn(store, holder, interval_s=watch.interval_s)))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await store.close()
