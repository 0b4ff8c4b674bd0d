"""Row e: `medai audit verify` over the least that it could take, its three SHA-256 a record."""

import asyncio
import functools
import resource
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
    work: dict[str, list[float]] = {"complete": [], "complete in 2": []}
    for _ in range(sizes.verify_rounds):
        seconds["bare"].append(_bare(bodies))
        before = _processor_s()
        seconds["complete"].append(_verify(log, len(bodies), processes=1, schema=True))
        work["complete"].append(_processor_s() - before)
        seconds["hashes"].append(_verify(log, len(bodies), processes=1, schema=False))
        before = _processor_s()
        seconds["complete in 2"].append(_verify(log, len(bodies), processes=PROCESSES, schema=True))
        work["complete in 2"].append(_processor_s() - before)
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
    # On two cores PostgreSQL has one of them: what is left of a speed-up says little. That the work does not grow with
    # the processes says what more cores would do.
    spent = {name: 1e6 * of_slices(taken) / len(bodies) for name, taken in work.items()}
    yield Row(
        name=f"processor time of the complete verification: 1 process over {PROCESSES}, their start included",
        configuration=configuration,
        ratio=spent["complete"] / spent["complete in 2"],
        measured={f"{name} processor us/record": taken for name, taken in spent.items()},
    )


def _processor_s() -> float:
    """What this process and its children that have ended have used."""
    return sum(sum(resource.getrusage(whose)[:2]) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


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
            log.anchor(),
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
