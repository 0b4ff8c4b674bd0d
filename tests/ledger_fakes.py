"""A ledger's world in memory, which can be told to misbehave."""

from pathlib import Path

from audit import genesis, record, signing
from audit.anchors import FolderAnchor
from audit.clock import SystemClock
from audit.ledger import Ledger
from audit.memory import MemoryDatabase, MemoryReader, MemoryStore
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

    def flushed(self, *, records: int, commit_us: int) -> None:
        self.batches.append(records)

    def event(self, code: str, message: str) -> None:
        self.codes.append(code)


class World:
    """A database, a key and an anchor folder; `ledger()` is one process that uses them."""

    def __init__(self, folder: Path) -> None:
        self.database = MemoryDatabase()
        self.store, self.reader = MemoryStore(self.database), MemoryReader(self.database)
        self.signer = signing.create(folder / "signing.key", "log.example/unit")
        self.anchor = FolderAnchor(folder / "anchors", (self.signer.verifier,))
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
        )
        await ledger.start()
        self.running.append(ledger)
        return ledger

    def of_kind(self, kind: type) -> list[object]:
        return [entry for entry in self.database.entries if isinstance(entry, kind)]
