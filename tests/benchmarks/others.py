"""Rows g: beside ours, pymerkle on SQLite, and a naive `prev_hash` column; each with a commit a record."""

import asyncio
import random
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from audit import record, tree
from audit.postgres.reader import PostgresReader
from tests.benchmarks import chained
from tests.benchmarks.appender import told
from tests.benchmarks.crew import Crew
from tests.benchmarks.place import Log, Place
from tests.benchmarks.predictions import prediction
from tests.benchmarks.report import Row, of_slices, percentile
from tests.benchmarks.sizes import Sizes

ENVIRONMENT = Path("build/bench/others")
"""Kept: what is installed in it is the same for every run."""
PINNED = Path(__file__).with_name("others.txt")
CLIENTS = 32
RECORDS_A_S = 25_000  # more than one process can append
INSTALL_LIMIT_S = 300
OURS, NAIVE, PYMERKLE = "with a ledger", "prev_hash", "pymerkle"


def rows(place: Place, sizes: Sizes) -> Iterator[Row]:
    """All take turns; pymerkle is left out, aloud, where it cannot be installed."""
    log = place.log("others")
    chained.make(place.admin_url("others"))
    python = _environment()
    logs = [told(log), told(log, kind="chained")]
    record_bytes = len(record.encode(prediction()))
    with Crew("appender", logs, count=1) as crew:
        if python is None:
            yield from _rows(sizes, crew, None, log)
            return
        script = str(Path(__file__).with_name("pymerkle_log.py"))
        command = [str(python), "-I", script, str(place.folder / "pymerkle.sqlite"), str(record_bytes)]
        with Crew("pymerkle_log", (), count=1, command=command) as pymerkle:
            yield from _rows(sizes, crew, pymerkle, log)


def _rows(sizes: Sizes, crew: Crew, pymerkle: Crew | None, log: Log) -> Iterator[Row]:
    per_s: dict[str, list[float]] = {}
    p50: dict[str, list[float]] = {}

    def keep(name: str, answer: dict[str, object]) -> None:
        assert isinstance(answer["ms"], list)
        per_s.setdefault(name, []).append(float(str(answer["per_s"])))
        p50.setdefault(name, []).append(percentile(answer["ms"], 50))

    if pymerkle is not None:
        pymerkle.ask(fill=sizes.other_records)
    for _ in range(sizes.append_rounds):
        for at, name in enumerate((OURS, NAIVE)):
            crew.ask(make=int(RECORDS_A_S * sizes.append_slice_s))
            (answer,) = crew.ask(log=at, seconds=sizes.append_slice_s, in_flight=CLIENTS)
            keep(name, answer)
        if pymerkle is not None:
            (answer,) = pymerkle.ask(seconds=sizes.append_slice_s)
            keep(PYMERKLE, answer)
    measured = {f"{name}/s": of_slices(slices) for name, slices in per_s.items()}
    measured |= {f"{name} p50 ms": of_slices(slices) for name, slices in p50.items()}
    clients = {NAIVE: f"{CLIENTS} clients of 1 process", PYMERKLE: "1 writer, which is what it has"}
    for name in per_s:
        if name != OURS:
            yield Row(
                name=f"appends with a ledger over {name}, a commit a record",
                configuration=f"{CLIENTS} clients of 1 process beside {clients[name]}",
                ratio=of_slices(per_s[OURS]) / of_slices(per_s[name]),
                measured=measured,
            )
    if pymerkle is not None:
        (theirs,) = pymerkle.ask(proofs=sizes.proofs, size=sizes.other_records)
        ours = asyncio.run(_proofs(log, sizes.proofs, sizes.other_records))
        yield Row(
            name="an inclusion proof of ours over one of pymerkle's, median",
            configuration=f"random records of a tree of {sizes.other_records}; ours over PostgreSQL's socket",
            ratio=percentile(ours, 50) / percentile(theirs, 50),
            measured={
                f"{name} p{percent} ms": percentile(taken, percent)
                for name, taken in (("ours", ours), (PYMERKLE, theirs))
                for percent in (50, 99)
            },
        )


async def _proofs(log: Log, proofs: int, size: int) -> list[float]:
    reader = PostgresReader(log.reader_url)
    try:
        assert (await reader.head()).size >= size, "fewer records were appended than are to be proved"
        taken = []
        for _ in range(proofs):
            index = random.randrange(size)
            begun = perf_counter()
            await tree.inclusion(reader, index, size)
            taken.append(1000 * (perf_counter() - begun))
        return taken
    finally:
        await reader.close()


def _environment() -> Path | None:
    """The Python that has what `others.txt` names; None where it cannot be installed."""
    python = ENVIRONMENT.absolute() / "bin" / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", str(PINNED)]
    done = subprocess.run(install, capture_output=True, text=True, timeout=INSTALL_LIMIT_S)
    if done.returncode != 0:
        sys.stderr.write(f"left out: {PINNED.name} cannot be installed: {done.stderr.strip()[-300:]}\n")
        return None
    return python
