"""One process of a fleet whose key is rotated under it: run by test_postgres_rotation.py.

It appends one record after the other, prints each receipt's size and signer, and ends when its input does.
"""

import asyncio
import sys
from pathlib import Path

from audit import checkpoint, note, receipt, record
from audit.anchors import FolderAnchor
from audit.clock import SystemClock
from audit.keyring import KeyFiles
from audit.ledger import Ledger
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from audit.settings import LedgerSettings


def entry() -> record.Request:
    return record.Request(
        format=record.FORMAT, event_id=record.new_event_id(), recorded_at_us=1, request_id=record.new_event_id(),
        correlation_id=record.new_event_id(), method="GET", route="/health", status=200, peer=f"test:{'0' * 64}",
        release=None,
    )  # fmt: skip


async def main(writer_url: str, reader_url: str, key: Path, anchors: Path) -> None:
    store, reader, keys = PostgresStore(writer_url), PostgresReader(reader_url), KeyFiles(key)
    ledger = Ledger(
        store=store, reader=reader, signer=keys.held()[0], keys=keys, anchor=FolderAnchor(anchors, ()),
        clock=SystemClock(), settings=LedgerSettings(anchor_interval_ms=50), process_id=record.new_event_id(),
    )  # fmt: skip
    await ledger.start()
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    try:
        while not ended.done():
            proven = await ledger.append(entry())
            text, signatures = note.split(receipt.parse(proven.proof).checkpoint)
            print(checkpoint.parse(text).size, signatures[0].key_id.hex(), flush=True)
    finally:
        await ledger.close()
        await store.close()
        await reader.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])))
