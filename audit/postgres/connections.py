"""A few connections to PostgreSQL, opened when they are wanted, thrown away at the first doubt.

No pool of psycopg's: its pauses between attempts grow to minutes, and here a database that is back is to be
found at the next call. Each call is one autocommit statement, so a transaction pooler may stand between.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import psycopg
from msgspec import Struct
from psycopg import AsyncConnection, BaseConnection, conninfo
from psycopg.errors import Diagnostic
from psycopg.pq import TransactionStatus

from audit.errors import LedgerUnavailable, SettingInvalid
from audit.postgres.sqlstates import translate
from traceability.marks import implements

Result = TypeVar("Result")
Work = Callable[[AsyncConnection[Any]], Awaitable[Result]]

# The server ends a statement itself; what is ours is for a server or a network that no longer answers at all.
GRACE_MS: Final = 1_000
# A peer that vanished is noticed within about half a minute, also by an idle connection (libpq, "Keywords").
KEEPALIVES: Final = {"keepalives_idle": "15", "keepalives_interval": "5", "keepalives_count": "3"}
# The server notices a client that vanished as soon, and not after two hours: it may hold the append lock.
SERVER_KEEPALIVES: Final = "-c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
# A statement that is cancelled while its commit waits for a synchronous standby ends well, with a warning from this
# function (src/backend/replication/syncrep.c): it is committed here, and a failover may lose it.
STANDBY_WAIT: Final = "SyncRepWaitForLSN"


class Limits(Struct, frozen=True, kw_only=True):
    """How many connections there may be, and how long anything may take."""

    connections: int
    connect_timeout_ms: int
    statement_timeout_ms: int
    lock_timeout_ms: int


class _Lost(LedgerUnavailable):
    """The connection ended under a statement: nobody knows whether it was carried out."""


class Connections:
    """`run` gives one piece of work a connection of its own. For one event loop."""

    def __init__(self, url: str, limits: Limits, *, application_name: str) -> None:
        self._target = target(url, limits, application_name=application_name)
        self._connect_s = limits.connect_timeout_ms / 1000
        self._statement_s = (limits.statement_timeout_ms + GRACE_MS) / 1000
        self._idle: list[AsyncConnection[Any]] = []
        self._free = asyncio.Semaphore(limits.connections)
        self._closed = False

    @implements("REQ-DEP-015")
    async def run(self, work: Work[Result]) -> Result:
        """What `work` returns, in bounded time. Raises the ledger's own errors.

        A connection may have died while it was idle, as all do when the server restarts: then the work is
        done once more, on a new one. So `work` is one statement that may be repeated.
        What it wrote is durable, on a synchronous standby too, where the server has one.
        """
        await self._acquire()
        try:
            if self._idle:
                try:
                    return await self._use(self._idle.pop(), work)
                except _Lost:
                    await self._discard_idle()
            return await self._use(await self._connect(), work)
        finally:
            self._free.release()

    async def close(self) -> None:
        """Idle connections are closed now, others when their work is done."""
        self._closed = True
        await self._discard_idle()

    async def _acquire(self) -> None:
        try:
            async with asyncio.timeout(self._connect_s + self._statement_s):
                await self._free.acquire()
        except TimeoutError as error:
            raise LedgerUnavailable("database: every connection is in use; none became free in time") from error

    async def _connect(self) -> AsyncConnection[Any]:
        try:
            async with asyncio.timeout(self._connect_s):
                # prepare_threshold: behind a transaction pooler a prepared statement may be another server's.
                return await AsyncConnection.connect(self._target, autocommit=True, prepare_threshold=None)
        except TimeoutError as error:
            raise LedgerUnavailable(f"database: no connection within {self._connect_s} s") from error
        except psycopg.Error as error:
            raise translate(error) from error

    async def _use(self, connection: AsyncConnection[Any], work: Work[Result]) -> Result:
        loop = asyncio.get_running_loop()
        deadline = loop.call_later(self._statement_s, sever, connection)
        sources: list[str | None] = []

        def noticed(notice: Diagnostic) -> None:
            sources.append(notice.source_function)  # read now: it is gone when this returns

        connection.add_notice_handler(noticed)
        try:
            result = await work(connection)
        except psycopg.Error as error:
            meant = translate(error)
            if loop.time() >= deadline.when():
                await connection.close()
                raise LedgerUnavailable(f"database: no answer within {self._statement_s} s") from error
            if connection.closed:
                raise _Lost(str(meant)) from error
            await self._give_back(connection)
            raise meant from error
        except BaseException:
            # Cancelled, or a fault of ours: whatever the server still sends must not meet the next statement.
            await connection.close()
            raise
        finally:
            deadline.cancel()
            connection.remove_notice_handler(noticed)
        await self._give_back(connection)
        if STANDBY_WAIT in sources:
            raise LedgerUnavailable("database: somebody ended its wait for the standby, which may not have this commit")
        return result

    async def _give_back(self, connection: AsyncConnection[Any]) -> None:
        if self._closed or connection.info.transaction_status != TransactionStatus.IDLE:
            await connection.close()
        else:
            self._idle.append(connection)

    async def _discard_idle(self) -> None:
        while self._idle:
            await self._idle.pop().close()


def sever(connection: BaseConnection[Any]) -> None:
    """Let whoever waits for the server's answer see the connection end, at once.

    Cancelling them instead would have psycopg ask the server, which no longer answers, to cancel the statement.
    """
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)


def target(url: str, limits: Limits, *, application_name: str) -> str:
    """`url` with our timeouts. Whatever it says itself stands; one with `options` (which a transaction pooler
    may refuse) keeps them as they are, and its role's own settings (ALTER ROLE ... SET) must bound statements."""
    try:
        given = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise SettingInvalid("database: its URL is not one that libpq reads; see PostgreSQL 32.1.1") from error
    options = (
        f"-c statement_timeout={limits.statement_timeout_ms} -c lock_timeout={limits.lock_timeout_ms}"
        f" -c idle_in_transaction_session_timeout={limits.statement_timeout_ms}"
        f" {SERVER_KEEPALIVES}"
    )
    ours = {
        "application_name": application_name,
        "connect_timeout": str(max(2, -(-limits.connect_timeout_ms // 1000))),
        "tcp_user_timeout": str(limits.statement_timeout_ms + GRACE_MS),
        "options": options,
        **KEEPALIVES,
    }
    return conninfo.make_conninfo(**{**ours, **{name: str(value) for name, value in given.items()}})
