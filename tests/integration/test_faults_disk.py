"""A disk is full: under the database's tables, under its write-ahead log, under the anchors; then there is room."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct
from psycopg import AsyncConnection

from audit.ledger import Ledger
from audit.postgres import embedded, migrate, server
from tests.system.faults import log as logs
from tests.system.faults.disks import MIB, Disk, small
from tests.system.faults.log import QUICK, WHOLE, Account, Log

SETTINGS = msgspec.structs.replace(QUICK, append_deadline_ms=1_000)
LIMIT_S = 120.0
BEGUN_BEFORE = 2
"""Rounds of a caller of which the last began after it was found out that a disk is full."""
MEANWHILE = 20
"""Rounds of each caller while a disk is full."""
SEGMENT_BYTES = 16 * MIB
# Uses up the write-ahead log's present file but for a megabyte; the next file has to be made.
USE_UP = f"""
    SELECT pg_logical_emit_message(false, 'test', repeat('x',
        greatest(0, {SEGMENT_BYTES - MIB} - (pg_walfile_name_offset(pg_current_wal_insert_lsn())).file_offset)))
"""


class Full(Struct, frozen=True, kw_only=True):
    """What callers met while a disk was full, and after there was room again."""

    meanwhile: int
    """Receipts handed out while it was full and the ledger knew."""
    after: int
    """Receipts handed out once there was room."""
    account: Account
    log: str
    """What the server said."""


class Scene(Struct, frozen=True, kw_only=True):
    """A log, its database's home, and the small disk that one of them needs."""

    home: Path
    folder: Path
    disk: Disk

    async def played(self, *, leave_bytes: int, callers: int, at_once: int) -> Full:
        cluster = embedded.start(self.home)
        migrate.upgrade(cluster.admin_url)
        log = Log(self.folder, cluster.reader_url)
        store = logs.store(cluster.writer_url)
        ledger = log.ledger(store, settings=SETTINGS)
        await log.begin(store)
        await ledger.start()
        async with await AsyncConnection.connect(cluster.admin_url, autocommit=True) as connection:
            await connection.execute(USE_UP.encode())
        rounds = [0] * callers
        asking = [asyncio.create_task(self._ask(log, ledger, at_once, rounds, who)) for who in range(callers)]
        self.disk.fill(leave_bytes)
        await _until(lambda: "unavailable" in log.events.codes)
        await _more(rounds, BEGUN_BEFORE)  # what was under way when it was found out has its answer
        full = len(log.held)
        await _more(rounds, MEANWHILE)
        before = len(log.held)
        self.disk.free()
        await asyncio.to_thread(embedded.start, self.home)
        await _until(lambda: len(log.held) >= before + callers)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await ledger.close()
        account = await log.account()
        await store.close()
        await log.close()
        said = (self.home / "run" / "postgres.log").read_text(errors="replace")
        return Full(meanwhile=before - full, after=len(log.held) - before, account=account, log=said)

    @staticmethod
    async def _ask(log: Log, ledger: Ledger, at_once: int, rounds: list[int], who: int) -> None:
        while True:
            refused = await log.try_to_append(ledger, at_once)
            rounds[who] += 1
            await asyncio.sleep(0.01 if refused else 0.001)


async def _more(rounds: list[int], count: int) -> None:
    """Each caller has had its answers so many times more."""
    then = list(rounds)
    await _until(lambda: all(now >= before + count for now, before in zip(rounds, then, strict=True)))


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not holds():
            await asyncio.sleep(0.01)


@contextmanager
def playing(folder: Path, size_bytes: int, *, at: str) -> Iterator[Scene]:
    """The small disk is at `folder/at`; the server is stopped, and the disk gone, when the block is left."""
    with small(folder / at, size_bytes) as disk:
        home = folder / "home"
        try:
            yield Scene(home=home, folder=folder / "log", disk=disk)
        finally:
            disk.free()
            embedded.stop(home)


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Full:
    with playing(tmp_path_factory.mktemp("tables"), 160 * MIB, at="home") as scene:
        return asyncio.run(scene.played(leave_bytes=SEGMENT_BYTES + MIB, callers=1, at_once=200))


@pytest.fixture(scope="module")
def ahead(tmp_path_factory) -> Full:
    """The write-ahead log is moved to the small disk, as databases have it."""
    with playing(tmp_path_factory.mktemp("ahead"), 64 * MIB, at="small") as scene:
        embedded.start(scene.home)
        embedded.stop(scene.home)
        data = scene.home / "postgres"
        account = server.account_for(scene.home, data)
        shutil.move(data / "pg_wal", scene.disk.folder / "pg_wal")
        for path in (scene.disk.folder, *scene.disk.folder.rglob("*")):
            shutil.chown(path, account.uid, account.gid)
        (data / "pg_wal").symlink_to(scene.disk.folder / "pg_wal")
        return asyncio.run(scene.played(leave_bytes=0, callers=1, at_once=200))


@pytest.fixture(scope="module")
def anchors(tmp_path_factory) -> Full:
    with playing(tmp_path_factory.mktemp("anchors"), MIB, at="log") as scene:
        return asyncio.run(scene.played(leave_bytes=0, callers=4, at_once=1))


DISKS = ("tables", "ahead", "anchors")


@pytest.mark.parametrize("which", DISKS)
def test_nothing_is_acknowledged_while_a_disk_is_full(which, request):
    assert request.getfixturevalue(which).meanwhile == 0


@pytest.mark.parametrize("which", DISKS)
def test_a_full_disk_costs_no_record(which, request):
    assert request.getfixturevalue(which).account == WHOLE


@pytest.mark.parametrize("which", DISKS)
def test_records_are_taken_again_once_there_is_room(which, request):
    assert request.getfixturevalue(which).after > 0


def test_the_server_lives_on_where_its_tables_have_no_room(tables):
    assert ("No space left" in tables.log, "PANIC" in tables.log) == (True, False)


def test_the_server_dies_where_its_write_ahead_log_has_no_room(ahead):
    assert "PANIC" in ahead.log
