"""Another client begins and sits there, or the wire falls silent: the ledger goes on, or it refuses and recovers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import psycopg
import pytest
from psycopg import AsyncConnection, conninfo

from audit.postgres.connections import Limits, target
from audit.postgres.embedded import Cluster
from audit.postgres.store import APPEND
from audit.record import encode as encoded
from audit.record import event_uuid
from tests.system.faults import log as logs
from tests.system.faults.conversation import APPENDING, CONNECTING, Place, places
from tests.system.faults.log import QUICK, WHOLE, Log
from tests.system.faults.proxy import Fate, Passage, Proxy, pass_all
from tests.system.faults.stations import WRITER

PATIENT = msgspec.structs.replace(QUICK, connect_timeout_ms=300, statement_timeout_ms=500, lock_timeout_ms=300)
"""Callers wait until the fault has passed."""
HURRIED = msgspec.structs.replace(PATIENT, append_deadline_ms=1_500)
"""Callers are refused while it lasts."""
SETTLED = msgspec.structs.replace(QUICK, connect_timeout_ms=30_000, statement_timeout_ms=30_000, lock_timeout_ms=30_000)
"""Nothing is given up: who would be kept waiting here would be kept."""
LIMIT_S = 120.0
SLOTS = 100
"""PostgreSQL's max_connections unless it is set; a few of them are for the superuser."""


class Scene:
    """A ledger in use, behind a wire."""

    def __init__(self, database: Cluster, folder: Path, settings=PATIENT) -> None:
        self.database = database
        self.log = Log(folder, database.reader_url)
        self.wire = Proxy(database.secrets.socket_folder)
        url = conninfo.make_conninfo(database.writer_url, host=str(self.wire.folder))
        self.store = logs.store(url, settings)
        self.ledger = self.log.ledger(self.store, settings=settings)

    async def begin(self) -> None:
        await self.wire.__aenter__()
        await self.log.begin(self.store)
        await self.ledger.start()
        await self.log.append(self.ledger, 1)

    async def end(self) -> None:
        await self.ledger.close()
        await self.store.close()
        await self.log.close()
        await self.wire.__aexit__()

    async def holder(self, url: str) -> AsyncConnection:
        """A client that has appended in a transaction, and has not committed: nobody else can."""
        connection = await AsyncConnection.connect(url)
        entry = logs.entry()
        await connection.execute(APPEND, (1, [event_uuid(entry)], [encoded(entry)]))
        return connection

    async def writers_are_gone(self) -> None:
        """No server process serves the ledger any more, and its connections are free."""
        query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"
        async with (
            asyncio.timeout(LIMIT_S),
            await AsyncConnection.connect(self.database.admin_url, autocommit=True) as connection,
        ):
            while (await connection.execute(query, (WRITER,))).rowcount > 0:
                await asyncio.sleep(0.01)

    async def recovers(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            while await self.log.try_to_append(self.ledger, 1):
                await asyncio.sleep(0.02)


@pytest.fixture
def story(database, tmp_path) -> Callable[..., None]:
    def run(test: Callable[[Scene], Awaitable[None]], settings=PATIENT) -> None:
        async def whole() -> None:
            scene = Scene(database, tmp_path, settings)
            await scene.begin()
            try:
                async with asyncio.timeout(2 * LIMIT_S):
                    await test(scene)
            finally:
                await scene.end()

        asyncio.run(whole())

    return run


def test_a_client_that_begins_and_sits_keeps_nobody_from_writing(story):
    async def test(scene: Scene) -> None:
        async with await AsyncConnection.connect(scene.database.admin_url) as sitting:
            await sitting.execute("SELECT FROM ledger.records")
            assert await scene.log.try_to_append(scene.ledger, 3) == 0
            assert await scene.log.account() == WHOLE

    story(test, SETTLED)


def test_a_client_that_holds_the_lock_is_ended_by_its_own_timeout(story):
    async def test(scene: Scene) -> None:
        limits = Limits(connections=1, connect_timeout_ms=1_000, statement_timeout_ms=600, lock_timeout_ms=600)
        sitting = await scene.holder(target(scene.database.writer_url, limits, application_name="sitting"))
        await scene.log.append(scene.ledger, 3)
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            await sitting.execute("SELECT 1")
        await sitting.close()
        assert await scene.log.account() == WHOLE

    story(test)


def test_a_writer_that_sets_no_timeout_has_one_all_the_same(cluster):
    with psycopg.connect(cluster.writer_url) as connection:
        assert connection.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("5s",)


def test_while_a_client_holds_the_lock_callers_are_refused_in_time(story):
    async def test(scene: Scene) -> None:
        sitting = await scene.holder(scene.database.admin_url)
        assert await scene.log.try_to_append(scene.ledger, 3) == 3
        await sitting.close()

    story(test, HURRIED)


def test_a_client_that_held_the_lock_costs_no_record(story):
    async def test(scene: Scene) -> None:
        sitting = await scene.holder(scene.database.admin_url)
        await scene.log.try_to_append(scene.ledger, 3)
        await sitting.close()
        await scene.recovers()
        assert await scene.log.account() == WHOLE

    story(test, HURRIED)


async def drop_all(passage: Passage) -> Fate:
    """A wire that leads nowhere."""
    return "drop before"


@asynccontextmanager
async def every_slot_taken(url: str) -> AsyncIterator[None]:
    """Clients that connect and sit, until the server takes no more of them."""
    async with AsyncExitStack() as sitting:
        with contextlib.suppress(psycopg.OperationalError):
            for _ in range(SLOTS):
                await sitting.enter_async_context(await AsyncConnection.connect(url, autocommit=True))
            raise AssertionError(f"the server took {SLOTS} connections more")
        yield


def test_clients_that_take_every_connection_do_not_take_those_that_are_open(story):
    async def test(scene: Scene) -> None:
        async with every_slot_taken(scene.database.reader_url):
            assert await scene.log.try_to_append(scene.ledger, 3) == 0

    story(test, SETTLED)


def test_clients_that_take_every_connection_have_callers_refused_and_cost_no_record(story):
    async def test(scene: Scene) -> None:
        async with every_slot_taken(scene.database.reader_url):
            scene.wire.judge = drop_all
            scene.wire.cut()
            await scene.writers_are_gone()
            async with every_slot_taken(scene.database.reader_url):  # those that this gave free as well
                scene.wire.judge = pass_all
                assert await scene.log.try_to_append(scene.ledger, 3) == 3
        await scene.recovers()
        assert await scene.log.account() == WHOLE

    story(test, HURRIED)


class Silence:
    """A judge that stops at one message until the ledger has given up on it, and then lets it pass."""

    def __init__(self, scene: Scene, place: Place) -> None:
        self._scene, self._place = scene, place
        self.silences = 0

    async def __call__(self, passage: Passage) -> Fate:
        if not self.silences and passage.at == (self._place.side, self._place.name, self._place.nth):
            self.silences += 1
            codes = self._scene.log.events.codes
            before = codes.count("unavailable")
            while codes.count("unavailable") == before:
                await asyncio.sleep(0.01)
        return "pass"


CONVERSATION = places(CONNECTING + APPENDING)
SILENT = [place for place in CONVERSATION if place.name in ("StartupMessage", "Execute", "Sync", "DataRow")]


@pytest.mark.parametrize("place", [*SILENT, CONVERSATION[-1]], ids=str)
def test_a_wire_that_falls_silent_at_a_message_costs_no_record(story, place):
    async def test(scene: Scene) -> None:
        scene.wire.cut()
        scene.wire.judge = silence = Silence(scene, place)
        await scene.log.append(scene.ledger, 3)
        scene.wire.judge = pass_all
        assert (silence.silences, await scene.log.account()) == (1, WHOLE)

    story(test)
