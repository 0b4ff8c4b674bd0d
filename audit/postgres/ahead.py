"""Pages that a thread fetches ahead: the server makes them, and their bytes are taken over, while the caller computes.

An event loop takes no bytes while its caller computes, and the socket holds less than a page: that alone kept the
server waiting for a fifth of a verification. libpq's blocking call takes a whole page without Python's lock; a call
that takes it back for each piece of a page waits for the caller each time.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format

from audit.errors import LedgerUnavailable
from audit.postgres.connections import sever
from audit.postgres.sqlstates import translate

PAGES_AHEAD: Final = 3

Values = tuple[bytes | None, ...]
"""One row as the server sent it: each value in PostgreSQL's binary format."""


async def pages(
    target: str, select: bytes, bounds: range, end: int, *, answer_s: float
) -> AsyncGenerator[list[Values], None]:
    """The rows of `select`, from $1 to before $2, for each [at, at + step) of `bounds`, the last one cut at `end`.

    In order. One connection of its own, one statement a page, each answered within `answer_s`. Raises the
    ledger's errors.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, thread_name_prefix="medai reader")
    connection = None
    try:
        connection = await _answered(loop.run_in_executor(thread, _connect, target), answer_s)
        starts = iter(bounds)
        coming: deque[asyncio.Future[list[Values]]] = deque()
        while True:
            while len(coming) < PAGES_AHEAD and (at := next(starts, None)) is not None:
                upto = min(at + bounds.step, end)
                page = loop.run_in_executor(thread, _fetch, connection, select, (at, upto))
                # Of those that fail after another one did, nobody will ask.
                page.add_done_callback(lambda done: done.cancelled() or done.exception())
                coming.append(page)
            if not coming:
                return
            yield await _answered(coming.popleft(), answer_s)
    finally:
        thread.shutdown(wait=False, cancel_futures=True)
        if connection is not None:
            sever(connection)  # a statement that is still under way ends with an error, and so does its thread
            connection.close()


async def _answered(work: "asyncio.Future[Any]", answer_s: float) -> Any:
    try:
        return await asyncio.wait_for(work, answer_s)
    except TimeoutError as error:
        raise LedgerUnavailable(f"database: no answer within {answer_s} s") from error
    except psycopg.Error as error:
        raise translate(error) from error


def _connect(target: str) -> "Connection[Any]":
    # prepare_threshold: behind a transaction pooler a prepared statement may be another server's.
    return psycopg.connect(target, autocommit=True, prepare_threshold=None)


def _fetch(connection: "Connection[Any]", select: bytes, bounds: tuple[int, int]) -> list[Values]:
    given = [b"%d" % bound for bound in bounds]
    result = connection.pgconn.exec_params(select, given, result_format=Format.BINARY)
    if result.status != ExecStatus.TUPLES_OK:
        raise error_from_result(result, encoding="utf-8")
    columns = range(result.nfields)
    return [tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)]
