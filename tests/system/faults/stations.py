"""The steps of `ledger.append` inside the database, each made to wait so that a fault can strike just there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, LiteralString

import psycopg
from msgspec import Struct
from psycopg import AsyncConnection

WRITER: Final = "medai writer"
LIMIT_S: Final = 120.0
POLL_S: Final = 0.01
NOBODY: Final = "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"
EVERYBODY: Final = "ALTER SYSTEM RESET synchronous_standby_names"
RELOAD: Final = "SELECT pg_reload_conf()"


class Station(Struct, frozen=True, kw_only=True):
    """Where an append waits while another transaction has done `hold`; for the last one, until a standby has it."""

    name: str
    hold: LiteralString | None
    records: int = 3
    is_committed: bool = False

    def __str__(self) -> str:
        return self.name


STATIONS: Final = (
    Station(name="takes its turn", hold="SELECT FROM ledger.writer_lock FOR UPDATE"),
    Station(name="reads the last batch", hold="LOCK TABLE ledger.batches IN ACCESS EXCLUSIVE MODE"),
    Station(name="looks for its ids", hold="LOCK TABLE ledger.records IN ACCESS EXCLUSIVE MODE"),
    Station(name="inserts its records", hold="LOCK TABLE ledger.records IN SHARE MODE"),
    # 256 records complete a tile wherever they begin.
    Station(name="inserts a tile", hold="LOCK TABLE ledger.nodes IN SHARE MODE", records=256),
    Station(name="inserts its batch", hold="LOCK TABLE ledger.batches IN SHARE MODE"),
    Station(name="waits for the standby", hold=None, is_committed=True),
)


@asynccontextmanager
async def held(station: Station, admin_url: str) -> AsyncIterator[None]:
    """While the block runs, an append gets as far as `station` and no further, if the server lives that long."""
    if station.hold is None:
        await _set(admin_url, NOBODY)
        try:
            await _commits_wait(admin_url)
            yield
        finally:
            await _set(admin_url, EVERYBODY)
        return
    connection = await AsyncConnection.connect(admin_url)
    try:
        await connection.execute(station.hold)
        yield
    finally:
        await connection.close()


async def waiting(admin_url: str, but: tuple[int, ...] = ()) -> int:
    """The process id of the server process that an append waits in, as soon as there is one other than `but`."""
    query = """
        SELECT pid FROM pg_stat_activity WHERE application_name = %s AND query LIKE '%%ledger.append%%'
        AND state = 'active' AND (wait_event_type = 'Lock' OR wait_event = 'SyncRep') AND pid <> ALL (%s)
    """
    async with asyncio.timeout(LIMIT_S), await AsyncConnection.connect(admin_url, autocommit=True) as connection:
        while True:
            found = await (await connection.execute(query, (WRITER, list(but)))).fetchone()
            if found is not None:
                return int(found[0])
            await asyncio.sleep(POLL_S)


async def answering(admin_url: str) -> None:
    """Returns once the server takes connections: after a crash, once it has recovered."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                await (await AsyncConnection.connect(admin_url)).close()
                return
            except psycopg.OperationalError:
                await asyncio.sleep(POLL_S)


async def _commits_wait(admin_url: str) -> None:
    """Returns once a commit waits for the standby: a process of the server heeds the setting in its own time."""
    waits = "SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event = 'SyncRep'"
    probe = "SELECT pg_logical_emit_message(true, 'test', 'a commit that writes')"
    async with (
        asyncio.timeout(LIMIT_S),
        await AsyncConnection.connect(admin_url, autocommit=True) as asking,
        await AsyncConnection.connect(admin_url, autocommit=True) as writing,
    ):
        committing = asyncio.create_task(writing.execute(probe))
        while (await asking.execute(waits, (writing.info.backend_pid,))).rowcount == 0:
            if committing.done():
                committing = asyncio.create_task(writing.execute(probe))
            await asyncio.sleep(POLL_S)
        await asking.execute("SELECT pg_cancel_backend(%s)", (writing.info.backend_pid,))
        await committing


async def _set(admin_url: str, statement: LiteralString) -> None:
    await answering(admin_url)
    async with await AsyncConnection.connect(admin_url, autocommit=True) as connection:
        await connection.execute(statement)
        await connection.execute(RELOAD)
