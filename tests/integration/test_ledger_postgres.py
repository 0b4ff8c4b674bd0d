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
            self.anchor.all(),
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
        assert (report.exit_code, {found.fault for found in report.found}) == (1, {"suffix_rewritten"})

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


FLIP = "set_byte({0}, {1}, get_byte({0}, {1}) # 1)"
LAST_BATCH = "(SELECT max(size) FROM ledger.batches)"
# What is done as the superuser, the class that verification gives it, and where it places it.
ALTERATIONS = {
    "a byte of a record": (
        f"UPDATE ledger.records SET record = {FLIP.format('record', 30)} WHERE idx = 300",
        "hash_edited",
        300,
    ),
    "a leaf hash": (
        f"UPDATE ledger.records SET leaf_hash = {FLIP.format('leaf_hash', 0)} WHERE idx = 300",
        "hash_edited",
        300,
    ),
    "a search column": ("UPDATE ledger.records SET actor = 'somebody' WHERE idx = 300", "derived_column", 300),
    "a missing record": ("DELETE FROM ledger.records WHERE idx = 300", "deleted", 300),
    "a subtree hash": (
        f"UPDATE ledger.nodes SET hash = {FLIP.format('hash', 0)} WHERE height = 8 AND idx = 1",
        "hash_edited",
        256,
    ),
    "a chain hash": (
        f"UPDATE ledger.batches SET chain = {FLIP.format('chain', 0)} WHERE first = 1",
        "hash_edited",
        1,
    ),
    "a published checkpoint, not the last": (
        f"UPDATE ledger.checkpoints SET checkpoint = {FLIP.format('checkpoint', 60)} WHERE size = 1",
        "hash_edited",
        1,
    ),
    "a published checkpoint's size": ("UPDATE ledger.checkpoints SET size = 257 WHERE size = 1", "hash_edited", 257),
    "a subtree hash of records to come": (
        "INSERT INTO ledger.nodes SELECT height, 2, hash FROM ledger.nodes WHERE height = 8 AND idx = 1",
        "inserted",
        512,
    ),
    "an inserted record": (
        """INSERT INTO ledger.records SELECT 10 + idx, gen_random_uuid(), record, leaf_hash, kind, recorded_at_us
           FROM ledger.records WHERE idx = 600""",
        "inserted",
        601,
    ),
    "a cut tail": (
        f"""WITH cut AS (DELETE FROM ledger.batches WHERE size = {LAST_BATCH} RETURNING first)
            DELETE FROM ledger.records WHERE idx >= (SELECT first FROM cut)""",
        "truncated",
        513,
    ),
}


@pytest.mark.verifies("REQ-AUD-013")
@pytest.mark.parametrize("what", ALTERATIONS)
def test_an_alteration_is_found_with_its_class_and_its_place(story, entries, what: str) -> None:
    statement, fault, place = ALTERATIONS[what]

    async def test(log: Log) -> None:
        await fill(log, entries, 600)
        await log.ledger.close()
        with psycopg.connect(log.database.admin_url) as connection:
            for table in TABLES:
                connection.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL")
            assert connection.execute(statement).rowcount > 0
        found = [one for one in (await log.verify()).found if one.fault == fault]
        assert found[0].first == place

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
        assert (report.exit_code, {found.fault for found in report.found}) == (1, {"suffix_rewritten"})

    story(test)


def test_a_database_that_goes_away_is_no_finding(story, entries) -> None:
    async def test(log: Log) -> None:
        await fill(log, entries, 3)
        lost = msgspec.structs.replace(log.database, database="no_such_database").reader_url
        with pytest.raises(LedgerUnavailable):
            await verification.verify(functools.partial(PostgresReader, lost), log.signer.verifier, log.anchor.all())

    story(test)


def test_the_digest_of_a_leaf_is_that_of_rfc_6962(story, entries) -> None:
    async def test(log: Log) -> None:
        proven = await log.ledger.append(entries.request())
        stored = await log.reader.record(proven.index)
        assert stored.leaf_hash == sha256(b"\x00" + stored.body).digest()

    story(test)
