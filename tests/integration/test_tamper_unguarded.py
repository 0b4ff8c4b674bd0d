"""What only a constraint keeps out, done to PostgreSQL as the superuser who has dropped every one of them."""

import asyncio
import functools
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from audit import verification
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from tests.held_anchors import HeldAnchor
from tests.tampering import judged, ledger
from tests.tampering import tables as do
from tests.tampering.ledger import NEXT_KEY, TALL

EDITED = ("record_edited", "record", 300, 301)
BATCH = ("hash_edited", "batch", 269, 272)
TILE = ("hash_edited", "tile", 256, 512)


def checkpoint_of(size):
    return ("hash_edited", "checkpoint", size, size)


ROWS = {
    "records": "idx = 300",
    "nodes": "height = 8 AND idx = 1",
    "batches": "size = 272",
    "checkpoints": "size = 129",
    "policies": "true",
    "cosigned": "size = 272 AND version = 2",
}
"""Which row of each table is altered."""
POLICY = [checkpoint_of(size) for size in TALL.cosigned]
NO_VALUE = {
    "records.idx": [("reordered", "record", 300, 301)],
    "records.event_id": [("derived_column", "column", 300, 301)],
    "records.record": [EDITED],
    "records.leaf_hash": [("hash_edited", "leaf", 300, 301)],
    "records.kind": [("derived_column", "column", 300, 301)],
    "records.recorded_at_us": [("derived_column", "column", 300, 301)],
    "nodes.height": [TILE],
    "nodes.idx": [TILE],
    "nodes.hash": [TILE],
    "batches.size": [BATCH],
    "batches.first": [BATCH],
    "batches.chain": [("hash_edited", "chain", 269, 272)],
    "batches.frontier": [BATCH],
    "checkpoints.size": [checkpoint_of(0)],
    "checkpoints.checkpoint": [checkpoint_of(129)],
    "policies.digest": POLICY,
    "policies.policy": POLICY,
    "cosigned.size": [checkpoint_of(0)],
    "cosigned.version": [checkpoint_of(272)],
    "cosigned.attested": [("derived_column", "column", 272, 272)],
    "cosigned.policy": [checkpoint_of(272)],
    "cosigned.checkpoint": [checkpoint_of(272)],
}
"""Every column that the migrations let hold no nothing."""
TWICE = {
    "records": [("inserted", "record", 300, 301)],
    "nodes": [TILE],
    "batches": [BATCH],
    "checkpoints": [checkpoint_of(129)],
    "policies": POLICY,
    "cosigned": [checkpoint_of(272)],
}
OTHERWISE = {
    "nodes": "SELECT height, idx, sha256(hash) FROM was",
    "batches": "SELECT size, first, sha256(chain), frontier FROM was",
    "checkpoints": "SELECT size, checkpoint || 'x'::bytea FROM was",
}
"""A second row of the same key that says something else."""
NOT_NULL = """
    SELECT c.relname, a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind = 'r' AND a.attnotnull AND a.attnum > 0
"""
CONSTRAINTS = """
    SELECT c.relname, o.conname FROM pg_constraint AS o JOIN pg_class AS c ON c.oid = o.conrelid
    WHERE c.relnamespace = 'ledger'::regnamespace AND o.contype = ANY (%s)
"""


class Unguarded:
    """A ledger of which nothing is guarded any more, and a copy of it."""

    def __init__(self, database, made) -> None:
        self._made = made
        self._connection = psycopg.connect(database.admin_url, autocommit=True)
        do.disarm(self._connection)
        self.not_null = {f"{table}.{column}" for table, column in self._connection.execute(NOT_NULL)}
        for kind in ("f", "p"):
            for table, name in self._connection.execute(CONSTRAINTS, ([kind],)).fetchall():
                self._alter(table, "DROP CONSTRAINT", name)
        for table, column in self._connection.execute(NOT_NULL).fetchall():
            self._connection.execute(
                sql.SQL("ALTER TABLE ledger.{} ALTER {} DROP NOT NULL").format(
                    sql.Identifier(table), sql.Identifier(column)
                )
            )
        self._connection.execute("CREATE SCHEMA copies")
        for table in ROWS:
            self._connection.execute(f"CREATE TABLE copies.{table} AS SELECT * FROM ledger.{table}")
        self._open_reader = functools.partial(PostgresReader, database.reader_url)

    def _alter(self, table, what, name) -> None:
        statement = sql.SQL("ALTER TABLE ledger.{} " + what + " {}")
        self._connection.execute(statement.format(sql.Identifier(table), sql.Identifier(name)))

    def said_after(self, table, statement):
        self._connection.execute(statement)
        try:
            anchor = HeldAnchor(self._made.anchors)
            report = asyncio.run(verification.verify(self._open_reader, NEXT_KEY.verifier, anchor, processes=1))
        finally:
            self._connection.execute(f"DELETE FROM ledger.{table}")
            self._connection.execute(f"INSERT INTO ledger.{table} SELECT * FROM copies.{table}")
        return judged.said(report)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def unguarded(module_database) -> Iterator[Unguarded]:
    async def write():
        store = PostgresStore(module_database.writer_url)
        try:
            return await ledger.write(store, TALL)
        finally:
            await store.close()

    made = Unguarded(module_database, asyncio.run(write()))
    yield made
    made.close()


def test_every_column_that_must_hold_a_value_is_tried_without(unguarded):
    evidence = {name for name in unguarded.not_null if name.partition(".")[0] in ROWS}
    assert set(NO_VALUE) == evidence


@pytest.mark.verifies("REQ-AUD-013")
@pytest.mark.parametrize("column", NO_VALUE)
def test_a_value_that_is_missing_is_found(unguarded, column):
    table, _, name = column.partition(".")
    said = unguarded.said_after(table, f"UPDATE ledger.{table} SET {name} = NULL WHERE {ROWS[table]}")
    assert said == NO_VALUE[column]


@pytest.mark.verifies("REQ-AUD-013")
@pytest.mark.parametrize("table", TWICE)
def test_a_row_that_is_there_twice_is_found(unguarded, table):
    copied = f"INSERT INTO ledger.{table} SELECT * FROM ledger.{table} WHERE {ROWS[table]}"
    assert unguarded.said_after(table, copied) == TWICE[table]


@pytest.mark.verifies("REQ-AUD-013")
@pytest.mark.parametrize("order", ["SELECT * FROM was UNION ALL {}", "{} UNION ALL SELECT * FROM was"])
@pytest.mark.parametrize("table", OTHERWISE)
def test_a_second_row_of_the_same_key_that_says_something_else_is_found(unguarded, table, order):
    rows = order.format(OTHERWISE[table])
    both = f"""
        WITH was AS (DELETE FROM ledger.{table} WHERE {ROWS[table]} RETURNING *) INSERT INTO ledger.{table} {rows}
    """
    assert unguarded.said_after(table, both) == TWICE[table]


@pytest.mark.verifies("REQ-AUD-013")
@pytest.mark.parametrize(
    "frontier", ["'{}'", "ARRAY[NULL::bytea, frontier[2]]", "ARRAY[frontier, frontier]"], ids=["empty", "hole", "two"]
)
def test_a_frontier_of_another_shape_is_found(unguarded, frontier):
    statement = f"UPDATE ledger.batches SET frontier = {frontier} WHERE {ROWS['batches']}"
    assert unguarded.said_after("batches", statement) == [BATCH]
