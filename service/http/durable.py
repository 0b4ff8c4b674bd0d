"""An append that runs to its end, whatever becomes of the caller."""

import asyncio
from collections.abc import Callable

from audit.ports import Proven, Recorder
from audit.record import Record
from traceability.marks import implements


@implements("REQ-LED-004")
async def durable(ledger: Recorder, record: Record, noted: Callable[[Proven], None] | None = None) -> Proven:
    """`ledger.append`, shielded: a cancellation that comes meanwhile is raised only when the append has ended.

    `noted` is called as soon as the record is durable, also where the cancellation is what the caller hears.
    """
    append = asyncio.ensure_future(ledger.append(record))
    cancelled: asyncio.CancelledError | None = None
    while not append.done():
        try:
            await asyncio.wait((append,))
        except asyncio.CancelledError as error:
            cancelled = error
    if noted is not None and not append.cancelled() and append.exception() is None:
        noted(append.result())
    if cancelled is not None:
        raise cancelled
    return append.result()
