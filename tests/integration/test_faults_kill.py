"""kill -9 of the appending process at every message of its append: whoever starts next finds a whole log."""

import asyncio
import os
from collections.abc import Iterator
from signal import SIGKILL

import pytest
from msgspec import Struct
from psycopg import AsyncConnection, conninfo

from audit.postgres.embedded import Cluster
from tests.system.faults import log as logs
from tests.system.faults.conversation import APPENDING, CONNECTING, Place, places
from tests.system.faults.log import WHOLE, Account, Log
from tests.system.faults.mortal import Mortals, mortals
from tests.system.faults.proxy import Fate, Passage, Proxy, pass_all

COUNT = 3
LIMIT_S = 120.0
WHILE_CONNECTING, WHILE_APPENDING = (
    places(CONNECTING + APPENDING)[: len(CONNECTING)],
    places(CONNECTING + APPENDING)[len(CONNECTING) :],
)
OF_THE_CLIENT = [place for place in WHILE_APPENDING if place.side == "client"]
OF_THE_SERVER = [place for place in WHILE_APPENDING if place.side == "server"]
FATES: tuple[Fate, ...] = ("drop before", "pass")
"""What becomes of the message at which the process dies; of those that it had sent before, all arrive."""


class Killed(Struct, frozen=True, kw_only=True):
    """What a process left that was killed, after the next one has appended a record."""

    signal: int
    given: int
    """Receipts that it had handed out."""
    durable: int
    """Records of its that are in the database."""
    account: Account


class Killer:
    """A judge that kills whoever it is told, at one message."""

    def __init__(self, place: Place, fate: Fate) -> None:
        self._place, self._fate = place, fate
        self.victim: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.backend: int | None = None

    async def __call__(self, passage: Passage) -> Fate:
        if passage.at != (self._place.side, self._place.name, self._place.nth):
            return "pass"
        self.backend = passage.connection.backend_pid
        os.kill(await self.victim, SIGKILL)
        return self._fate


class Mortality:
    """A log whose processes are killed one after the other, with a loop that runs while a test does."""

    def __init__(self, runner: asyncio.Runner, log: Log, wire: Proxy, database: Cluster, forge: Mortals) -> None:
        self._runner, self._log, self._wire, self._database, self._forge = runner, log, wire, database, forge
        self._urls = {
            "wire_url": conninfo.make_conninfo(database.writer_url, host=str(wire.folder)),
            "writer_url": database.writer_url,
            "reader_url": database.reader_url,
        }

    def killed(self, place: Place, fate: Fate) -> Killed:
        return self._runner.run(self._killed(place, fate))

    async def _killed(self, place: Place, fate: Fate) -> Killed:
        before = (await self._log.reader.head()).size
        self._wire.judge = killer = Killer(place, fate)
        killer.victim.set_result(await self._forge.begin(**self._urls, count=COUNT))
        given, signal = await self._forge.last_words()
        self._wire.judge = pass_all
        self._log.held += given
        await self._ended(killer.backend)
        durable = (await self._log.reader.head()).size - before
        await self._append_as_the_next()
        return Killed(signal=signal, given=len(given), durable=durable, account=await self._log.account())

    async def _append_as_the_next(self) -> None:
        store = logs.store(self._database.writer_url)
        ledger = self._log.ledger(store)
        await ledger.start()
        await self._log.append(ledger, 1)
        await ledger.close()
        await store.close()

    async def _ended(self, backend: int | None) -> None:
        """The server process that served the dead one has done what it was told."""
        query = "SELECT FROM pg_stat_activity WHERE pid = %s"
        async with (
            asyncio.timeout(LIMIT_S),
            await AsyncConnection.connect(self._database.admin_url, autocommit=True) as connection,
        ):
            while (await connection.execute(query, (backend,))).rowcount:
                await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
def mortality(module_database, tmp_path_factory) -> Iterator[Mortality]:
    folder = tmp_path_factory.mktemp("mortality") / "log"
    with asyncio.Runner() as runner:
        log = Log(folder, module_database.reader_url)
        wire = Proxy(module_database.secrets.socket_folder)
        forge = runner.run(mortals(folder))

        async def begin() -> None:
            await wire.__aenter__()
            store = logs.store(module_database.writer_url)
            await log.begin(store)
            await store.close()

        async def end() -> None:
            await forge.end()
            await log.close()
            await wire.__aexit__()

        runner.run(begin())
        yield Mortality(runner, log, wire, module_database, forge)
        runner.run(end())


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("place", WHILE_CONNECTING, ids=str)
def test_a_process_killed_while_it_connects_leaves_nothing_behind(mortality, place, fate):
    found = mortality.killed(place, fate)
    assert found == Killed(signal=SIGKILL, given=0, durable=0, account=WHOLE)


@pytest.mark.parametrize("place", OF_THE_CLIENT, ids=str)
def test_a_process_killed_before_it_has_sent_its_batch_leaves_nothing_behind(mortality, place):
    found = mortality.killed(place, "drop before")
    assert found == Killed(signal=SIGKILL, given=0, durable=0, account=WHOLE)


@pytest.mark.parametrize("place", OF_THE_CLIENT, ids=str)
def test_the_batch_of_a_process_that_is_killed_once_it_was_sent_is_durable_and_signed_by_the_next(mortality, place):
    found = mortality.killed(place, "pass")
    assert found == Killed(signal=SIGKILL, given=0, durable=COUNT, account=WHOLE)


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("place", OF_THE_SERVER, ids=str)
def test_the_batch_of_a_process_that_is_killed_at_the_answer_is_durable_and_signed_by_the_next(mortality, place, fate):
    found = mortality.killed(place, fate)
    assert found == Killed(signal=SIGKILL, given=0, durable=COUNT, account=WHOLE)
