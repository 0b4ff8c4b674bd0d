"""A process that appends through `audit.ledger.Ledger`, as a worker does, with so many requests under way.

    python -m tests.benchmarks.appender LOG...    each LOG as JSON: its place, `max_batch_records` and its kind

The kinds: `audited` is the service's own; `plain` and `sent` are those of `plain.py`, `chained` that of `chained.py`.
Orders on standard input: {"log": 0, "seconds": 2.0, "in_flight": 32}; the answer is how many became durable in that
time and how long each took. The records are made before the time begins: making them is no part of an append.
"""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

import uvloop

from audit import record
from audit.clock import SystemClock
from audit.ledger import Ledger
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from audit.record import Prediction
from audit.settings import LedgerSettings
from tests.benchmarks.chained import ChainedLog
from tests.benchmarks.crew import say
from tests.benchmarks.place import Log
from tests.benchmarks.plain import PlainLedger
from tests.benchmarks.predictions import prediction


def told(log: Log, *, kind: str = "audited", max_batch_records: int = LedgerSettings().max_batch_records) -> str:
    """A LOG of the command line."""
    where = {"home": str(log.home), "writer_url": log.writer_url, "reader_url": log.reader_url}
    return json.dumps({**where, "kind": kind, "max_batch_records": max_batch_records})


async def _open(order: dict[str, Any], resources: AsyncExitStack) -> Ledger | ChainedLog:
    """The ledger of `order`, as a worker opens it: its own connections, the settings' defaults."""
    log = Log(home=Path(order["home"]), writer_url=order["writer_url"], reader_url=order["reader_url"])
    store, reader = PostgresStore(log.writer_url), PostgresReader(log.reader_url)
    resources.push_async_callback(store.close)
    resources.push_async_callback(reader.close)
    settings = LedgerSettings(max_batch_records=order["max_batch_records"])
    given: dict[str, Any] = {
        "store": store,
        "reader": reader,
        "signer": log.signer(),
        "anchor": log.anchor(),
        "clock": SystemClock(),
        "settings": settings,
        "process_id": record.new_event_id(),
    }
    ledger: Ledger | ChainedLog
    if order["kind"] == "audited":
        ledger = Ledger(**given)
    elif order["kind"] == "chained":
        ledger = ChainedLog(log.writer_url, settings)
    else:
        ledger = PlainLedger(log.writer_url, sends_columns=order["kind"] == "sent", **given)
    await ledger.start()
    resources.push_async_callback(ledger.close)
    return ledger


async def _slice(
    ledger: Ledger | ChainedLog, *, seconds: float, in_flight: int, made: list[Prediction]
) -> dict[str, object]:
    until = perf_counter() + seconds
    taken: list[float] = []

    async def request() -> None:
        while (begun := perf_counter()) < until and made:
            ledger.enter()
            await ledger.append(made.pop())
            if (now := perf_counter()) < until:
                taken.append(now - begun)

    start = perf_counter()
    await asyncio.gather(*(request() for _ in range(in_flight)))
    assert made, "more records were made durable than were made"
    return {
        "per_s": len(taken) / seconds,
        "took_s": perf_counter() - start,
        "ms": [round(1000 * one, 3) for one in taken],
    }


async def _main(arguments: list[str]) -> None:
    async with AsyncExitStack() as resources:
        ledgers = [await _open(json.loads(argument), resources) for argument in arguments]
        say("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = json.loads(line)
            if "make" in order:
                made = [prediction() for _ in range(order["make"])]
                say("made")
            else:
                say(await _slice(ledgers[order.pop("log")], made=made, **order))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(sys.argv[1:]))
