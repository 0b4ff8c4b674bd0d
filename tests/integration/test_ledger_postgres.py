"""The ledger on PostgreSQL: what a superuser does to it, and who finds out."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path

import msgspec
import psycopg
import pytest

from audit import chain, genesis, merkle, record, signing, verification
from audit.anchors import FolderAnchor
from audit.clock import SystemClock
from audit.errors import LedgerForked, LedgerUnavailable
from audit.ledger import Ledger
from audit.postgres.embedded import Cluster
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from audit.settings import LedgerSettings

TABLES = ("records", "nodes", "batches", "checkpoints")


class Log:
    """A log in a database of its own, its key and anchors in a folder."""

    def __init__(self, database: Cluster, folder: Path) -> None:
        self.database = database
        self.store = PostgresStore(database.writer_url)
        self.reader = PostgresReader(database.reader_url)
        self.signer = signing.create(folder / "signing.key", "log.example/postgres")
        self.anchor = FolderAnchor(folder / "anchors", (self.signer.verifier,))
        self.ledger = self.process()

    def process(self) -> Ledger:
        return Ledger(
            store=self.store,
            reader=self.reader,
            signer=self.signer,
            anchor=self.anchor,
            clock=SystemClock(),
            settings=LedgerSettings(anchor_interval_ms=1_000),
            process_id=record.new_event_id(),
        )

    async def begin(self) -> None:
        await genesis.initialise(self.store, self.reader, self.signer, SystemClock())
        await self.ledger.start()

    async def verify(self, *, processes: int = 1, schema: bool = True) -> verification.Report:
        return await verification.verify(
            functools.partial(PostgresReader, self.database.reader_url),
            self.signer.verifier,
            self.anchor,
            processes=processes,
            schema=schema,
        )

    def rewrite(self, index: int, **changed: object) -> None:
        """As a superuser: change one record and recompute every hash, so that nothing inside gives it away."""
        with psycopg.connect(self.database.admin_url) as connection:
            for table in TABLES:
                connection.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL")
            found = connection.execute("SELECT record FROM ledger.records WHERE idx = %s", (index,)).fetchone()
            assert found is not None
            original = record.decode(found[0])
            assert isinstance(original, record.Request)
            entry = msgspec.structs.replace(original, **changed)
            body = record.encode(entry)
            leaf = merkle.leaf_hash(body)
            connection.execute(
                "UPDATE ledger.records SET record = %s, leaf_hash = %s, status = %s WHERE idx = %s",
                (body, leaf, entry.status, index),
            )
            _recompute(connection, self.signer.name)
            connection.execute("DELETE FROM ledger.checkpoints")


def _recompute(connection: psycopg.Connection, origin: str) -> None:
    leaves = [leaf for (leaf,) in connection.execute("SELECT leaf_hash FROM ledger.records ORDER BY idx")]
    for first, size in connection.execute("SELECT first, size FROM ledger.batches ORDER BY size").fetchall():
        connection.execute(
            "UPDATE ledger.batches SET chain = %s, frontier = %s WHERE first = %s",
            (chain.extend(chain.start(origin), leaves[:size]), list(merkle.extend(0, (), leaves[:size])), first),
        )
    for place in range(len(leaves) // 256):
        node = merkle.root(leaves[place * 256 : (place + 1) * 256])
        connection.execute("UPDATE ledger.nodes SET hash = %s WHERE height = 8 AND idx = %s", (node, place))


@pytest.fixture
def story(database, tmp_path) -> Callable[[Callable[[Log], Awaitable[None]]], None]:
    def run(test: Callable[[Log], Awaitable[None]]) -> None:
        async def whole() -> None:
            log = Log(database, tmp_path)
            try:
                await log.begin()
                await asyncio.wait_for(test(log), 60)
            finally:
                await log.ledger.close()
                await log.store.close()
                await log.reader.close()

        asyncio.run(whole())

    return run


async def fill(log: Log, entries, count: int) -> None:
    now_us = SystemClock().now_us()
    await asyncio.gather(*(log.ledger.append(entries.request(recorded_at_us=now_us)) for _ in range(count)))


def test_a_rewritten_record_with_every_hash_recomputed_is_refused_by_a_running_process(story, entries) -> None:
    async def test(log: Log) -> None:
        await fill(log, entries, 40)
        log.rewrite(7, status=418)
        with pytest.raises(LedgerUnavailable):
            await log.ledger.append(entries.request())
        assert "ledger_forked" in str(log.ledger.unready())

    story(test)


def test_a_rewritten_record_with_every_hash_recomputed_is_refused_at_the_next_start(story, entries) -> None:
    async def test(log: Log) -> None:
        await fill(log, entries, 40)
        await log.ledger.close()
        log.rewrite(7, status=418)
        with pytest.raises(LedgerForked):
            await log.process().start()

    story(test)


@pytest.mark.verifies("REQ-AUD-012")
def test_a_rewritten_record_with_every_hash_recomputed_is_found_by_verification(story, entries) -> None:
    async def test(log: Log) -> None:
        await fill(log, entries, 40)
        await log.ledger.close()
        log.rewrite(7, status=418)
        report = await log.verify()
        altered = {found.fault for found in report.found if found.altered}
        assert (report.exit_code, altered) == (1, {"suffix_rewritten"})

    story(test)


@pytest.mark.verifies("REQ-AUD-012")
def test_a_whole_ledger_is_valid_up_to_its_anchor(story, entries) -> None:
    async def test(log: Log) -> None:
        await fill(log, entries, 700)
        await log.ledger.close()
        report = await log.verify()
        assert (report.exit_code, report.size, report.anchored) == (0, 701, 701)

    story(test)


def test_several_processes_come_to_the_same_verdict(story, entries) -> None:
    async def test(log: Log) -> None:
        await fill(log, entries, 1_500)
        await log.ledger.close()
        report = await log.verify(processes=2)
        assert (report.exit_code, report.found) == (0, ())

    story(test)


def test_a_clock_that_steps_back_is_reported_and_is_no_alteration(story, entries) -> None:
    async def test(log: Log) -> None:
        await log.ledger.append(entries.request(recorded_at_us=1))
        await log.ledger.close()
        report = await log.verify()
        assert (report.exit_code, [found.fault for found in report.found]) == (0, ["time"])

    story(test)


@pytest.mark.verifies("REQ-AUD-014")
def test_without_an_anchor_a_ledger_is_consistent_but_unattested(story, entries, tmp_path) -> None:
    async def test(log: Log) -> None:
        await fill(log, entries, 3)
        await log.ledger.close()
        log.anchor = FolderAnchor(tmp_path / "elsewhere", (log.signer.verifier,))
        assert (await log.verify()).exit_code == 3

    story(test)


@pytest.mark.verifies("REQ-AUD-012")
def test_a_rewritten_ledger_whose_anchors_are_gone_is_found_by_what_it_publishes(story, entries, tmp_path) -> None:
    async def test(log: Log) -> None:
        await fill(log, entries, 40)
        await log.ledger.close()
        published = await log.reader.checkpoint()
        assert published is not None
        log.rewrite(7, status=418)
        with psycopg.connect(log.database.admin_url) as connection:
            connection.execute("INSERT INTO ledger.checkpoints VALUES (%s, %s)", published)
        log.anchor = FolderAnchor(tmp_path / "elsewhere", (log.signer.verifier,))
        report = await log.verify()
        altered = {found.fault for found in report.found if found.altered}
        assert (report.exit_code, altered) == (1, {"suffix_rewritten"})

    story(test)


def test_a_database_that_goes_away_is_no_finding(story, entries) -> None:
    async def test(log: Log) -> None:
        await fill(log, entries, 3)
        lost = msgspec.structs.replace(log.database, database="no_such_database").reader_url
        with pytest.raises(LedgerUnavailable):
            await verification.verify(functools.partial(PostgresReader, lost), log.signer.verifier, log.anchor)

    story(test)


def test_the_digest_of_a_leaf_is_that_of_rfc_6962(story, entries) -> None:
    async def test(log: Log) -> None:
        proven = await log.ledger.append(entries.request())
        stored = await log.reader.record(proven.index)
        assert stored.leaf_hash == sha256(b"\x00" + stored.body).digest()

    story(test)
