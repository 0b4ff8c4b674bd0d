"""A log in memory that somebody publishes, and what a test may watch of it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from audit import anchors_configured, checkpoint, genesis, merkle, note, signing
from audit.attestation import adopt
from audit.checkpoint import Checkpoint
from audit.clock import SystemClock
from audit.memory import MemoryDatabase, MemoryReader, MemoryStore
from audit.ports import Anchor, Anchored
from audit.publishing import Publisher
from audit.publishing_anchors import Source
from audit.settings import PublishSettings
from tests.witness_fakes import FakeWitness

QUICK = PublishSettings(
    lease_ms=1_000, witness_interval_ms=100, witness_timeout_ms=2_000, blob_interval_ms=1_000, blob_deadline_ms=5_000,
    retry_first_ms=10, retry_last_ms=50,
)  # fmt: skip


class Watched:
    """An observer of publishing that remembers."""

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.held: dict[str, int] = {}
        self.failed: list[tuple[str, str]] = []
        self.cosigned: dict[str, int] = {}
        self.met: list[int] = []

    def anchored(self, anchor: str, size: int) -> None:
        self.held[anchor] = size

    def anchor_failed(self, anchor: str, reason: str) -> None:
        self.failed.append((anchor, reason))

    def witnessed(self, witness: str, size: int) -> None:
        self.cosigned[witness] = size

    def witness_failed(self, witness: str, reason: str) -> None:
        self.failed.append((witness, reason))

    def attested(self, size: int) -> None:
        self.met.append(size)

    def event(self, code: str, message: str) -> None:
        self.codes.append(code)


class FakeAnchor:
    """An anchor in memory, which can be told to fail or to hang."""

    def __init__(self) -> None:
        self.put_sizes: list[int] = []
        self.fault: Exception | None = None
        self.hangs = threading.Event()

    def parts(self) -> Sequence[Anchor]:
        return (self,)

    def trust(self, keys: Sequence[note.Verifier]) -> None:
        """Whatever is put."""

    def newest(self) -> Anchored | None:
        return None

    def all(self) -> Iterator[Anchored]:
        yield from ()

    def put(self, signed: str, *, system_identifier: str | None, timeline: int) -> None:
        while self.hangs.is_set():
            threading.Event().wait(0.01)
        if self.fault is not None:
            raise self.fault
        self.put_sizes.append(checkpoint.parse(note.split(signed)[0]).size)


class PublishedLog:
    """A ledger in memory whose checkpoints are signed and published as it grows."""

    def __init__(self, folder: Path, entries) -> None:
        self.database = MemoryDatabase()
        self.store, self.reader = MemoryStore(self.database), MemoryReader(self.database)
        self.signer = signing.create(folder / "signing.key", "log.example/published")
        self.entries = entries

    async def begin(self) -> None:
        await genesis.initialise(self.store, self.reader, self.signer, SystemClock())
        await self.publish()

    async def grow(self, count: int = 1) -> int:
        """So many records more, and a signed checkpoint over them; the new size."""
        await self.store.append(self.database.head.size, *self.entries.batch(count))
        await self.publish()
        return self.database.head.size

    async def publish(self) -> None:
        head = self.database.head
        await self.store.publish(
            head.size, self.signed(head.size, merkle.frontier_root(head.size, head.frontier)).encode()
        )

    def signed(self, size: int, root: bytes) -> str:
        return note.sign(checkpoint.format(Checkpoint(origin=self.signer.name, size=size, root=root)), [self.signer])

    def publisher(
        self,
        *,
        anchors: dict[str, Anchor] | None = None,
        policy: str = "",
        watched: Watched | None = None,
        settings: PublishSettings = QUICK,
        forked: Callable[[str], None] = lambda _: None,
        store: MemoryStore | None = None,
    ) -> Publisher:
        made = anchors_configured.publisher(
            settings,
            source=Source(store or self.store, self.reader, self.signer.verifier),
            anchors=anchors or {},
            policy=adopt(policy.encode(), [self.signer.verifier]) if policy else None,
            observer=watched or Watched(),
            holder=uuid4(),
            forked=forked,
        )
        assert made is not None
        return made


def policy_of(witnesses: dict[str, FakeWitness], quorum: int) -> str:
    """So many of these."""
    lines = "".join(witness.policy_line(name) for name, witness in witnesses.items())
    return f"{lines}group G {quorum} {' '.join(witnesses)}\nquorum G\n"


@asynccontextmanager
async def publishing(*publishers: Publisher) -> AsyncIterator[list["asyncio.Task[None]"]]:
    """They run meanwhile."""
    tasks = [asyncio.create_task(publisher.run()) for publisher in publishers]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
