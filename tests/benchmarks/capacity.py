"""What a record takes: bytes of its own, on disk with its indexes and its share of everything else, and in the
write-ahead log; at one record a commit, at ten and at a hundred. `docs/operations.md` computes with it."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

import psycopg
from msgspec import Struct

from audit import record
from audit.postgres.store import PostgresStore
from audit.record import Record
from tests.benchmarks.place import Log, Place
from tests.benchmarks.predictions import prediction
from tests.benchmarks.report import Row
from tests.benchmarks.sizes import Sizes

BATCHES: Final = (1, 10, 100)
ON_DISK: Final = (
    "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'ledger' AND c.relkind = 'r'"
)


class Taken(Struct, frozen=True, kw_only=True):
    """What the server says of itself at one moment."""

    on_disk: int
    wal: int


def rows(place: Place, sizes: Sizes) -> Iterator[Row]:
    """One row for each size of a commit."""
    for batch in BATCHES:
        name = f"capacity_{batch}"
        log = place.log(name)
        own = asyncio.run(_fill(log, 1, sizes.capacity_records, batch))  # the first pages and hints are not counted
        place.settle(name)
        before = _taken(place.admin_url(name))
        own = asyncio.run(_fill(log, 1 + sizes.capacity_records, sizes.capacity_records, batch))
        wal = _taken(place.admin_url(name)).wal - before.wal
        place.settle(name)
        on_disk = _taken(place.admin_url(name)).on_disk - before.on_disk
        count = sizes.capacity_records
        yield Row(
            name="bytes of write-ahead log over a record's own bytes",
            configuration=f"{count} predictions, {batch} a commit, after as many that are not counted",
            ratio=wal / own,
            measured={
                "record bytes": own / count,
                "bytes on disk a record": on_disk / count,
                "bytes of write-ahead log a record": wal / count,
            },
        )


async def _fill(log: Log, known_size: int, count: int, batch: int) -> int:
    """`count` more predictions, `batch` a commit; how many bytes they have by themselves."""
    store = PostgresStore(log.writer_url)
    own = 0
    try:
        while count > 0:
            entries: Sequence[Record] = [prediction() for _ in range(min(batch, count))]
            bodies = [record.encode(entry) for entry in entries]
            answer = await store.append(known_size, [record.event_uuid(entry) for entry in entries], bodies)
            own += sum(map(len, bodies))
            known_size = answer.first + len(bodies)
            count -= len(bodies)
    finally:
        await store.close()
    return own


def _taken(admin_url: str) -> Taken:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        disk = connection.execute(ON_DISK).fetchone()
        wal = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").fetchone()
    assert disk is not None
    assert wal is not None
    return Taken(on_disk=disk[0], wal=wal[0])
