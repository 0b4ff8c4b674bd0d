"""The ledger's tables as lists of rows, for altering them as a superuser would: in memory, or in PostgreSQL.

`Tables` is read from a store, changed, and written back; nothing here keeps anybody from anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from operator import itemgetter
from typing import Any
from uuid import UUID

import psycopg
from msgspec import Struct
from psycopg import sql

from audit import chain, merkle
from audit.derived import COLUMNS
from audit.memory import MemoryDatabase
from audit.ports import Batch, Cosigned, Stored
from tests.tampering import ledger

Row = dict[str, Any]

NAMES: dict[str, tuple[str, ...]] = {
    "records": ("idx", "event_id", "record", "leaf_hash", *COLUMNS),
    "nodes": ("height", "idx", "hash"),
    "batches": ("size", "first", "chain", "frontier"),
    "checkpoints": ("size", "checkpoint"),
    "policies": ("digest", "policy"),
    "cosigned": ("size", "version", "attested", "policy", "checkpoint"),
}
"""The tables that are evidence, and their columns."""
KEYS: dict[str, tuple[str, ...]] = {
    "records": ("idx",),
    "nodes": ("height", "idx"),
    "batches": ("size",),
    "checkpoints": ("size",),
    "policies": ("digest",),
    "cosigned": ("size", "version"),
}
UUIDS = {"event_id", "request_id", "process_id"}


class Tables(Struct, kw_only=True):
    """Rows in the order of their keys; UUIDs are text."""

    records: list[Row]
    nodes: list[Row]
    batches: list[Row]
    checkpoints: list[Row]
    policies: list[Row]
    cosigned: list[Row]

    def copy(self) -> Tables:
        return Tables(**{table: [dict(row) for row in self.of(table)] for table in NAMES})

    def record(self, index: int) -> Row:
        return next(row for row in self.records if row["idx"] == index)

    def batch(self, first: int) -> Row:
        return next(row for row in self.batches if row["first"] == first)

    def of(self, table: str) -> list[Row]:
        rows: list[Row] = getattr(self, table)
        return rows

    def sort(self) -> None:
        for table, keys in KEYS.items():
            self.of(table).sort(key=itemgetter(*keys))


# -- in memory


def from_memory(database: MemoryDatabase) -> Tables:
    policies = {hashlib.sha256(one.policy).digest(): one.policy for one in database.cosigned}
    return Tables(
        records=[
            dict(
                zip(
                    NAMES["records"],
                    (one.index, str(one.event_id), one.body, one.leaf_hash, *columns),
                    strict=True,
                )
            )
            for one, columns in zip(database.stored, database.columns, strict=True)
        ],
        nodes=[{"height": h, "idx": at, "hash": hash_} for (h, at), hash_ in sorted(database.subtrees.items())],
        batches=[
            {"size": one.size, "first": one.first, "chain": one.chain, "frontier": one.frontier}
            for one in database.batches
        ],
        checkpoints=[{"size": size, "checkpoint": text} for size, text in sorted(database.checkpoints.items())],
        policies=[{"digest": digest, "policy": policy} for digest, policy in policies.items()],
        cosigned=[
            {
                "size": one.size,
                "version": one.version,
                "attested": one.attested,
                "policy": one.policy_sha256,
                "checkpoint": one.checkpoint,
            }
            for one in database.cosigned
        ],
    )


def to_memory(tables: Tables) -> MemoryDatabase:
    """A database of these rows. It is for reading alone."""
    database = MemoryDatabase()
    policies = {row["digest"]: row["policy"] for row in tables.policies}
    database.stored = [
        Stored(index=row["idx"], event_id=UUID(row["event_id"]), body=row["record"], leaf_hash=row["leaf_hash"])
        for row in tables.records
    ]
    database.columns = [tuple(row[name] for name in COLUMNS) for row in tables.records]
    database.batches = [Batch(**row) for row in tables.batches]
    database.subtrees = {(row["height"], row["idx"]): row["hash"] for row in tables.nodes}
    database.checkpoints = {row["size"]: row["checkpoint"] for row in tables.checkpoints}
    database.cosigned = [
        Cosigned(
            size=row["size"],
            version=row["version"],
            attested=row["attested"],
            checkpoint=row["checkpoint"],
            policy=policies.get(row["policy"], b""),
            policy_sha256=row["policy"],
        )
        for row in tables.cosigned
    ]
    return database


# -- in PostgreSQL


def from_postgres(connection: psycopg.Connection) -> Tables:
    """As the superuser sees them."""
    read = {}
    for table, names in NAMES.items():
        columns = sql.SQL(", ").join(
            sql.SQL("{}::text").format(sql.Identifier(name)) if name in UUIDS else sql.Identifier(name)
            for name in names
        )
        query = sql.SQL("SELECT {} FROM ledger.{}").format(columns, sql.Identifier(table))
        rows = connection.execute(query, binary=True).fetchall()
        read[table] = [dict(zip(names, _values(row), strict=True)) for row in rows]
    tables = Tables(**read)
    tables.sort()
    return tables


def _values(row: Iterable[Any]) -> list[Any]:
    return [tuple(value) if isinstance(value, list) else value for value in row]


def disarm(connection: psycopg.Connection) -> None:
    """As the superuser: nothing but the primary keys stands in the way any more."""
    for table in NAMES:
        connection.execute(sql.SQL("ALTER TABLE ledger.{} DISABLE TRIGGER ALL").format(sql.Identifier(table)))
    checks = """
        SELECT c.relname, o.conname FROM pg_constraint AS o JOIN pg_class AS c ON c.oid = o.conrelid
        WHERE c.relnamespace = 'ledger'::regnamespace AND o.contype IN ('c', 'u')
    """
    for table, name in connection.execute(checks).fetchall():
        connection.execute(
            sql.SQL("ALTER TABLE ledger.{} DROP CONSTRAINT {}").format(sql.Identifier(table), sql.Identifier(name))
        )


def write_difference(connection: psycopg.Connection, before: Tables, after: Tables) -> int:
    """Make the rows of `before` those of `after`; how many were removed or added."""
    count = 0
    with connection.transaction():
        for table in NAMES:
            old = {_key(table, row): row for row in before.of(table)}
            new = {_key(table, row): row for row in after.of(table)}
            gone = [key for key, row in old.items() if new.get(key) != row]
            come = [row for key, row in new.items() if old.get(key) != row]
            _delete(connection, table, gone)
            _insert(connection, table, come)
            count += len(gone) + len(come)
    return count


def _key(table: str, row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEYS[table])


def _delete(connection: psycopg.Connection, table: str, keys: list[tuple[Any, ...]]) -> None:
    where = sql.SQL(" AND ").join(sql.SQL("{} = %b").format(sql.Identifier(name)) for name in KEYS[table])
    statement = sql.SQL("DELETE FROM ledger.{} WHERE {}").format(sql.Identifier(table), where)
    with connection.cursor() as cursor:
        cursor.executemany(statement, keys)


def _insert(connection: psycopg.Connection, table: str, rows: list[Row]) -> None:
    names = NAMES[table]
    statement = sql.SQL("INSERT INTO ledger.{} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join([sql.Placeholder()] * len(names)),
    )
    values = [[list(row[name]) if name == "frontier" else row[name] for name in names] for row in rows]
    with connection.cursor() as cursor:
        cursor.executemany(statement, values)


# -- what whoever alters records may recompute


def rehash(row: Row) -> None:
    """The leaf hash of the bytes as they are now."""
    row["leaf_hash"] = merkle.leaf_hash(row["record"])


def renumber(tables: Tables) -> None:
    """No gap is left: the records have the indices from 0 on, in their order."""
    for at, row in enumerate(tables.records):
        row["idx"] = at


def recompute_chain(tables: Tables) -> None:
    leaves = [row["leaf_hash"] for row in tables.records]
    linked, done = chain.start(ledger.ORIGIN), 0
    for row in tables.batches:
        linked = chain.extend(linked, leaves[done : row["size"]])
        row["chain"], done = linked, row["size"]


def recompute_frontiers(tables: Tables) -> None:
    leaves = [row["leaf_hash"] for row in tables.records]
    frontier: tuple[bytes, ...] = ()
    done = 0
    for row in tables.batches:
        frontier = merkle.extend(done, frontier, leaves[done : row["size"]])
        row["frontier"], done = frontier, row["size"]


def recompute_tiles(tables: Tables) -> None:
    leaves = [row["leaf_hash"] for row in tables.records]
    for row in tables.nodes:
        first, end = row["idx"] << row["height"], row["idx"] + 1 << row["height"]
        if end <= len(leaves):
            row["hash"] = merkle.root(leaves[first:end])
    tables.nodes[:] = [row for row in tables.nodes if row["idx"] + 1 << row["height"] <= len(leaves)]


def recompute_all(tables: Tables) -> None:
    """Chain, frontiers and tiles; the last batch ends where the records do."""
    tables.batches[:] = [row for row in tables.batches if row["first"] < len(tables.records)]
    tables.batches[-1]["size"] = len(tables.records)
    recompute_chain(tables)
    recompute_frontiers(tables)
    recompute_tiles(tables)
