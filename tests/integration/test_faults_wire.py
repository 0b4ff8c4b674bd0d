"""The connection to PostgreSQL ends before, within and behind every message of an append."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import AsyncConnection, conninfo

from audit.ledger import Ledger
from audit.postgres.embedded import Cluster
from tests.system.faults import log as logs
from tests.system.faults.conversation import APPENDING, CONNECTING, FATES, Once, Place, places, spoken
from tests.system.faults.log import WHOLE, Divided, Log
from tests.system.faults.proxy import Connection, Fate, Proxy, pass_all

MAKING = places(CONNECTING)
FIRST = places(CONNECTING + APPENDING)[len(CONNECTING) :]
LATER = places(APPENDING)
KNOWN = MAKING.index(Place(side="server", name="BackendKeyData", nth=1))
"""From here on a client, and so a test, knows which server process serves it."""
SIZES = (1, 7)
ONE_SIZE = pytest.mark.parametrize("wired", SIZES[:1], indirect=True, ids="{} at once".format)
"""While a connection is made, nothing of a batch has been said."""


class Wired:
    """A ledger in use whose appends pass over a wire, with a loop that runs while a test does."""

    def __init__(
        self,
        runner: asyncio.Runner,
        log: Log,
        ledger: Ledger,
        way: Divided,
        wire: Proxy,
        database: Cluster,
        count: int,
    ) -> None:
        self._runner, self._admin_url, self.count = runner, database.admin_url, count
        self.log, self.wire = log, wire
        self._ledger, self._way = ledger, way
        self._url = _over(wire, database)

    def append(self) -> None:
        """On the connection that the last append left."""
        self._runner.run(self.log.append(self._ledger, self.count))

    def append_anew(self) -> None:
        """On a connection that has still to be made."""

        async def whole() -> None:
            await self._way.appends.close()
            self._way.appends = logs.store(self._url)
            await self.log.append(self._ledger, self.count)

        self._runner.run(whole())

    def arm(self, place: Place, fate: Fate) -> Once:
        """From now on messages are counted from 1 again, on every connection."""
        return self._armed(Once(place, fate))

    def arm_terminate(self, place: Place) -> Once:
        """The same; the connection's server process is gone when the message arrives."""
        return self._armed(Once(place, "pass", self._terminate))

    def _armed(self, once: Once) -> Once:
        for connection in self.wire.connections:
            connection.counts.clear()
        self.wire.judge = once
        return once

    async def _terminate(self, wired: Connection) -> None:
        query = "SELECT pg_terminate_backend(%s, 5000)"
        async with await AsyncConnection.connect(self._admin_url, autocommit=True) as connection:
            await connection.execute(query, (wired.backend_pid,))

    def account(self) -> logs.Account:
        self.wire.judge = pass_all
        return self._runner.run(self.log.account())


@pytest.fixture(scope="module", params=SIZES, ids=lambda count: f"{count} at once")
def wired(request, a_database, tmp_path_factory) -> Iterator[Wired]:
    """A database for each size of a batch: what is verified again and again stays short."""
    with a_database() as database:
        yield from _wired(database, tmp_path_factory.mktemp("wired"), request.param)


def _wired(database: Cluster, folder: Path, count: int) -> Iterator[Wired]:
    log = Log(folder, database.reader_url)
    with asyncio.Runner() as runner:
        wire = Proxy(database.secrets.socket_folder)
        url = conninfo.make_conninfo(database.writer_url, host=str(wire.folder))
        way = Divided(appends=logs.store(url), others=database.writer_url)
        ledger = log.ledger(way)

        async def begin() -> None:
            await wire.__aenter__()
            await log.begin(way)
            await ledger.start()

        async def end() -> None:
            await ledger.close()
            await way.close()
            await log.close()
            await wire.__aexit__()

        runner.run(begin())
        yield Wired(runner, log, ledger, way, wire, database, count)
        runner.run(end())


def _over(wire: Proxy, database: Cluster) -> str:
    return conninfo.make_conninfo(database.writer_url, host=str(wire.folder))


def test_the_conversation_of_an_append_is_the_one_that_is_tried(wired):
    wired.append_anew()
    before = len(wired.wire.connections)
    wired.append()
    last = wired.wire.connections[-1]
    assert (len(wired.wire.connections), spoken(last)) == (before, CONNECTING + APPENDING + APPENDING)


def test_the_records_of_several_callers_are_one_append(wired):
    wired.log.events.batches.clear()
    wired.append()
    assert wired.log.events.batches == [wired.count]


@ONE_SIZE
@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("place", MAKING, ids=str)
def test_a_connection_that_ends_while_it_is_made_costs_no_record(wired, place, fate):
    once = wired.arm(place, fate)
    wired.append_anew()
    assert (once.strikes, wired.account()) == (1, WHOLE)


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("place", FIRST, ids=str)
def test_a_connection_that_ends_at_a_message_of_a_first_append_costs_no_record(wired, place, fate):
    once = wired.arm(place, fate)
    wired.append_anew()
    assert (once.strikes, wired.account()) == (1, WHOLE)


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("place", LATER, ids=str)
def test_a_connection_that_ends_at_a_message_of_a_later_append_costs_no_record(wired, place, fate):
    wired.append()
    once = wired.arm(place, fate)
    wired.append()
    assert (once.strikes, wired.account()) == (1, WHOLE)


@ONE_SIZE
@pytest.mark.parametrize("place", MAKING[KNOWN:], ids=str)
def test_a_server_process_that_is_terminated_while_its_connection_is_made_costs_no_record(wired, place):
    once = wired.arm_terminate(place)
    wired.append_anew()
    assert (once.strikes, wired.account()) == (1, WHOLE)


@pytest.mark.parametrize("place", FIRST, ids=str)
def test_a_server_process_that_is_terminated_at_a_message_of_a_first_append_costs_no_record(wired, place):
    once = wired.arm_terminate(place)
    wired.append_anew()
    assert (once.strikes, wired.account()) == (1, WHOLE)


@pytest.mark.parametrize("place", LATER, ids=str)
def test_a_server_process_that_is_terminated_at_a_message_of_a_later_append_costs_no_record(wired, place):
    wired.append()
    once = wired.arm_terminate(place)
    wired.append()
    assert (once.strikes, wired.account()) == (1, WHOLE)
