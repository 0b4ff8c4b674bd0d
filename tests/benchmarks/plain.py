"""The same table without a ledger: what hashing, the tree, the signature and the proofs cost is the difference.

Records come the same way, in the same batches, over the same connections, into a table with the same columns, indexes
and checks, committed as durably. Nothing is hashed, nothing is locked, nothing is signed. Two variants: the search
columns are derived from the record in the database, as `ledger.append` does it, or they are sent beside it, which
leaves the database nothing to do but to insert.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import AsyncConnection, sql

from audit.derived import COLUMNS, columns_of
from audit.ledger import Ledger
from audit.pending import Item
from audit.ports import Proven
from audit.postgres.connections import Connections, Limits
from audit.settings import LedgerSettings

# The functions' settings are those of ledger.append, as are the derived columns.
SCHEMA: Final = """
CREATE SCHEMA plain;
CREATE SEQUENCE plain.idx MINVALUE 0;
CREATE TABLE plain.records (LIKE ledger.records INCLUDING ALL);
CREATE FUNCTION plain.append(event_ids uuid[], records bytea[], OUT first bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
BEGIN
    WITH stored AS (
        INSERT INTO plain.records
        SELECT nextval('plain.idx'), b.event_id, b.record, decode(repeat('00', 32), 'hex'),
            j ->> 'kind', (j ->> 'recorded_at_us')::bigint, (j ->> 'request_id')::uuid, j ->> 'correlation_id',
            j ->> 'actor', j ->> 'peer', j ->> 'route', (j ->> 'status')::smallint, j ->> 'code',
            j -> 'finding' ->> 'decision', (j -> 'model' ->> 'name') || '@' || (j -> 'model' ->> 'version'),
            j ->> 'release', j -> 'subject' ->> 'patient', j -> 'subject' ->> 'study', (j ->> 'process_id')::uuid,
            j ->> 'phase', (j ->> 'minute_us')::bigint, coalesce(j ->> 'of_index', j ->> 'opens_index')::bigint
        FROM unnest(event_ids, records) AS b (event_id, record),
            LATERAL (SELECT convert_from(b.record, 'UTF8')::jsonb OFFSET 0) AS parsed (j)
        RETURNING idx
    )
    SELECT min(idx) INTO first FROM stored;
END
$$;
GRANT USAGE ON SCHEMA plain TO ledger_writer;
GRANT USAGE ON SEQUENCE plain.idx TO ledger_writer;
GRANT INSERT, SELECT ON plain.records TO ledger_writer;
"""
DERIVED: Final = "SELECT first FROM plain.append(%b::uuid[], %b::bytea[])"
TYPES: Final = {
    "recorded_at_us": "bigint", "request_id": "uuid", "status": "smallint", "process_id": "uuid", "minute_us": "bigint",
    "of_index": "bigint",
}  # fmt: skip
"""Of the search columns that are not text."""


def _sent() -> str:
    arrays = ", ".join(f"%b::{TYPES.get(name, 'text')}[]" for name in COLUMNS)
    names = ", ".join(f"b.{name}" for name in COLUMNS)
    return f"""
        WITH stored AS (
            INSERT INTO plain.records
            SELECT nextval('plain.idx'), b.event_id, b.record, decode(repeat('00', 32), 'hex'), {names}
            FROM unnest(%b::uuid[], %b::bytea[], {arrays}) AS b (event_id, record, {", ".join(COLUMNS)})
            RETURNING idx
        )
        SELECT min(idx) FROM stored
    """  # names of ours


SENT: Final = _sent()


def make(admin_url: str) -> None:
    """The table is there, empty, in a database that has a ledger."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL(SCHEMA))


class PlainLedger(Ledger):
    """A `Ledger` whose commit is an insert: queue, batches, linger and connections are the ledger's own."""

    def __init__(self, url: str, *, sends_columns: bool, **given: Any) -> None:
        super().__init__(**given)
        settings: LedgerSettings = given["settings"]
        limits = Limits(
            connections=2,
            connect_timeout_ms=settings.connect_timeout_ms,
            statement_timeout_ms=settings.statement_timeout_ms,
            lock_timeout_ms=settings.lock_timeout_ms,
        )
        self._plain = Connections(url, limits, application_name="bench plain")
        self._sends_columns = sends_columns

    async def start(self) -> None:
        self._down = None
        self._tasks = [asyncio.create_task(self._flush_forever()), asyncio.create_task(self._expire_forever())]

    async def close(self) -> None:
        await super().close()
        await self._plain.close()

    async def _commit(self, batch: list[Item]) -> None:
        ids, bodies = [item.event_id for item in batch], [item.body for item in batch]
        if self._sends_columns:
            columns = list(zip(*(columns_of(item.record) for item in batch), strict=True))
            first = await self._inserted(SENT, (ids, bodies, *map(_values, COLUMNS, columns)))
        else:
            first = await self._inserted(DERIVED, (ids, bodies))
        for index, item in enumerate(batch, first):
            item.settle(Proven(index=index, leaf_hash=b"", proof=""))

    async def _inserted(self, statement: str, parameters: tuple[object, ...]) -> int:
        async def work(connection: AsyncConnection[Any]) -> int:
            row = await (await connection.execute(statement.encode(), parameters, binary=True)).fetchone()
            assert row is not None
            return int(row[0])

        return await self._plain.run(work)


def _values(name: str, column: Sequence[Any]) -> list[Any]:
    """As psycopg sends them."""
    return [UUID(value) if value is not None else None for value in column] if TYPES.get(name) == "uuid" else [*column]
