"""One process of several that append to the same ledger: run by test_postgres_many_writers.py.

Four threads, each with its own event loop, store and view of the tree, which it extends with what the database
says that others wrote and with its own records; it ends with an error where the database contradicts it.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

from audit import acceptance, merkle, record
from audit.ports import Head
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore

THREADS = 4


def entry() -> record.Request:
    return record.Request(
        format=record.FORMAT,
        event_id=record.new_event_id(),
        recorded_at_us=1,
        request_id=record.new_event_id(),
        correlation_id=record.new_event_id(),
        method="GET",
        route="/health",
        status=200,
        peer=f"test:{'0' * 64}",
        release=None,
    )


async def write(writer_url: str, known: Head, batches: int) -> None:
    store = PostgresStore(writer_url, statement_timeout_ms=60_000, lock_timeout_ms=60_000)
    for count in range(batches):
        entries = [entry() for _ in range(1 + count % 5)]
        bodies = [record.encode(one) for one in entries]
        answer = await store.append(known.size, [record.event_uuid(one) for one in entries], bodies)
        tree = acceptance.check_append(known, [merkle.leaf_hash(body) for body in bodies], answer)
        known = Head(size=tree.size, frontier=tree.frontier, chain=answer.chain)
    await store.close()


async def head(reader_url: str) -> Head:
    reader = PostgresReader(reader_url)
    try:
        return await reader.head()
    finally:
        await reader.close()


def main(writer_url: str, reader_url: str, batches: int) -> None:
    known = asyncio.run(head(reader_url))
    with ThreadPoolExecutor(THREADS) as threads:
        writers = [threads.submit(asyncio.run, write(writer_url, known, batches)) for _ in range(THREADS)]
    for writer in writers:
        writer.result()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
