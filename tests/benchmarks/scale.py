"""`make bench-scale`: what ten million records cost: a proof, an append, a verification's memory, the disk.

    python -m tests.benchmarks.scale

BENCH_SCALE_FOLDER (default build/bench/scale) keeps the ledgers, so that they are made once; BENCH_SCALE_RECORDS is how
long the long one is. What is measured goes to build/bench/scale.txt and scale.json. BENCH_QUICK=1 measures moments.
"""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from msgspec import Struct

from audit import checkpoint, merkle, note
from audit.clock import SystemClock
from audit.postgres import embedded, migrate
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from tests.benchmarks import bulk, report, scale_rows, sizes
from tests.benchmarks.place import Log, Place
from tests.benchmarks.report import Row
from tests.benchmarks.sizes import Sizes

OUT = Path("build/bench")
BATCH = 32
LOG_BYTES = 5_000_000_000
"""For PostgreSQL's write-ahead log (max_wal_size is 1 GB unless it is set, and a soft limit) while records come in."""


class Ledgers(Struct, frozen=True, kw_only=True):
    """The long one, and those that it is compared with."""

    short: int = 10_000
    middle: int = 100_000
    long: int = 10_000_000

    @property
    def all(self) -> dict[str, int]:
        return {"short": self.short, "middle": self.middle, "long": self.long}


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what was started is ended first
    folder = Path(os.environ.get("BENCH_SCALE_FOLDER") or OUT / "scale").absolute()
    ledgers = Ledgers(long=int(os.environ.get("BENCH_SCALE_RECORDS") or Ledgers().long))
    with serving(folder) as place:
        about = report.environment(place.maintenance_url, "quick" if sizes.chosen() is sizes.QUICK else "full")
        sys.stdout.write(report.write(OUT, about, list(rows(place, ledgers, sizes.chosen())), name="scale"))
    return 0


@contextmanager
def serving(folder: Path) -> Iterator[Place]:
    """The server of `folder` runs while the block does; what it holds stays."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    home = folder / "server"
    cluster = embedded.start(home)
    try:
        migrate.upgrade(cluster.admin_url)
        yield Place(folder=folder, cluster=cluster)
    finally:
        embedded.stop(home)


def rows(place: Place, ledgers: Ledgers, sizes: Sizes) -> Iterator[Row]:
    """Makes what is not there yet, and the short one anew, which grows while it is measured; then measures."""
    (place.folder / f"{_title('short', ledgers.short)}.whole").unlink(missing_ok=True)
    logs = {name: made(place, name, count) for name, count in ledgers.all.items()}
    yield asyncio.run(scale_rows.proof(logs["long"], ledgers.long, sizes))
    yield asyncio.run(scale_rows.append(logs["long"], logs["short"], ledgers.long, ledgers.short, sizes))
    yield scale_rows.memory(logs["long"], logs["middle"], ledgers.long, ledgers.middle)
    yield scale_rows.disk(place.admin_url(_title("long", ledgers.long)), ledgers.long)


def made(place: Place, name: str, count: int) -> Log:
    """The ledger of `count` records; one that is not whole is made anew."""
    title = _title(name, count)
    whole = place.folder / f"{title}.whole"
    if whole.exists():
        return place.existing(title)
    _require_room(place.folder, count)
    place.forget(title)
    sys.stderr.write(f"making a ledger of {count} records\n")
    begun = perf_counter()
    log = place.log(title)
    asyncio.run(_fill(place, title, log, count))
    whole.write_text(f"{count} records in {perf_counter() - begun:.0f} s\n", "utf-8")
    return log


def _title(name: str, count: int) -> str:
    return f"scale_{name}_{count}"


def _require_room(folder: Path, count: int) -> None:
    wanted = count * bulk.BYTES_A_RECORD + min(LOG_BYTES, count * bulk.BYTES_A_RECORD)
    free = shutil.disk_usage(folder).free
    if free < wanted:
        sys.exit(f"{folder}: {count} records need {wanted >> 30} GiB, {free >> 30} are free; set BENCH_SCALE_FOLDER")


async def _fill(place: Place, title: str, log: Log, count: int) -> None:
    """As the service leaves it: its end signed, anchored and published, its tables vacuumed as in daily use."""
    store, reader = PostgresStore(log.writer_url), PostgresReader(log.reader_url)
    begun = await reader.head()
    first_us = SystemClock().now_us()
    head = await asyncio.to_thread(
        bulk.build, place.admin_url(title), begun, count - begun.size, batch=BATCH, first_us=first_us
    )
    assert await reader.head() == head
    signer = log.signer()
    root = merkle.frontier_root(head.size, head.frontier)
    text = checkpoint.format(checkpoint.Checkpoint(origin=signer.name, size=head.size, root=root))
    signed = note.sign(text, (signer,))
    log.anchor().put(signed, system_identifier=None, timeline=1)
    await store.publish(head.size, signed.encode())
    await store.close()
    await reader.close()
    place.settle(title)


if __name__ == "__main__":
    sys.exit(main())
