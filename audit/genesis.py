"""Record 0: how a log begins. Written once; everything after it hangs on its origin and key."""

import secrets
import socket

from audit import acceptance, chain, merkle, note, record
from audit.errors import LedgerExists, LedgerUnavailable
from audit.ports import Clock, Head, Reader, Store
from audit.record import FORMAT, Genesis
from traceability.marks import implements

CLOCK_TOLERANCE_US = 10_000_000
RETRIES = 5


def default_origin() -> str:
    """`<host>/<random>`: 64 random bits, because a shared default would collide at a witness."""
    host = "".join(letter for letter in socket.gethostname() if letter.isalnum() or letter in ".-") or "localhost"
    return f"{host}/{secrets.token_hex(8)}"


@implements("REQ-LED-021")
async def initialise(store: Store, reader: Reader, signer: note.Signer, clock: Clock) -> Genesis:
    """Write record 0 for the log named by `signer`, durable when it returns.

    Raises `LedgerExists` where there is a record already, `LedgerUnavailable` where the database is away.
    """
    if (await reader.head()).size > 0:
        raise LedgerExists("ledger: record 0 is there already; a log begins once")
    genesis = Genesis(
        format=FORMAT,
        event_id=record.new_event_id(),
        recorded_at_us=clock.now_us(),
        origin=signer.name,
        verifier_key=str(signer.verifier),
        formats=(FORMAT, "medai.answer/1", "c2sp.org/tlog-proof@v1"),
        clock_tolerance_us=CLOCK_TOLERANCE_US,
    )
    await _append(store, signer, genesis)
    return genesis


async def _append(store: Store, signer: note.Signer, genesis: Genesis) -> None:
    body = record.encode(genesis)
    leaf = merkle.leaf_hash(body)
    empty = Head(size=0, frontier=(), chain=chain.start(signer.name))
    for attempt in range(RETRIES):
        try:
            answer = await store.append(0, [record.event_uuid(genesis)], [body])
        except LedgerUnavailable:
            if attempt == RETRIES - 1:
                raise
            continue
        acceptance.check_append(empty, [leaf], answer)
        return
