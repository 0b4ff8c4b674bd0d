"""Row e: `medai audit verify` over the least that it could take, its three SHA-256 a record."""

import asyncio
import functools
from collections.abc import Iterator
from hashlib import sha256
from time import perf_counter

from audit import checkpoint, merkle, note, record, verification
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from tests.benchmarks.place import Log, Place
from tests.benchmarks.predictions import prediction
from tests.benchmarks.report import Row, of_slices
from tests.benchmarks.sizes import Sizes

COMPLETE_TARGET = 0.25
HASHES_TARGET = 0.5
BATCH = 32
PROCESSES = 2
PAGE = 4096


def rows(place: Place, sizes: Sizes) -> Iterator[Row]:
    """The bare loop, everything, the hashes alone, everything in two processes; in turns."""
    log = place.log("verify")
    asyncio.run(_fill(log, sizes.verified_records))
    bodies = asyncio.run(_bodies(log))
    seconds: dict[str, list[float]] = {"bare": [], "complete": [], "hashes": [], "complete in 2": []}
    for _ in range(sizes.verify_rounds):
        seconds["bare"].append(_bare(bodies))
        seconds["complete"].append(_verify(log, len(bodies), processes=1, schema=True))
        seconds["hashes"].append(_verify(log, len(bodies), processes=1, schema=False))
        seconds["complete in 2"].append(_verify(log, len(bodies), processes=PROCESSES, schema=True))
    us = {name: 1e6 * of_slices(taken) / len(bodies) for name, taken in seconds.items()}
    measured = {f"{name} us/record": taken for name, taken in us.items()}
    configuration = f"{len(bodies)} records as of a prediction in batches of {BATCH}, 1 process"
    yield Row(
        name="medai audit verify, complete, over a bare loop of its hashes",
        configuration=configuration,
        ratio=us["bare"] / us["complete"],
        target=COMPLETE_TARGET,
        measured=measured,
    )
    yield Row(
        name="medai audit verify, hashes alone, over a bare loop of them",
        configuration=configuration,
        ratio=us["bare"] / us["hashes"],
        target=HASHES_TARGET,
        measured=measured,
    )
    yield Row(
        name=f"speed-up of the complete verification with {PROCESSES} processes",
        configuration=f"{configuration} against {PROCESSES}, their start included; PostgreSQL on the same cores",
        ratio=us["complete"] / us["complete in 2"],
        measured=measured,
    )


def _bare(bodies: list[bytes]) -> float:
    """Leaf, chain and one node a record, over bytes in memory, kept by nobody."""
    start = perf_counter()
    chain = node = b"\x00" * 32
    for body in bodies:
        leaf = sha256(b"\x00" + body).digest()
        chain = sha256(b"\x02" + chain + leaf).digest()
        node = sha256(b"\x01" + node + leaf).digest()
    return perf_counter() - start


def _verify(log: Log, size: int, *, processes: int, schema: bool) -> float:
    """As `medai audit verify` runs it; anything but a clean verdict would not be a measurement."""
    start = perf_counter()
    report = asyncio.run(
        verification.verify(
            functools.partial(PostgresReader, log.reader_url),
            log.signer().verifier,
            log.anchor().all(),
            processes=processes,
            schema=schema,
        )
    )
    taken = perf_counter() - start
    assert (report.exit_code, report.found, report.size) == (0, (), size), report.words
    return taken


async def _fill(log: Log, wanted: int) -> None:
    """A ledger as the service leaves it: batches of `BATCH`, the last checkpoint anchored and published."""
    store, reader = PostgresStore(log.writer_url), PostgresReader(log.reader_url)
    signer, size = log.signer(), 1
    while size < wanted:
        entries = [prediction() for _ in range(BATCH)]
        answer = await store.append(size, [record.event_uuid(e) for e in entries], [record.encode(e) for e in entries])
        size = answer.first + BATCH
    text = checkpoint.Checkpoint(origin=signer.name, size=size, root=merkle.frontier_root(size, answer.after))
    signed = note.sign(checkpoint.format(text), (signer,))
    log.anchor().put(signed, system_identifier=None, timeline=1)
    await store.publish(size, signed.encode())
    await store.close()
    await reader.close()


async def _bodies(log: Log) -> list[bytes]:
    reader = PostgresReader(log.reader_url)
    size = (await reader.head()).size
    bodies = [stored.body async for stored in reader.records(0, size)]
    await reader.close()
    return bodies
