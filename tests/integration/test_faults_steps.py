"""A fault at each step of `ledger.append` inside the database: what is acknowledged stays, and stays once."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

import msgspec
import pytest
from psycopg import AsyncConnection, conninfo

from audit.postgres import embedded, migrate
from tests.system import processes
from tests.system.faults import log as logs
from tests.system.faults.log import QUICK, WHOLE, Account, Log
from tests.system.faults.proxy import Proxy
from tests.system.faults.stations import LIMIT_S, POLL_S, STATIONS, Station, held, waiting

PAUSE_S = 2.0
"""Longer than a statement may take, and than the client's own patience besides."""
SETTINGS = msgspec.structs.replace(QUICK, statement_timeout_ms=600, lock_timeout_ms=400)


class Stepped:
    """A ledger in use on a server of its own, behind a wire, with a loop that runs while a test does."""

    def __init__(self, runner: asyncio.Runner, home: Path, folder: Path) -> None:
        self.run = runner.run
        self.home = home
        self.cluster = embedded.start(home)
        migrate.upgrade(self.cluster.admin_url)
        self.wire = Proxy(self.cluster.secrets.socket_folder)
        self.log = Log(folder, self.cluster.reader_url)
        behind_wire = conninfo.make_conninfo(self.cluster.writer_url, host=str(self.wire.folder))
        self.store = logs.store(behind_wire, SETTINGS)
        self.ledger = self.log.ledger(self.store, settings=SETTINGS)

    async def begin(self) -> None:
        await self.wire.__aenter__()
        await self.log.begin(self.store)
        await self.ledger.start()

    async def end(self) -> None:
        await self.ledger.close()
        await self.store.close()
        await self.log.close()
        await self.wire.__aexit__()

    async def struck(self, station: Station, fault: "Fault") -> tuple[bool, Account]:
        """Whether `fault` at `station` had somebody told of a record that was not to be told yet; and the account."""
        self.cluster = await asyncio.to_thread(embedded.start, self.home)  # whatever became of it in the last test
        async with held(station, self.cluster.admin_url):
            noticed = self.log.events.codes.count("unavailable")
            appending = asyncio.create_task(self.log.append(self.ledger, station.records))
            await fault(self, await waiting(self.cluster.admin_url))
            async with asyncio.timeout(LIMIT_S):
                while not appending.done() and self.log.events.codes.count("unavailable") == noticed:
                    await asyncio.sleep(POLL_S)
            told_early = station.is_committed and appending.done()
        await appending
        return told_early, await self.log.account()


Fault = Callable[[Stepped, int], Awaitable[None]]


async def cancel(stepped: Stepped, backend: int) -> None:
    await _as_admin(stepped, f"SELECT pg_cancel_backend({backend})")


async def terminate(stepped: Stepped, backend: int) -> None:
    await _as_admin(stepped, f"SELECT pg_terminate_backend({backend})")


async def cut_the_wire(stepped: Stepped, backend: int) -> None:
    stepped.wire.cut()


async def kill_the_server_process(stepped: Stepped, backend: int) -> None:
    """PostgreSQL then ends all the others as well, and recovers."""
    os.kill(backend, SIGKILL)


async def kill_the_postmaster(stepped: Stepped, backend: int) -> None:
    database = processes.tree(stepped.cluster.pid)
    os.kill(stepped.cluster.pid, SIGKILL)
    assert await asyncio.to_thread(processes.are_gone, database, LIMIT_S)
    stepped.cluster = await asyncio.to_thread(embedded.start, stepped.home)


async def pause_the_database(stepped: Stepped, backend: int) -> None:
    database = processes.tree(stepped.cluster.pid)
    processes.send(SIGSTOP, database)
    try:
        await asyncio.sleep(PAUSE_S)
    finally:
        processes.send(SIGCONT, database)


async def sit_there(stepped: Stepped, backend: int) -> None:
    """Whoever holds what the append waits for goes on holding it."""


FAULTS = (
    cancel,
    terminate,
    cut_the_wire,
    kill_the_server_process,
    kill_the_postmaster,
    pause_the_database,
    sit_there,
)


async def _as_admin(stepped: Stepped, query: str) -> None:
    async with await AsyncConnection.connect(stepped.cluster.admin_url, autocommit=True) as connection:
        await connection.execute(query.encode())


@pytest.fixture(scope="module")
def stepped(tmp_path_factory) -> Iterator[Stepped]:
    folder = tmp_path_factory.mktemp("stepped")
    with asyncio.Runner() as runner:
        try:
            found = Stepped(runner, folder / "server", folder / "log")
            runner.run(found.begin())
            yield found
            runner.run(found.end())
        finally:
            embedded.stop(folder / "server")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("station", STATIONS, ids=str)
def test_a_fault_at_a_step_of_an_append_costs_no_record(stepped, station, fault):
    assert stepped.run(stepped.struck(station, fault)) == (False, WHOLE)
