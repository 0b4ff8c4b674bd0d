"""Record 0: how a log begins. Written once; everything after it hangs on its origin and key."""

import asyncio
import secrets
import socket

from audit import acceptance, chain, merkle, note, record
from audit.errors import LedgerExists, LedgerForked, LedgerUnavailable
from audit.ports import Anchor, Clock, Head, Reader, Store
from audit.record import FORMAT, Continued, Genesis
from traceability.marks import implements

CLOCK_TOLERANCE_US = 10_000_000
RETRIES = 5


def default_origin() -> str:
    """`<host>/<random>`: 64 random bits, because a shared default would collide at a witness."""
    host = "".join(letter for letter in socket.gethostname() if letter.isalnum() or letter in ".-") or "localhost"
    return f"{host}/{secrets.token_hex(8)}"


@implements("REQ-LED-021")
async def initialise(
    store: Store, reader: Reader, signer: note.Signer, clock: Clock, anchor: Anchor | None = None
) -> Genesis:
    """Write record 0 for the log named by `signer`, durable when it returns.

    Raises `LedgerExists` where there is a record already, `LedgerForked` where `anchor` has a checkpoint of this very
    log, whose database this is therefore not, `LedgerUnavailable` where the database is away.
    """
    if (await reader.head()).size > 0:
        raise LedgerExists("ledger: record 0 is there already; a log begins once")
    anchored = await asyncio.to_thread(anchor.newest) if anchor is not None else None
    if anchored is not None:
        raise LedgerForked(
            f"ledger: this database is empty, but {signer.name} was anchored with {anchored.size} records: "
            f"{acceptance.REMEDY}"
        )
    genesis = make(signer.verifier, clock)
    await write(store, genesis)
    return genesis


@implements("REQ-LED-021")
def make(key: note.Verifier, clock: Clock, *, continues: Continued | None = None) -> Genesis:
    """Record 0 of the log that `key` is named after; it may continue one that was closed."""
    return Genesis(
        format=FORMAT,
        event_id=record.new_event_id(),
        recorded_at_us=clock.now_us(),
        origin=key.name,
        verifier_key=str(key),
        formats=(FORMAT, "medai.answer/1", "c2sp.org/tlog-proof@v1"),
        clock_tolerance_us=CLOCK_TOLERANCE_US,
        continues=continues,
    )


@implements("REQ-LED-021")
async def write(store: Store, genesis: Genesis) -> None:
    """`genesis` is durable in the empty ledger of `store`; the same one again changes nothing.

    Raises `LedgerExists` where another is there, `LedgerUnavailable`.
    """
    body = record.encode(genesis)
    leaf = merkle.leaf_hash(body)
    empty = Head(size=0, frontier=(), chain=chain.start(genesis.origin))
    for attempt in range(RETRIES):
        try:
            answer = await store.append(0, [record.event_uuid(genesis)], [body])
        except LedgerUnavailable:
            if attempt == RETRIES - 1:
                raise
            continue
        acceptance.check_append(empty, [leaf], answer)
        return
