"""A ledger that was copied in is the one that `ledger.append` would have written. No test says how fast anything is."""

import asyncio

import psycopg
import pytest

from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from tests.benchmarks import bulk, scale
from tests.benchmarks.place import Log, Place
from tests.benchmarks.report import Row
from tests.benchmarks.scale import Ledgers
from tests.benchmarks.sizes import QUICK

RECORDS = 700
"""Two whole tiles and a part, in batches of which one ends in the middle of each."""
BATCH = 33
TABLES = ("records", "nodes", "batches", "checkpoints", "policies", "cosigned", "leases", "writer_lock")


@pytest.fixture(scope="module")
def both(cluster, tmp_path_factory) -> dict[str, dict[str, list[str]]]:
    """Every row of every table, as text: of the copied ledger, and of one to which the same records were appended."""
    place = Place(folder=tmp_path_factory.mktemp("bulk"), cluster=cluster)
    copied, appended = place.log("bulk_copied"), place.empty("bulk_appended")
    asyncio.run(_copy(copied, place.admin_url("bulk_copied")))
    asyncio.run(_append(copied, appended))
    return {name: _tables(place.admin_url(name)) for name in ("bulk_copied", "bulk_appended")}


async def _copy(log: Log, admin_url: str) -> None:
    reader = PostgresReader(log.reader_url)
    head = await reader.head()
    bulk.build(admin_url, head, RECORDS, batch=BATCH, first_us=1_700_000_000_000_000)
    await reader.close()


async def _append(source: Log, target: Log) -> None:
    reader, store = PostgresReader(source.reader_url), PostgresStore(target.writer_url)
    size = (await reader.head()).size
    for batch in await reader.batches(0, size):
        records = [one async for one in reader.records(batch.first, batch.size)]
        await store.append(batch.first, [one.event_id for one in records], [one.body for one in records])
    await store.close()
    await reader.close()


@pytest.fixture(scope="module")
def rows(cluster, tmp_path_factory) -> dict[str, Row]:
    """What is measured of ledgers that are short enough to be made here; by the first words of its name."""
    place = Place(folder=tmp_path_factory.mktemp("scale"), cluster=cluster)
    measured = scale.rows(place, Ledgers(short=100, middle=300, long=600), QUICK)
    return {" ".join(row.name.split()[:2]): row for row in measured}


def _tables(admin_url: str) -> dict[str, list[str]]:
    with psycopg.connect(admin_url) as connection:
        return {
            table: [row for (row,) in connection.execute(f"SELECT t::text FROM ledger.{table} AS t ORDER BY 1")]
            for table in TABLES
        }


@pytest.mark.parametrize("table", TABLES)
def test_a_copied_ledger_has_the_rows_of_an_appended_one(both, table):
    assert both["bulk_copied"][table] == both["bulk_appended"][table]


@pytest.mark.parametrize(("table", "rows"), [("records", 1 + RECORDS), ("nodes", 2), ("batches", 1 + 22)])
def test_a_copied_ledger_has_as_many_rows_as_its_records_make(both, table, rows):
    assert len(both["bulk_copied"][table]) == rows


def test_every_table_of_the_ledger_is_compared(cluster):
    with psycopg.connect(cluster.admin_url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'ledger'").fetchall()
    assert {name for (name,) in found} == set(TABLES)


def test_proofs_appends_memory_and_disk_are_measured_at_scale(rows):
    assert list(rows) == ["p99 of", "an append", "memory of", "bytes on"]


def test_the_parts_of_a_record_on_disk_add_up(rows):
    parts = dict(rows["bytes on"].measured)
    whole = parts.pop("all B")
    del parts["record B"]
    assert sum(parts.values()) == pytest.approx(whole)


def test_a_ledger_that_is_whole_is_not_made_again(cluster, tmp_path):
    place = Place(folder=tmp_path, cluster=cluster)
    first, second = (scale.made(place, "kept", 200) for _ in range(2))
    assert first == second
