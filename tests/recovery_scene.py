"""A log whose database lost its end, databases in memory to close and open, and the operator between them."""

import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path

from audit import record
from audit.acceptance import genesis_of
from audit.clock import SystemClock
from audit.errors import LogClosed
from audit.keyring import KeyFiles
from audit.memory import MemoryDatabase, MemoryReader, MemoryStore
from audit.recovering import Journal, Notes, Recovery
from tests.ledger_fakes import World

KEPT, LOST = 6, 3
"""Records that are still in the database, record 0 included, and records that were signed, anchored and lost."""


class ClosableStore(MemoryStore):
    def __init__(self, database: MemoryDatabase, ground: "Server", name: str) -> None:
        super().__init__(database)
        self._is_closed = lambda: name in ground.closed

    async def append(self, known_size, event_ids, records, **named):
        if self._is_closed():
            raise LogClosed("ledger: closed")
        return await super().append(known_size, event_ids, records, **named)


@dataclasses.dataclass
class Server:
    """Implements `Ground` over databases in memory."""

    databases: dict[str, MemoryDatabase]
    closed: dict[str, str] = dataclasses.field(default_factory=dict)
    in_use: str = "medai"

    def close_log(self, name: str, successor: str) -> None:
        self.closed[name] = successor

    def prepare(self, name: str) -> None:
        self.databases.setdefault(name, MemoryDatabase())

    def use(self, name: str) -> None:
        self.in_use = name

    def reader(self, name: str) -> MemoryReader:
        return MemoryReader(self.databases[name])

    def store(self, name: str) -> MemoryStore:
        return ClosableStore(self.databases[name], self, name)


class Scene:
    """A world whose database lost its end, and its operator."""

    def __init__(self, world: World, folder) -> None:
        self.world, self.folder = world, folder
        self.server = Server({"medai": world.database})
        self.notes = Notes(folder)
        self.keys = KeyFiles(folder / "signing.key")

    def recovery(self, kept=None) -> Recovery:
        """`kept`: the checkpoints that are known, instead of those of the anchor folder."""
        return Recovery(
            ground=self.server, notes=self.notes, key_path=self.folder / "signing.key",
            second_key_path=self.folder / "second.key", anchor=self.world.anchor,
            clock=SystemClock(), kept=lambda keys: self.anchored(keys) if kept is None else kept,
        )  # fmt: skip

    def anchored(self, keys) -> list[str]:
        self.world.anchor.trust(keys)
        return [anchored.checkpoint for anchored in self.world.anchor.all()]

    async def recover(self, *, even_without_loss: bool = False) -> Journal:
        intended = Journal(
            old_database="medai", new_database="medai_2", origin="log.example/next",
            even_without_loss=even_without_loss,
        )  # fmt: skip
        return await self.recovery().run(intended)

    async def genesis(self) -> record.Genesis:
        return await genesis_of(self.server.reader("medai_2"))


async def filled(world: World, entries, count: int) -> None:
    """A log of `count` records, a batch each, all of them anchored."""
    ledger = await world.begin()
    while world.database.head.size < count:
        await ledger.append(entries.request())
    await ledger.close()


def cut(database: MemoryDatabase, size: int) -> None:
    """As when an older backup is restored."""
    del database.stored[size:], database.entries[size:], database.columns[size:]
    database.batches = [batch for batch in database.batches if batch.size <= size]
    database.checkpoints = {at: signed for at, signed in database.checkpoints.items() if at <= size}
    database.places = {stored.event_id: stored.index for stored in database.stored}


def over(story, entries, folder: Path) -> Callable[..., None]:
    """Runs an async test over a scene whose log lost its last `lost` records."""

    def run(test: Callable[[Scene], Awaitable[None]], *, lost: int = LOST) -> None:
        async def whole(world: World) -> None:
            await filled(world, entries, KEPT + LOST)
            cut(world.database, KEPT + LOST - lost)
            await test(Scene(world, folder))

        story(whole)

    return run
