"""Several processes append at once: what comes of it is one ledger."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from audit import chain, merkle
from audit.postgres.reader import PostgresReader
from audit.postgres.store import APPEND

pytestmark = pytest.mark.anyio

PROCESSES = 8
THREADS = 4  # as append_worker.py has it
BATCHES = 10  # a thread; of 1, 2, 3, 4, 5, 1, 2 ... records
RECORDS = PROCESSES * THREADS * 2 * (1 + 2 + 3 + 4 + 5)
WORKER = Path(__file__).with_name("append_worker.py")


@pytest.fixture(scope="module")
def written(module_database, entries):
    """The ledger after eight processes with four threads each wrote to it, and each found it true to its own view."""
    with psycopg.connect(module_database.writer_url) as connection:
        connection.execute(APPEND, (0, *entries.sent(entries.genesis())))
    command = [sys.executable, str(WORKER), module_database.writer_url, module_database.reader_url, str(BATCHES)]
    running = [subprocess.Popen(command) for _ in range(PROCESSES)]
    assert [one.wait(timeout=240) for one in running] == [0] * PROCESSES
    return module_database


@pytest.fixture
async def reader(written) -> AsyncIterator[PostgresReader]:
    reader = PostgresReader(written.reader_url)
    yield reader
    await reader.close()


async def test_eight_processes_with_four_threads_each_leave_no_gap_and_nothing_twice(reader):
    stored = [one async for one in reader.records(0, 10_000)]
    assert [one.index for one in stored] == list(range(1 + RECORDS))
    assert len({one.event_id for one in stored}) == 1 + RECORDS


async def test_their_ledger_has_one_frontier_and_one_chain_those_of_its_records(reader, entries):
    leaves = [merkle.leaf_hash(one.body) async for one in reader.records(0, 10_000)]
    head = await reader.head()
    assert head.frontier == merkle.extend(0, (), leaves)
    assert head.chain == chain.extend(chain.start(entries.ORIGIN), leaves)


async def test_each_of_their_batches_begins_where_another_ends(reader):
    batches = await reader.batches(0, 10_000)
    assert [batch.first for batch in batches] == [0, *(batch.size for batch in batches[:-1])]
    assert len(batches) == 1 + PROCESSES * THREADS * BATCHES


async def test_each_of_their_batches_knows_the_state_at_its_end(reader, entries):
    leaves = await reader.leaf_hashes(0, 10_000)
    frontier: tuple[bytes, ...] = ()
    linked = chain.start(entries.ORIGIN)
    for batch in await reader.batches(0, 10_000):
        mine = leaves[batch.first : batch.size]
        frontier, linked = merkle.extend(batch.first, frontier, mine), chain.extend(linked, mine)
        assert (batch.frontier, batch.chain) == (frontier, linked)


async def test_every_tile_that_they_filled_together_is_stored(reader):
    leaves = await reader.leaf_hashes(0, 10_000)
    expected = {(8, at): merkle.root(leaves[at << 8 : at + 1 << 8]) for at in range(len(leaves) >> 8)}
    assert await reader.completed(0, len(leaves)) == expected
