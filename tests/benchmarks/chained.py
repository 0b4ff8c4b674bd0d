"""What one would write first: a column with the hash of the row before, and a commit for each record.

Each caller has the newest row's hash read under a lock, the next made of it, and both committed, in one question to the
database. There is no tree: a proof that a record is in it is all the rows after it.
"""

from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, sql

from audit import record
from audit.postgres.connections import Connections, Limits
from audit.record import Record
from audit.settings import LedgerSettings

CONNECTIONS: Final = 16
SCHEMA: Final = """
CREATE SCHEMA chained;
CREATE TABLE chained.records (
    idx bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    record bytea STORAGE EXTERNAL NOT NULL,
    prev_hash bytea NOT NULL,
    hash bytea NOT NULL
);
CREATE TABLE chained.only_one (at_a_time boolean PRIMARY KEY);
INSERT INTO chained.only_one VALUES (true);
CREATE FUNCTION chained.append(event_id uuid, record bytea, OUT hash bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    prev_hash bytea;
BEGIN
    PERFORM FROM chained.only_one FOR UPDATE;
    SELECT r.hash INTO prev_hash FROM chained.records AS r ORDER BY r.idx DESC LIMIT 1;
    prev_hash := coalesce(prev_hash, '');
    hash := sha256(prev_hash || record);
    INSERT INTO chained.records (event_id, record, prev_hash, hash)
        VALUES (append.event_id, append.record, prev_hash, append.hash);
END
$$;
GRANT USAGE ON SCHEMA chained TO ledger_writer;
"""
APPEND: Final = "SELECT hash FROM chained.append(%b::uuid, %b::bytea)"


def make(admin_url: str) -> None:
    """The table is there, empty."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL(SCHEMA))


class ChainedLog:
    """As much of a `Ledger` as an appender asks for."""

    def __init__(self, url: str, settings: LedgerSettings) -> None:
        limits = Limits(
            connections=CONNECTIONS,
            connect_timeout_ms=settings.connect_timeout_ms,
            statement_timeout_ms=settings.statement_timeout_ms,
            lock_timeout_ms=settings.lock_timeout_ms,
        )
        self._connections = Connections(url, limits, application_name="bench chained")

    async def start(self) -> None:
        """Nothing is to be checked."""

    async def close(self) -> None:
        await self._connections.close()

    def enter(self) -> None:
        """Nobody waits for others."""

    async def append(self, entry: Record) -> bytes:
        parameters = (record.event_uuid(entry), record.encode(entry))

        async def work(connection: AsyncConnection[Any]) -> bytes:
            row = await (await connection.execute(APPEND, parameters, binary=True)).fetchone()
            assert row is not None
            return bytes(row[0])

        return await self._connections.run(work)
