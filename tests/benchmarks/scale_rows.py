"""What is measured of a long ledger, each beside something short on the same server, in turns."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from time import perf_counter

import psycopg

from audit import checkpoint, note, record, tree
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from tests.benchmarks.place import Log
from tests.benchmarks.predictions import prediction
from tests.benchmarks.report import Row, of_slices, percentile
from tests.benchmarks.sizes import Sizes

PROOF_TARGET = 3.0
APPEND_TARGET = 1.2
MEMORY_TARGET = 1.2
READ_ROWS = 256
BATCH = 32
VERIFY_LIMIT_S = 3 * 3_600
SIZES = """
    SELECT c.relname, pg_table_size(c.oid) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'ledger' AND c.relkind IN ('r', 'i') AND c.reltuples > 100 ORDER BY 2 DESC
"""
OWN = "SELECT avg(octet_length(record)) FROM ledger.records WHERE idx < 10000"


async def proof(log: Log, size: int, sizes: Sizes) -> Row:
    """Of random records, each followed by a read of as many rows as a tile has, at a random place."""
    reader = PostgresReader(log.reader_url)
    published = await reader.checkpoint()
    assert published is not None
    opened = note.open(published[1], (log.signer().verifier,))
    signed = checkpoint.parse(opened.text)
    seconds: dict[str, list[float]] = {"proof": [], "proof under the checkpoint": [], "read": []}
    for _ in range(sizes.proofs):
        for name, taken in seconds.items():
            index = random.randrange(size)
            begun = perf_counter()
            if name == "proof":
                await tree.inclusion(reader, index, signed.size)
            elif name == "read":
                first = min(index, size - READ_ROWS)
                assert len(await reader.leaf_hashes(first, first + READ_ROWS)) == READ_ROWS
            else:
                await tree.inclusion_under(reader, index, signed.size, signed)
            taken.append(perf_counter() - begun)
    await reader.close()
    measured = {
        f"{name} p{percent} ms": 1000 * percentile(taken, percent)
        for name, taken in seconds.items()
        for percent in (50, 99)
    }
    return Row(
        name=f"p99 of an inclusion proof, as served, over one of an indexed read of {READ_ROWS} rows",
        configuration=f"{sizes.proofs} random records of {size}",
        ratio=measured["proof under the checkpoint p99 ms"] / measured["read p99 ms"],
        target=PROOF_TARGET,
        bound="at most",
        measured=measured,
    )


async def append(long: Log, short: Log, long_size: int, short_size: int, sizes: Sizes) -> Row:
    """Batches to both in turns, from where they end; each is durable before the next.

    An event id is random, so each record touches another page of its index, and the first touch of a page after a
    checkpoint writes all of it to the write-ahead log (`full_page_writes`). A long ledger has many such pages: what an
    append costs just after a checkpoint is measured first, and the ratio is of what it costs from then on.
    """
    stores = {"long": PostgresStore(long.writer_url), "short": PostgresStore(short.writer_url)}
    known = {name: (await store.ready()).size for name, store in stores.items()}

    async def in_turns(rounds: int, names: Sequence[str]) -> dict[str, list[float]]:
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(rounds):
            for name in names:
                entries = [prediction() for _ in range(BATCH)]
                ids, bodies = [record.event_uuid(one) for one in entries], [record.encode(one) for one in entries]
                begun = perf_counter()
                answer = await stores[name].append(known[name], ids, bodies)
                seconds[name].append(perf_counter() - begun)
                known[name] = answer.first + BATCH
        return seconds

    first = await in_turns(sizes.scale_batches, tuple(stores))
    await in_turns(sizes.scale_warm_batches, ("long",))
    seconds = await in_turns(sizes.scale_batches, tuple(stores))
    for store in stores.values():
        await store.close()
    return Row(
        name=f"an append at {long_size} records over one at {short_size}",
        configuration=f"{sizes.scale_batches} batches of {BATCH} to each, {sizes.scale_warm_batches} after the start",
        ratio=of_slices(seconds["long"]) / of_slices(seconds["short"]),
        target=APPEND_TARGET,
        bound="at most",
        measured={
            **{
                f"{name} p{percent} ms": 1000 * percentile(taken, percent)
                for name, taken in seconds.items()
                for percent in (50, 99)
            },
            **{f"{name} p50 ms after a checkpoint": 1000 * percentile(taken, 50) for name, taken in first.items()},
        },
    )


def memory(long: Log, middle: Log, long_size: int, middle_size: int) -> Row:
    """The most that a verification of the whole ledger holds, in a process of its own."""
    peaks, took = {}, {}
    for name, log in (("middle", middle), ("long", long)):
        peaks[name], took[name] = _verified(log)
    return Row(
        name=f"memory of medai audit verify at {long_size} records over that at {middle_size}",
        configuration="one process, everything; a short tail after the anchor",
        ratio=peaks["long"] / peaks["middle"],
        target=MEMORY_TARGET,
        bound="at most",
        measured={
            "long MiB": peaks["long"], "middle MiB": peaks["middle"], "long s": took["long"],
            "long us/record": 1e6 * took["long"] / long_size,
        },
    )  # fmt: skip


def _verified(log: Log) -> tuple[float, float]:
    """Peak of the resident memory in MiB, and seconds, of `medai audit verify`; anything but valid measures nothing."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MEDAI_")}
    environment |= {
        "MEDAI_HOME": str(log.home),
        "MEDAI_DATABASE_URL": log.writer_url,
        "MEDAI_DATABASE_READER_URL": log.reader_url,
    }
    command = [sys.executable, "-m", "tests.benchmarks.held", "audit", "verify", "--processes", "1", "--json"]
    begun = perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=VERIFY_LIMIT_S)
    taken = perf_counter() - begun
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["found"] == [], done.stdout
    return int(done.stderr.splitlines()[-1]) / 1024, taken


def disk(admin_url: str, size: int) -> Row:
    """Tables with their indexes, a record's part of each, over the record's own bytes."""
    with psycopg.connect(admin_url) as connection:
        found = connection.execute(SIZES).fetchall()
        own = connection.execute(OWN).fetchone()
    assert own is not None
    a_record = {f"{name} B": taken / size for name, taken in found}
    return Row(
        name="bytes on disk over the record's own bytes",
        configuration=f"{size} records as of a prediction in batches of {BATCH}; tables and indexes, without the WAL",
        ratio=sum(a_record.values()) / float(own[0]),
        measured={"record B": float(own[0]), "all B": sum(a_record.values()), **a_record},
    )
