"""The writer's side: the functions of the schema `ledger`, and nothing else."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.errors import InsufficientPrivilege

from audit.errors import DatabaseChanged, LedgerUnavailable, LogClosed, RecordRefused
from audit.ports import Appended, Cosigned, Lease, Readiness
from audit.postgres import closing
from audit.postgres.connections import Connections, Limits
from traceability.marks import implements

# One flush is in flight at a time; the other is for readiness and checkpoints meanwhile.
CONNECTIONS: Final = 2
# Binary parameters and results: text would send every byte of a record as two digits.
APPEND: Final = "SELECT * FROM ledger.append(%b::bigint, %b::uuid[], %b::bytea[])"
# The same on one timeline alone, whose number is how a WAL file's name begins. `append` takes its size from the row
# that says so: where there is none, it is not called. In one statement: a pooler may take the next to another server.
APPEND_ON: Final = """
    SELECT a.* FROM (
        SELECT %b::bigint AS known WHERE starts_with(pg_walfile_name(pg_current_wal_insert_lsn()), %t) OFFSET 0
    ) AS same, ledger.append(known, %b::uuid[], %b::bytea[]) AS a
"""
PUBLISH: Final = "SELECT ledger.publish(%b::bigint, %b::bytea)"
LEASE: Final = "SELECT held, term, remaining_ms FROM ledger.lease(%t, %b::uuid, %b::integer)"
RELEASE: Final = "SELECT ledger.release(%t, %b::uuid)"
COSIGN: Final = "SELECT ledger.cosign(%t, %b::uuid, %b::bigint, %b::bigint, %b::bytea, %b::bytea, %b)"
READY: Final = f"""
    SELECT in_recovery, durable, system_identifier, timeline, size, ({closing.WHY}) FROM ledger.ready()
"""  # nosec B608  # a statement of ours


class PostgresStore:
    """Implements `audit.ports.Store`. Nothing is connected before the first call; call `close` at the end."""

    def __init__(
        self,
        url: str,
        *,
        connect_timeout_ms: int = 2_000,
        statement_timeout_ms: int = 5_000,
        lock_timeout_ms: int = 4_000,
    ) -> None:
        limits = Limits(
            connections=CONNECTIONS,
            connect_timeout_ms=connect_timeout_ms,
            statement_timeout_ms=statement_timeout_ms,
            lock_timeout_ms=lock_timeout_ms,
        )
        self._connections = Connections(url, limits, application_name="medai writer")

    @implements("REQ-LED-017", "REQ-LED-027")
    async def append(
        self,
        known_size: int,
        event_ids: Sequence[UUID],
        records: Sequence[bytes],
        *,
        timeline: int | None = None,
    ) -> Appended:
        if not 0 < len(records) == len(event_ids):
            raise RecordRefused(f"append: expected as many records as ids, got {len(records)} and {len(event_ids)}")
        sent = (list(event_ids), list(records))
        if timeline is None:
            row = await self._found(APPEND, (known_size, *sent))
        else:
            row = await self._found(APPEND_ON, (known_size, f"{timeline:08X}", *sent))
        if row is None:
            raise DatabaseChanged(f"database: it is not on timeline {timeline} any more; check it, then write")
        first, before, after, chain, between, leaves = row
        return Appended(
            first=first,
            before=tuple(before),
            after=tuple(after),
            chain=chain,
            between=tuple(between),
            leaves=tuple(leaves),
        )

    async def publish(self, size: int, checkpoint: bytes) -> None:
        await self._row(PUBLISH, (size, checkpoint))

    async def lease(self, name: str, holder: UUID, ttl_ms: int) -> Lease:
        held, term, remaining_ms = await self._row(LEASE, (name, holder, ttl_ms))
        return Lease(name=name, holder=holder, term=term, held=held, remaining_ms=remaining_ms)

    async def release(self, name: str, holder: UUID) -> None:
        await self._row(RELEASE, (name, holder))

    async def cosign(self, lease: Lease, cosigned: Cosigned) -> None:
        what = (cosigned.size, cosigned.checkpoint, cosigned.policy, cosigned.attested)
        await self._row(COSIGN, (lease.name, lease.holder, lease.term, *what))

    async def ready(self) -> Readiness:
        in_recovery, durable, system_identifier, timeline, size, why = await self._row(READY, ())
        _require_open(why)
        return Readiness(
            in_recovery=in_recovery,
            durable=durable,
            system_identifier=system_identifier,
            timeline=timeline,
            size=size,
        )

    async def close(self) -> None:
        await self._connections.close()

    async def _row(self, statement: str, parameters: tuple[object, ...]) -> tuple[Any, ...]:
        row = await self._found(statement, parameters)
        assert row is not None  # each statement is a function's one row
        return row

    async def _found(self, statement: str, parameters: tuple[object, ...]) -> tuple[Any, ...] | None:
        async def work(connection: AsyncConnection[Any]) -> tuple[Any, ...] | None:
            cursor = await connection.execute(statement, parameters, binary=True)
            row: tuple[Any, ...] | None = await cursor.fetchone()
            return row

        try:
            return await self._connections.run(work)
        except LedgerUnavailable as error:
            if statement != closing.WHY and isinstance(error.__cause__, InsufficientPrivilege):
                _require_open(*(await self._found(closing.WHY, ()) or (None,)))
            raise


def _require_open(why: str | None) -> None:
    """Raises `LogClosed` where the schema's comment says that the log is: nobody may write then, whoever logs in."""
    if why is not None and why.startswith(closing.MARK):
        successor = why.removeprefix(closing.MARK)
        raise LogClosed(f"database: this log was closed for good; {successor} continues it (docs/recovery.md)")
