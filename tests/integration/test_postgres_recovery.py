"""Closing a log in PostgreSQL for good, and the command that opens the next one beside it."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from audit import genesis, record, signing
from audit.anchors import FolderAnchor
from audit.clock import SystemClock
from audit.errors import LedgerUnavailable, LogClosed
from audit.ledger import Ledger
from audit.postgres import closing, migrate
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from audit.settings import LedgerSettings

SUCCESSOR = "log.example/next"
KEPT, SIGNED = 5, 8
TABLES = ("records", "nodes", "batches", "checkpoints")


@pytest.fixture
async def store(anyio_backend, database, entries) -> AsyncIterator[PostgresStore]:
    """The writer of a ledger of three records."""
    store = PostgresStore(database.writer_url)
    await store.append(0, *entries.sent(entries.genesis()))
    await store.append(1, *entries.batch(2))
    yield store
    await store.close()


@pytest.mark.verifies("REQ-KEY-006")
@pytest.mark.anyio
async def test_a_closed_log_takes_no_record_and_says_who_continues_it(store, database, entries):
    closing.close(database.admin_url, SUCCESSOR)
    with pytest.raises(LogClosed, match=SUCCESSOR):
        await store.append(3, *entries.batch(1))


@pytest.mark.verifies("REQ-KEY-006")
@pytest.mark.anyio
async def test_a_closed_log_takes_no_checkpoint(store, database):
    closing.close(database.admin_url, SUCCESSOR)
    with pytest.raises(LogClosed):
        await store.publish(3, b"a checkpoint")


@pytest.mark.verifies("REQ-KEY-006")
@pytest.mark.anyio
async def test_a_closed_log_is_not_ready_for_anybody(store, database):
    closing.close(database.admin_url, SUCCESSOR)
    with pytest.raises(LogClosed):
        await store.ready()


@pytest.mark.verifies("REQ-KEY-006")
@pytest.mark.anyio
async def test_a_closed_log_can_be_read_to_its_end(store, database):
    closing.close(database.admin_url, SUCCESSOR)
    reader = PostgresReader(database.reader_url)
    try:
        assert [one.index async for one in reader.records(0, 9)] == [0, 1, 2]
    finally:
        await reader.close()


@pytest.mark.verifies("REQ-KEY-006")
@pytest.mark.anyio
async def test_closing_again_changes_nothing(store, database, entries):
    for _ in range(2):
        closing.close(database.admin_url, SUCCESSOR)
    with pytest.raises(LogClosed):
        await store.append(3, *entries.batch(1))


@pytest.mark.verifies("REQ-KEY-006")
@pytest.mark.anyio
async def test_an_append_that_waits_for_its_turn_while_the_log_is_closed_writes_nothing(store, database, entries):
    """Its right to call the function was looked at before."""
    with psycopg.connect(database.admin_url) as holder:
        holder.execute(closing.HOLD)
        closed = asyncio.create_task(asyncio.to_thread(closing.close, database.admin_url, SUCCESSOR))
        await _waiting(database, 1)
        late = asyncio.create_task(store.append(3, *entries.batch(1)))
        await _waiting(database, 2)
    await closed
    with pytest.raises(LogClosed):
        await late
    reader = PostgresReader(database.reader_url)
    try:
        assert (await reader.head()).size == 3
    finally:
        await reader.close()


async def _waiting(database, count: int) -> None:
    """Until so many sessions of the database wait for a lock; the test that waits is bounded in time."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        while connection.execute(waiting).fetchone() != (count,):
            await asyncio.sleep(0.01)


@pytest.mark.verifies("REQ-KEY-006")
@pytest.mark.anyio
async def test_a_migration_leaves_a_closed_log_closed(store, database, entries):
    closing.close(database.admin_url, SUCCESSOR)
    migrate.upgrade(database.admin_url)
    with pytest.raises(LogClosed):
        await store.append(3, *entries.batch(1))


@pytest.mark.anyio
async def test_a_login_without_rights_is_not_told_that_the_log_is_closed(database, entries):
    store = PostgresStore(database.reader_url)
    try:
        with pytest.raises(LedgerUnavailable) as refused:
            await store.append(0, *entries.sent(entries.genesis()))
        assert not isinstance(refused.value, LogClosed)
    finally:
        await store.close()


@pytest.mark.verifies("REQ-KEY-006")
def test_a_database_that_was_never_a_ledger_is_closed_by_being_left_alone(database):
    postgres = conninfo.make_conninfo(database.admin_url, dbname="postgres")
    assert closing.close(postgres, SUCCESSOR) is None


class Place:
    """A log that lost its last records in a database of its own, and its operator's command line."""

    def __init__(self, database, home: Path) -> None:
        self.database = database
        self.home = home
        self.next_name = f"{database.database}_next"
        self.signer = signing.create(home / "keys" / "signing.key", "log.example/lost")

    @property
    def urls(self) -> dict[str, str]:
        return {
            "MEDAI_DATABASE_URL": self.database.writer_url,
            "MEDAI_DATABASE_READER_URL": self.database.reader_url,
            "MEDAI_DATABASE_ADMIN_URL": self.database.admin_url,
        }

    @property
    def next_urls(self) -> dict[str, str]:
        return {name: closing.named(url, self.next_name) for name, url in self.urls.items()}

    def medai(self, *words: str, urls: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "MEDAI_HOME": str(self.home), **(self.urls if urls is None else urls)}
        return subprocess.run(
            [sys.executable, "-m", "service", *words], env=environment, capture_output=True, text=True, timeout=120
        )

    def recover(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return self.medai("audit", "recover", "--into", self.next_name, "--origin", SUCCESSOR, *words)

    async def fill(self, entries) -> None:
        """SIGNED records; the first KEPT of them were anchored before the others came."""
        store, reader = PostgresStore(self.database.writer_url), PostgresReader(self.database.reader_url)
        await genesis.initialise(store, reader, self.signer, SystemClock())
        for size in (KEPT, SIGNED):
            ledger = Ledger(
                store=store, reader=reader, signer=self.signer, anchor=FolderAnchor(self.home / "anchors", ()),
                clock=SystemClock(), settings=LedgerSettings(), process_id=record.new_event_id(),
            )  # fmt: skip
            await ledger.start()
            while ledger.size < size:
                await ledger.append(entries.request(recorded_at_us=SystemClock().now_us()))
            await ledger.close()
        await store.close()
        await reader.close()

    def lose(self, size: int) -> None:
        """As when an older backup is restored."""
        with psycopg.connect(self.database.admin_url) as connection:
            for table in TABLES:
                connection.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL")
            connection.execute("DELETE FROM ledger.records WHERE idx >= %s", (size,))
            connection.execute("DELETE FROM ledger.batches WHERE size > %s", (size,))
            connection.execute("DELETE FROM ledger.checkpoints WHERE size > %s", (size,))
            for table in TABLES:
                connection.execute(f"ALTER TABLE ledger.{table} ENABLE TRIGGER ALL")  # foreign keys' own among them
                for trigger in ("never_change", "never_truncate"):
                    connection.execute(f"ALTER TABLE ledger.{table} ENABLE ALWAYS TRIGGER {trigger}")


@pytest.fixture
def place(database, tmp_path, entries) -> Iterator[Place]:
    with _lost(database, tmp_path, entries) as made:
        yield made


@pytest.fixture(scope="module")
def recovered(module_database, tmp_path_factory, entries) -> Iterator[Place]:
    """One that the command has recovered."""
    with _lost(module_database, tmp_path_factory.mktemp("recovered"), entries) as made:
        assert made.recover().returncode == 0
        yield made


@contextlib.contextmanager
def _lost(database, folder: Path, entries) -> Iterator[Place]:
    made = Place(database, folder)
    asyncio.run(made.fill(entries))
    made.lose(KEPT)
    yield made
    with psycopg.connect(conninfo.make_conninfo(database.admin_url, dbname="postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {made.next_name} WITH (FORCE)")


def test_the_service_does_not_start_on_a_database_that_lost_records_and_names_the_command(place):
    done = place.medai("serve", "--port", "0", "--internal-port", "0")
    assert (done.returncode, "medai audit recover" in done.stderr) == (2, True)


def test_a_dry_run_says_what_is_lost_and_closes_nothing(place):
    done = place.recover("--dry-run")
    assert (done.returncode, "records 5 to 7 are lost" in done.stdout) == (0, True)
    assert place.medai("audit", "recover", "--dry-run").stdout == done.stdout


def test_the_new_log_s_record_0_says_what_the_old_database_proves_and_what_is_lost(recovered):
    shown = recovered.medai("audit", "record", "0", urls=recovered.next_urls).stdout
    continues = json.JSONDecoder().raw_decode(shown)[0]["continues"]
    told = {name: continues[name] for name in ("origin", "size", "anchored_size", "lost_first", "lost_end", "reason")}
    assert told == {
        "origin": "log.example/lost", "size": KEPT, "anchored_size": SIGNED, "lost_first": KEPT, "lost_end": SIGNED,
        "reason": "truncated",
    }  # fmt: skip


def test_the_new_log_is_valid_up_to_its_anchor_at_once(recovered):
    assert recovered.medai("audit", "verify", urls=recovered.next_urls).returncode == 0


def test_the_old_log_is_still_verified_and_the_lost_records_are_named(recovered):
    key = str(recovered.signer.verifier)
    done = recovered.medai("audit", "verify", "--key", key, "--json")
    found = json.loads(done.stdout)["found"]
    assert done.returncode == 1
    assert [(one["class"], one["first"], one["end"]) for one in found] == [("truncated", KEPT, SIGNED)]


def test_a_receipt_that_survived_still_comes_out_of_the_old_database(recovered, tmp_path):
    receipt = tmp_path / "receipt"
    receipt.write_text(recovered.medai("audit", "record", "3", "--receipt").stdout)
    done = recovered.medai("audit", "verify", "--receipt", str(receipt), "--key", str(recovered.signer.verifier))
    assert done.returncode == 0


def test_the_service_does_not_start_on_the_old_database_afterwards_and_says_who_continues_it(recovered):
    done = recovered.medai("serve", "--port", "0", "--internal-port", "0")
    assert (done.returncode, SUCCESSOR in done.stderr) == (2, True)


def test_a_process_that_kept_the_old_key_cannot_go_on_in_the_old_database(recovered, entries):
    async def go_on() -> None:
        store, reader = PostgresStore(recovered.database.writer_url), PostgresReader(recovered.database.reader_url)
        ledger = Ledger(
            store=store, reader=reader, signer=recovered.signer, anchor=FolderAnchor(recovered.home / "elsewhere", ()),
            clock=SystemClock(), settings=LedgerSettings(), process_id=record.new_event_id(),
        )  # fmt: skip
        try:
            await ledger.start()
        finally:
            await ledger.close()
            await store.close()
            await reader.close()

    with pytest.raises(LogClosed):
        asyncio.run(go_on())


def test_a_second_recovery_finds_nothing_to_recover(recovered):
    done = recovered.medai("audit", "recover", urls=recovered.next_urls)
    assert (done.returncode, "nothing_lost" in done.stderr) == (2, True)


@pytest.mark.verifies("REQ-KEY-006")
def test_a_checkpoint_that_a_client_kept_shows_the_loss_where_the_anchors_are_gone(place, tmp_path):
    kept = max(FolderAnchor(place.home / "anchors", (place.signer.verifier,)).all(), key=lambda one: one.size)
    for segment in (place.home / "anchors").glob("anchors-*"):
        segment.unlink()
    assert place.recover().returncode == 2
    saved = tmp_path / "checkpoint"
    saved.write_text(kept.checkpoint)
    assert place.recover("--checkpoint", str(saved)).returncode == 0


@pytest.mark.verifies("REQ-KEY-006")
def test_no_password_is_printed(place):
    done = place.recover()
    passwords = [conninfo.conninfo_to_dict(url)["password"] for url in place.urls.values()]
    assert [password for password in passwords if password in done.stdout + done.stderr] == []
