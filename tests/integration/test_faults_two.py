"""Two services start at once, on one database: it becomes one ledger, or goes on as one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from psycopg import AsyncConnection

from audit import genesis
from audit.acceptance import genesis_of
from audit.clock import SystemClock
from audit.errors import LedgerExists
from audit.ledger import Ledger
from audit.postgres.embedded import Cluster
from audit.postgres.store import APPEND
from audit.record import Genesis, encode, event_uuid
from tests.system.faults import log as logs
from tests.system.faults.log import WHOLE, Log

LIMIT_S = 120.0
UNSIGNED = 3
WAITING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def story(database, tmp_path) -> Callable[[Callable[[Cluster, Log], Awaitable[None]]], None]:
    def run(test: Callable[[Cluster, Log], Awaitable[None]]) -> None:
        async def whole() -> None:
            log = Log(tmp_path, database.reader_url)
            try:
                async with asyncio.timeout(LIMIT_S):
                    await test(database, log)
            finally:
                await log.close()

        asyncio.run(whole())

    return run


async def begun_at_once(database: Cluster, log: Log) -> list[object]:
    """What came of two that both found the ledger empty, and then both wrote its record 0."""

    async def begin() -> Genesis:
        store = logs.store(database.writer_url)
        try:
            return await genesis.initialise(store, log.reader, log.signer, SystemClock())
        finally:
            await store.close()

    async with (
        await AsyncConnection.connect(database.admin_url) as holding,
        await AsyncConnection.connect(database.admin_url, autocommit=True) as looking,
    ):
        await holding.execute("SELECT FROM ledger.writer_lock FOR UPDATE")
        both = [asyncio.create_task(begin()) for _ in range(2)]
        while (await looking.execute(WAITING)).rowcount < 2:
            await asyncio.sleep(0.01)
        await holding.rollback()
        return list(await asyncio.gather(*both, return_exceptions=True))


def test_of_two_that_begin_a_ledger_at_once_one_does_and_the_other_is_told(story):
    async def test(database: Cluster, log: Log) -> None:
        kinds = {type(one) for one in await begun_at_once(database, log)}
        assert kinds == {Genesis, LedgerExists}

    story(test)


def test_a_ledger_that_two_began_at_once_is_the_one_that_was_begun(story):
    async def test(database: Cluster, log: Log) -> None:
        (begun,) = [one for one in await begun_at_once(database, log) if isinstance(one, Genesis)]
        assert await genesis_of(log.reader) == begun

    story(test)


def test_two_that_start_at_once_on_a_new_ledger_write_one_log(story):
    async def test(database: Cluster, log: Log) -> None:
        await begun_at_once(database, log)
        await write_from_two(database, log)
        assert await log.account() == WHOLE

    story(test)


def test_two_that_start_at_once_after_a_crash_write_one_log(story):
    async def test(database: Cluster, log: Log) -> None:
        await begun_at_once(database, log)
        await leave_unsigned(database)
        await write_from_two(database, log)
        assert await log.account() == WHOLE

    story(test)


def test_what_a_crash_left_unsigned_is_anchored_once_two_have_started_at_once(story):
    async def test(database: Cluster, log: Log) -> None:
        await begun_at_once(database, log)
        await leave_unsigned(database)
        async with two_started(database, log):
            newest = log.anchor.newest()
        assert newest is not None
        assert newest.size == 1 + UNSIGNED

    story(test)


async def leave_unsigned(database: Cluster) -> None:
    """A batch that is durable and that nobody was told of."""
    entries = [logs.entry() for _ in range(UNSIGNED)]
    async with await AsyncConnection.connect(database.writer_url, autocommit=True) as connection:
        await connection.execute(APPEND, (1, [event_uuid(one) for one in entries], [encode(one) for one in entries]))


async def write_from_two(database: Cluster, log: Log) -> None:
    """Both start at once, and both append at once."""
    async with two_started(database, log) as ledgers:
        await asyncio.gather(*(log.append(ledger, 1) for _ in range(20) for ledger in ledgers))


@asynccontextmanager
async def two_started(database: Cluster, log: Log) -> AsyncIterator[list[Ledger]]:
    stores = [logs.store(database.writer_url) for _ in range(2)]
    ledgers = [log.ledger(store) for store in stores]
    try:
        await asyncio.gather(*(ledger.start() for ledger in ledgers))
        yield ledgers
    finally:
        for ledger in ledgers:
            await ledger.close()
        for store in stores:
            await store.close()
