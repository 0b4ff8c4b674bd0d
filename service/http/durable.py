"""An append that runs to its end, whatever becomes of the caller."""

import asyncio

from audit.ports import Proven, Recorder
from audit.record import Record


async def durable(ledger: Recorder, record: Record) -> Proven:
    """`ledger.append`, shielded: a cancellation that comes meanwhile is raised only when the append has ended."""
    append = asyncio.ensure_future(ledger.append(record))
    cancelled: asyncio.CancelledError | None = None
    while not append.done():
        try:
            await asyncio.wait((append,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        # Looked at, so that asyncio does not warn; the cancellation is what the caller must hear.
        if not append.cancelled():
            append.exception()
        raise cancelled
    return append.result()
