"""A ledger's world in memory, which can be told to misbehave."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from audit import genesis, record, signing
from audit.anchors import FolderAnchor
from audit.clock import SystemClock
from audit.ledger import Ledger
from audit.memory import MemoryDatabase, MemoryReader, MemoryStore
from audit.outages import FolderOutages
from audit.settings import LedgerSettings

QUICK = LedgerSettings(
    linger_us=2_000,
    append_deadline_ms=300,
    retry_first_ms=5,
    retry_last_ms=20,
    probe_interval_ms=10,
    anchor_interval_ms=20,
)


class Events:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.batches: list[int] = []
        self.held: dict[str, int] = {}

    def flushed(self, *, records: int, commit_us: int) -> None:
        self.batches.append(records)

    def anchored(self, anchor: str, size: int) -> None:
        self.held[anchor] = size

    def event(self, code: str, message: str) -> None:
        self.codes.append(code)


class World:
    """A database, a key and an anchor folder; `ledger()` is one process that uses them."""

    def __init__(self, folder: Path) -> None:
        self.database = MemoryDatabase()
        self.store, self.reader = MemoryStore(self.database), MemoryReader(self.database)
        self.signer = signing.create(folder / "signing.key", "log.example/unit")
        self.anchor = FolderAnchor(folder / "anchors", (self.signer.verifier,))
        self.outages = folder / "outages"
        self.events = Events()
        self.running: list[Ledger] = []

    async def begin(self, settings: LedgerSettings = QUICK) -> Ledger:
        await genesis.initialise(self.store, self.reader, self.signer, SystemClock())
        return await self.ledger(settings)

    async def ledger(self, settings: LedgerSettings = QUICK) -> Ledger:
        ledger = Ledger(
            store=self.store,
            reader=self.reader,
            signer=self.signer,
            anchor=self.anchor,
            clock=SystemClock(),
            settings=settings,
            process_id=record.new_event_id(),
            observer=self.events,
            outages=FolderOutages(self.outages),
        )
        await ledger.start()
        self.running.append(ledger)
        return ledger

    def of_kind(self, kind: type) -> list[object]:
        return [entry for entry in self.database.entries if isinstance(entry, kind)]


async def until(true: Callable[[], bool]) -> None:
    """Returns once `true` is; the test that waits is bounded in time."""
    while not true():  # what is waited for has no event
        await asyncio.sleep(0.005)


def told(world: World, test: Callable[[World], Awaitable[None]]) -> None:
    """Run an async test over `world`, bounded in time, and close every ledger that it started."""

    async def whole() -> None:
        try:
            await asyncio.wait_for(test(world), 20)
        finally:
            world.database.reachable = True
            for ledger in world.running:
                await ledger.close()

    asyncio.run(whole())
