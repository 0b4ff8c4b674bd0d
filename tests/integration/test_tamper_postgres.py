"""The table of alterations, done to PostgreSQL as the superuser, triggers off: one ledger, put back after each."""

import asyncio
import functools
from collections.abc import Iterator
from itertools import pairwise

import psycopg
import pytest

from audit import verification
from audit.derived import COLUMNS
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from tests.held_anchors import HeldAnchor
from tests.tampering import changes, judged, ledger
from tests.tampering import tables as do
from tests.tampering.ledger import NEXT_KEY, TALL
from tests.tampering.table import TABLE

CASES = [
    pytest.param(mutation, at, id=f"{mutation.name}-{at}")
    for mutation in TABLE
    if not mutation.what.startswith("the column ")  # done to every row, below
    for at in mutation.at
]
CELLS = ("event_id", *COLUMNS)


class Disarmed:
    """A ledger in PostgreSQL of which every row may be altered."""

    def __init__(self, database, made) -> None:
        self.made = made
        self._connection = psycopg.connect(database.admin_url, autocommit=True)
        do.disarm(self._connection)
        self.tables = do.from_postgres(self._connection)
        self._open_reader = functools.partial(PostgresReader, database.reader_url)

    def said_of(self, tables, key=NEXT_KEY, *, altered=True):
        """What verification says while these are the tables."""
        anchor = HeldAnchor(self.made.anchors)
        do.write_difference(self._connection, self.tables, tables)
        try:
            report = asyncio.run(verification.verify(self._open_reader, key.verifier, anchor, processes=1))
        finally:
            do.write_difference(self._connection, tables, self.tables)
        return judged.said(report, altered=altered)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def disarmed(module_database) -> Iterator[Disarmed]:
    async def write():
        store = PostgresStore(module_database.writer_url)
        try:
            return await ledger.write(store, TALL)
        finally:
            await store.close()

    made = Disarmed(module_database, asyncio.run(write()))
    yield made
    made.close()


def test_a_ledger_that_nobody_altered_is_found_right(disarmed):
    assert disarmed.said_of(disarmed.tables) == []


@pytest.mark.parametrize("mutation, at", CASES)
def test_an_alteration_as_the_superuser_has_its_one_class_and_place(disarmed, mutation, at):
    tables = judged.changed(disarmed.tables, mutation, at)
    said = disarmed.said_of(tables, mutation.key, altered=mutation.altered)
    assert said == judged.expected(mutation, TALL, at)


@pytest.mark.parametrize("turn", range(len(CELLS)))
def test_a_byte_of_a_search_column_of_every_record_is_found_in_each(disarmed, turn):
    altered = disarmed.tables.copy()
    for row in altered.records:
        changes.flip(row, CELLS[(row["idx"] + turn) % len(CELLS)])  # all turns together are each column of each row
    assert disarmed.said_of(altered) == [("derived_column", "column", at, at + 1) for at in range(TALL.size)]


@pytest.mark.verifies("REQ-AUD-013")
@pytest.mark.parametrize(
    "column, fault, part", [("record", "record_edited", "record"), ("leaf_hash", "hash_edited", "leaf")]
)
def test_a_byte_of_every_record_and_every_leaf_hash_is_found_in_each(disarmed, column, fault, part):
    altered = disarmed.tables.copy()
    for row in altered.records:
        changes.flip(row, column)
    assert disarmed.said_of(altered) == [(fault, part, at, at + 1) for at in range(TALL.size)]


def test_every_record_at_another_index_is_found_where_it_was(disarmed):
    missed = []
    for turn in range(max(end - first for first, end in pairwise((0, *TALL.batches)))):
        # One of each batch at a time; all turns together are every record.
        moved = [first + turn for first, end in pairwise((0, *TALL.batches)) if first + turn < end]
        altered = disarmed.tables.copy()
        for index in moved:
            altered.record(index)["idx"] ^= 1 << 40
        altered.sort()
        if disarmed.said_of(altered) != [("reordered", "record", at, at + 1) for at in moved]:
            missed.append(moved)
    assert missed == []


@pytest.mark.parametrize("column", ["first", "size", "chain", "frontier"])
@pytest.mark.parametrize("first", [0, *TALL.batches[:-1]])
def test_a_byte_of_a_column_of_every_batch_is_found(disarmed, first, column):
    altered = disarmed.tables.copy()
    row = altered.batch(first)
    end = row["size"]
    if column in ("first", "size"):
        row[column] ^= 1 << 40
    else:
        changes.flip(row, column)
    altered.sort()
    part = "chain" if column == "chain" else "batch"
    assert disarmed.said_of(altered) == [("hash_edited", part, first, end)]


@pytest.mark.parametrize("column", ["height", "idx", "hash"])
@pytest.mark.parametrize("place", range(TALL.size // 256))
def test_a_byte_of_a_column_of_every_subtree_is_found(disarmed, place, column):
    altered = disarmed.tables.copy()
    row = altered.nodes[place]
    if column == "hash":
        changes.flip(row, "hash")
    else:
        row[column] ^= 1 << 4
    altered.sort()
    assert disarmed.said_of(altered) == [("hash_edited", "tile", place * 256, place * 256 + 256)]


@pytest.mark.parametrize("size", TALL.published)
def test_a_byte_of_the_size_of_every_published_checkpoint_is_found(disarmed, size):
    altered = disarmed.tables.copy()
    changes.published(altered, size)["size"] ^= 1 << 40
    altered.sort()
    assert disarmed.said_of(altered) == [("hash_edited", "checkpoint", size ^ 1 << 40, size ^ 1 << 40)]


@pytest.mark.parametrize("size", TALL.published)
def test_a_byte_of_every_published_checkpoint_is_found(disarmed, size):
    altered = disarmed.tables.copy()
    changes.flip(changes.published(altered, size), "checkpoint")
    assert disarmed.said_of(altered) == [("hash_edited", "checkpoint", size, size)]


@pytest.mark.parametrize("number", range(2 * len(TALL.cosigned)))
@pytest.mark.parametrize("column, fault, part", [
    ("checkpoint", "hash_edited", "checkpoint"),
    ("policy", "hash_edited", "checkpoint"),
    ("attested", "derived_column", "column"),
])  # fmt: skip
def test_a_byte_of_a_column_of_every_cosigned_checkpoint_is_found(disarmed, number, column, fault, part):
    altered = disarmed.tables.copy()
    row = altered.cosigned[number]
    changes.flip(row, column)
    assert disarmed.said_of(altered) == [(fault, part, row["size"], row["size"])]


@pytest.mark.parametrize("number", range(2 * len(TALL.cosigned)))
@pytest.mark.parametrize("column, bit", [("size", 40), ("version", 3)])
def test_a_byte_of_the_key_of_every_cosigned_checkpoint_is_found(disarmed, number, column, bit):
    altered = disarmed.tables.copy()
    row = altered.cosigned[number]
    row[column] ^= 1 << bit
    altered.sort()
    assert disarmed.said_of(altered) == [("hash_edited", "checkpoint", row["size"], row["size"])]


@pytest.mark.parametrize("column", ["digest", "policy"])
def test_a_byte_of_a_column_of_every_policy_is_found(disarmed, column):
    altered = disarmed.tables.copy()
    (row,) = altered.policies
    changes.flip(row, column)
    assert disarmed.said_of(altered) == [("hash_edited", "checkpoint", size, size) for size in TALL.cosigned]
