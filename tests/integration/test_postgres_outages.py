"""The store while its server dies, hangs, refuses, or is lost in the middle of a commit."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import psycopg
import pytest
from psycopg import conninfo

from audit import merkle
from audit.errors import LedgerUnavailable, SettingInvalid
from audit.postgres import embedded, migrate
from audit.postgres.embedded import Cluster
from audit.postgres.reader import PostgresReader
from audit.postgres.store import APPEND, PostgresStore

pytestmark = pytest.mark.anyio

END_READERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'medai reader'"


@pytest.fixture(scope="module")
def fragile(tmp_path_factory):
    """A server of this module's own, to be killed and stopped: its home."""
    home = tmp_path_factory.mktemp("fragile")
    migrate.upgrade(embedded.start(home).admin_url)
    yield home
    embedded.stop(home)


@pytest.fixture
def server(fragile: Path, entries) -> Cluster:
    """It runs, and its ledger has a record 0."""
    cluster = embedded.start(fragile)
    with psycopg.connect(cluster.writer_url) as connection:
        (size,) = connection.execute("SELECT size FROM ledger.ready()").fetchone() or (0,)
        if size == 0:
            connection.execute(APPEND, (0, *entries.sent(entries.genesis())))
    return cluster


@pytest.fixture
async def store(server) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(server.writer_url, connect_timeout_ms=2_000, statement_timeout_ms=1_000, lock_timeout_ms=500)
    yield store
    await store.close()


async def size_of(cluster: Cluster) -> int:
    reader = PostgresReader(cluster.reader_url)
    head = await reader.head()
    await reader.close()
    return head.size


@pytest.mark.verifies("REQ-DEP-015")
async def test_without_a_server_every_call_says_unavailable(store, fragile, entries):
    embedded.stop(fragile)
    with pytest.raises(LedgerUnavailable):
        await store.append(1, *entries.batch(1))
    with pytest.raises(LedgerUnavailable):
        await store.ready()
    with pytest.raises(LedgerUnavailable):
        await store.publish(1, b"signed")


async def test_without_a_server_a_reader_says_unavailable(server, fragile):
    reader = PostgresReader(server.reader_url)
    embedded.stop(fragile)
    with pytest.raises(LedgerUnavailable):
        await reader.head()
    with pytest.raises(LedgerUnavailable):
        [row async for row in reader.rows(0, 10, 5)]
    await reader.close()


async def test_a_verification_whose_connection_is_ended_says_unavailable(server, store, entries):
    await store.append(await size_of(server), *entries.batch(1))
    reader = PostgresReader(server.reader_url)

    async def read_on() -> None:
        async for _ in reader.tiles(0, 1 << 40, ()):  # longer than it takes to be ended
            with psycopg.connect(server.admin_url, autocommit=True) as admin:
                admin.execute(END_READERS)

    with pytest.raises(LedgerUnavailable):
        await read_on()
    await reader.close()


@pytest.mark.verifies("REQ-DEP-015")
async def test_a_server_that_is_back_is_used_at_the_next_call(store, fragile, entries):
    size = (await store.ready()).size
    embedded.stop(fragile)
    with pytest.raises(LedgerUnavailable):
        await store.append(size, *entries.batch(1))
    embedded.start(fragile)
    assert (await store.append(size, *entries.batch(1))).first == size


async def test_a_restart_between_two_calls_goes_unnoticed(store, fragile, entries):
    size = (await store.ready()).size
    embedded.stop(fragile)
    embedded.start(fragile)
    assert (await store.append(size, *entries.batch(1))).first == size


@pytest.mark.verifies("REQ-LED-027")
async def test_what_was_acknowledged_before_a_kill_is_there_after_it(store, server, fragile, entries):
    size = (await store.ready()).size
    ids, bodies = entries.batch(3)
    answer = await store.append(size, ids, bodies)
    os.kill(server.pid, signal.SIGKILL)
    again = embedded.start(fragile)
    assert again.pid != server.pid
    assert await size_of(again) == answer.first + 3
    assert await store.append(size, ids, bodies) == answer


async def test_an_append_that_waits_too_long_for_its_turn_says_unavailable(store, server, entries):
    size = (await store.ready()).size
    with psycopg.connect(server.writer_url) as other:
        other.execute(APPEND, (size, *entries.batch(1)))
        with pytest.raises(LedgerUnavailable):
            await store.append(size, *entries.batch(1))
        other.rollback()
    assert (await store.append(size, *entries.batch(1))).first == size


@pytest.mark.verifies("REQ-DEP-015")
async def test_a_server_that_no_longer_answers_is_given_up(store, server, entries):
    size = (await store.ready()).size
    with psycopg.connect(server.admin_url, autocommit=True) as connection:
        query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'medai writer'"
        frozen = [server.pid, *(pid for (pid,) in connection.execute(query))]
    batch = entries.batch(1)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(LedgerUnavailable):
            await store.append(size, *batch)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert (await store.append(size, *batch)).first == size


async def test_a_host_that_takes_connections_and_says_nothing_is_given_up(entries):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = PostgresStore(f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/x", connect_timeout_ms=200)
        with pytest.raises(LedgerUnavailable):
            await store.append(0, *entries.batch(1))
        await store.close()


async def test_more_callers_than_connections_wait_for_each_other(server, entries):
    reader = PostgresReader(server.reader_url, connections=2)
    sizes = {head.size for head in await asyncio.gather(*(reader.head() for _ in range(20)))}
    assert len(sizes) == 1
    await reader.close()


async def test_a_cancelled_call_leaves_the_store_usable(store, server, entries):
    size = (await store.ready()).size
    with psycopg.connect(server.writer_url) as other:
        other.execute(APPEND, (size, *entries.batch(1)))
        waiting = asyncio.create_task(store.append(size, *entries.batch(1)))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        other.rollback()
    assert (await store.append(size, *entries.batch(1))).first == size


@pytest.mark.verifies("REQ-DEP-015")
async def test_a_database_that_takes_no_writes_is_unavailable(store, server, entries):
    with psycopg.connect(server.admin_url, autocommit=True) as connection:
        connection.execute("ALTER ROLE medai_writer SET default_transaction_read_only = on")
        try:
            with pytest.raises(LedgerUnavailable):
                await store.append(0, *entries.batch(1))
        finally:
            connection.execute("ALTER ROLE medai_writer RESET default_transaction_read_only")


async def test_a_wrong_password_is_unavailable_and_is_not_repeated_in_the_words(server, entries):
    wrong = conninfo.make_conninfo(server.writer_url, password="not the password")
    store = PostgresStore(wrong)
    with pytest.raises(LedgerUnavailable) as caught:
        await store.ready()
    assert "not the password" not in str(caught.value)


async def test_a_database_without_the_schema_names_the_remedy(server):
    store = PostgresStore(msgspec.structs.replace(server, database="postgres").admin_url)
    with pytest.raises(LedgerUnavailable, match="medai migrate"):
        await store.ready()
    await store.close()


async def test_a_login_without_the_role_names_the_remedy(server, entries):
    store = PostgresStore(server.reader_url)
    with pytest.raises(LedgerUnavailable, match="ledger_writer"):
        await store.append(0, *entries.batch(1))
    await store.close()


async def test_a_url_that_is_none_is_a_wrong_setting():
    with pytest.raises(SettingInvalid):
        PostgresStore("postgresql://[")


async def test_a_record_s_own_words_are_not_in_the_error_that_refuses_it(store, entries):
    ids, (body,) = entries.batch(1)
    with pytest.raises(Exception, match="SQLSTATE") as caught:
        await store.append(1, ids, [body.replace(b'"recorded_at_us":2', b'"recorded_at_us":"Jane Doe"')])
    assert "Jane" not in str(caught.value)


class Wire:
    """A proxy before the server's socket that can cut a connection once the server has answered."""

    def __init__(self, folder: Path, behind: str) -> None:
        self.folder, self._behind = folder, f"{behind}/.s.PGSQL.5432"
        self.cutting = False

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_unix_server(self._carry, f"{self.folder}/.s.PGSQL.5432")
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(self._behind)
        asking = asyncio.create_task(self._pass(reader, server_writer))
        while data := await server_reader.read(65_536):
            if self.cutting:
                break  # the server has committed, and nobody will hear of it
            writer.write(data)
        asking.cancel()
        writer.close()
        server_writer.close()

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()


@pytest.mark.verifies("REQ-LED-027")
async def test_a_commit_whose_answer_was_lost_is_found_by_trying_the_batch_again(server, entries, tmp_path_factory):
    folder = tmp_path_factory.mktemp("w")
    async with Wire(folder, server.secrets.socket_folder) as wire:
        store = PostgresStore(conninfo.make_conninfo(server.writer_url, host=str(folder)))
        size = (await store.ready()).size
        batch = entries.batch(3)
        wire.cutting = True
        with pytest.raises(LedgerUnavailable):
            await store.append(size, *batch)
        wire.cutting = False
        answer = await store.append(size, *batch)
        await store.close()
    assert answer.first == size
    assert answer.leaves == tuple(merkle.leaf_hash(body) for body in batch[1])
    assert await size_of(server) == size + 3
