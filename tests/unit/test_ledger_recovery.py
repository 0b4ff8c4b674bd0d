"""Closing a log that lost signed records and opening the next: what is said of it, and a crash after every step."""

import asyncio
import dataclasses
import functools

import msgspec
import pytest

from audit import checkpoint, genesis, handover, merkle, note, record, recovery, rotation, signing
from audit.acceptance import REMEDY, genesis_of
from audit.checkpoint import Checkpoint
from audit.clock import SystemClock
from audit.errors import LedgerForked, LedgerNotInitialised, LogClosed, NothingLost
from audit.handover import Log
from audit.keyring import KeyFiles
from audit.ledger import Ledger
from audit.memory import MemoryDatabase, MemoryReader, MemoryStore
from audit.recovering import Journal, Notes, Recovery
from tests.ledger_fakes import QUICK, World

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

    def recovery(self) -> Recovery:
        return Recovery(
            ground=self.server, notes=self.notes, key_path=self.folder / "signing.key", anchor=self.world.anchor,
            clock=SystemClock(), signed=[anchored.checkpoint for anchored in self.world.anchor.all()],
        )  # fmt: skip

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
    del database.stored[size:], database.entries[size:]
    database.batches = [batch for batch in database.batches if batch.size <= size]
    database.checkpoints = {at: signed for at, signed in database.checkpoints.items() if at <= size}
    database.places = {stored.event_id: stored.index for stored in database.stored}


@pytest.fixture
def scene(story, entries, tmp_path):
    """Runs an async test over a log that lost its last records."""

    def run(test, *, lost: int = LOST) -> None:
        async def whole(world: World) -> None:
            await filled(world, entries, KEPT + LOST)
            cut(world.database, KEPT + LOST - lost)
            await test(Scene(world, tmp_path))

        story(whole)

    return run


@functools.cache
def other_root() -> bytes:
    return merkle.root([merkle.leaf_hash(b"another history")])


# -- what is found


def test_a_database_that_is_shorter_than_its_anchor_lost_what_is_between(scene):
    async def test(scene: Scene) -> None:
        found = await scene.recovery().assess("medai")
        assert (found.reason, found.size, found.anchored_size) == ("truncated", KEPT, KEPT + LOST)
        assert (found.lost_first, found.lost_end) == (KEPT, KEPT + LOST)

    scene(test)


def test_the_root_that_a_cut_database_proves_is_that_of_all_its_records(scene):
    async def test(scene: Scene) -> None:
        leaves = [stored.leaf_hash for stored in scene.world.database.stored]
        assert (await scene.recovery().assess("medai")).root == merkle.root(leaves)

    scene(test)


def test_a_database_that_has_everything_lost_nothing(scene):
    async def test(scene: Scene) -> None:
        found = await scene.recovery().assess("medai")
        assert (found.reason, found.needed, found.lost_first, found.lost_end) == ("closed", False, 9, 9)

    scene(test, lost=0)


def test_a_rewritten_history_proves_what_the_last_agreeing_anchor_signed(scene):
    async def test(scene: Scene) -> None:
        world = scene.world
        text = checkpoint.format(Checkpoint(origin=world.signer.name, size=8, root=other_root()))
        recovering = scene.recovery()
        agreeing = [one for one in world.anchor.all() if one.size < 8]
        recovering._signed = (*(one.checkpoint for one in agreeing), note.sign(text, (world.signer,)))
        world.database.checkpoints.clear()
        found = await recovering.assess("medai")
        assert (found.reason, found.size, found.lost_end) == ("rewritten", max(one.size for one in agreeing), 8)

    scene(test, lost=0)


def test_stored_hashes_that_contradict_each_other_count_as_rewritten(scene):
    async def test(scene: Scene) -> None:
        last = scene.world.database.batches[-1]
        wrong = tuple(bytes(32) for _ in last.frontier)
        scene.world.database.batches[-1] = msgspec.structs.replace(last, frontier=wrong)
        assert (await scene.recovery().assess("medai")).reason == "rewritten"

    scene(test, lost=0)


def test_a_checkpoint_from_elsewhere_shows_a_loss_that_the_anchors_do_not(scene):
    async def test(scene: Scene) -> None:
        recovering = scene.recovery()
        newest = max(scene.world.anchor.all(), key=lambda one: one.size)
        recovering._signed = (newest.checkpoint,)
        assert (await recovering.assess("medai")).anchored_size == KEPT + LOST

    scene(test)


def test_what_others_signed_does_not_count(scene, tmp_path):
    async def test(scene: Scene) -> None:
        stranger = signing.create(tmp_path / "stranger.key", scene.world.signer.name)
        text = checkpoint.format(Checkpoint(origin=stranger.name, size=1000, root=other_root()))
        recovering = scene.recovery()
        recovering._signed = (*recovering._signed, note.sign(text, (stranger,)), "no note at all")
        assert (await recovering.assess("medai")).anchored_size == KEPT + LOST

    scene(test)


def test_an_empty_database_lost_everything_that_was_signed(scene):
    async def test(scene: Scene) -> None:
        cut(scene.world.database, 0)
        found = await scene.recovery().assess("medai")
        assert (found.keys.origin, found.size, found.root) == (scene.world.signer.name, 0, merkle.EMPTY_ROOT)
        assert (found.lost_first, found.lost_end) == (0, KEPT + LOST)

    scene(test)


def test_an_empty_database_without_a_key_is_nobodys(story, tmp_path):
    async def test(world: World) -> None:
        with pytest.raises(LedgerNotInitialised):
            await recovery.assess(world.reader, (), ())

    story(test)


def test_a_key_whose_rotation_is_lost_still_counts_as_the_log_s_last(story, entries, tmp_path):
    async def test(world: World) -> None:
        await filled(world, entries, 3)
        scene = Scene(world, tmp_path)
        log = Log(store=world.store, reader=world.reader, anchor=world.anchor, clock=SystemClock())
        rotated = await handover.rotate(log, scene.keys)
        scene.keys.install()
        cut(world.database, 2)
        found = await scene.recovery().assess("medai")
        assert (found.keys.current.key, found.anchored_size) == (rotated.new, 4)

    story(test)


# -- what is done


def test_the_new_log_s_record_0_names_the_old_one_and_what_is_lost(scene):
    async def test(scene: Scene) -> None:
        assessed = await scene.recovery().assess("medai")
        journal = await scene.recover()
        begun = await scene.genesis()
        assert begun.continues is not None
        assert begun == journal.record_0
        unsigned = msgspec.structs.replace(begun.continues, signature=None)
        assert (begun.origin, unsigned) == ("log.example/next", assessed.continued())

    scene(test)


def test_the_old_key_has_signed_for_the_new_log(scene):
    async def test(scene: Scene) -> None:
        await scene.recover()
        assert rotation.require_endorsed(await scene.genesis()) is None

    scene(test)


def test_without_the_old_key_the_new_log_begins_unsigned_for(scene):
    async def test(scene: Scene) -> None:
        (scene.folder / "signing.key").unlink()
        await scene.recover()
        begun = await scene.genesis()
        assert begun.continues is not None
        assert begun.continues.signature is None

    scene(test)


def test_nothing_can_be_appended_to_the_old_log_any_more(scene, entries):
    async def test(scene: Scene) -> None:
        await scene.recover()
        with pytest.raises(LogClosed):
            await scene.server.store("medai").append(KEPT, *entries.batch(1))
        assert scene.world.database.head.size == KEPT

    scene(test)


def test_a_process_of_the_old_log_stops_for_good(scene, entries):
    async def test(scene: Scene) -> None:
        ledger = await running(scene, "medai", scene.world.signer)
        await scene.recover(even_without_loss=True)
        with pytest.raises(Exception, match="contradicts"):
            await ledger.append(entries.request())
        assert "log_closed" in (ledger.unready() or "")

    scene(test, lost=0)


async def running(scene: Scene, name: str, signer) -> Ledger:
    ledger = Ledger(
        store=scene.server.store(name), reader=scene.server.reader(name), signer=signer, anchor=scene.world.anchor,
        clock=SystemClock(), settings=QUICK, process_id=record.new_event_id(), keys=scene.keys,
    )  # fmt: skip
    await ledger.start()
    scene.world.running.append(ledger)
    return ledger


def test_the_service_goes_on_in_the_new_log_under_its_key(scene, entries):
    async def test(scene: Scene) -> None:
        await scene.recover()
        ledger = await running(scene, scene.server.in_use, scene.keys.held()[0])
        assert (await ledger.append(entries.request())).index == 1

    scene(test)


def test_the_old_key_is_kept_under_another_name(scene):
    async def test(scene: Scene) -> None:
        await scene.recover()
        kept = scene.folder / f"signing.key.retired-{scene.world.signer.verifier.key_hash.hex()}"
        assert signing.load(kept).verifier == scene.world.signer.verifier

    scene(test)


def test_a_log_that_lost_nothing_is_left_alone(scene):
    async def test(scene: Scene) -> None:
        with pytest.raises(NothingLost):
            await scene.recover()
        assert (scene.server.closed, scene.notes.load()) == ({}, None)

    scene(test, lost=0)


def test_a_log_that_lost_nothing_can_be_closed_on_purpose(scene):
    async def test(scene: Scene) -> None:
        journal = await scene.recover(even_without_loss=True)
        assert (journal.continued.reason, scene.server.in_use) == ("closed", "medai_2")

    scene(test, lost=0)


def test_a_database_that_holds_another_log_is_not_taken(scene, entries, tmp_path):
    async def test(scene: Scene) -> None:
        scene.server.prepare("medai_2")
        other = signing.create(tmp_path / "other.key", "log.example/other")
        taken = scene.server.databases["medai_2"]
        await genesis.initialise(MemoryStore(taken), MemoryReader(taken), other, SystemClock())
        with pytest.raises(LedgerForked):
            await scene.recover()
        assert scene.server.in_use == "medai"

    scene(test)


def test_a_recovery_is_kept_among_those_that_are_done(scene):
    async def test(scene: Scene) -> None:
        journal = await scene.recover()
        assert (scene.notes.load(), scene.notes.done()) == (None, [journal])

    scene(test)


def test_the_keys_of_the_closed_log_are_kept_with_their_sizes(scene):
    async def test(scene: Scene) -> None:
        journal = await scene.recover()
        assert journal.history.verifiers == (scene.world.signer.verifier,)

    scene(test)


CALLS = [
    ("server", "close_log"), ("server", "prepare"), ("server", "use"), ("notes", "save"), ("notes", "put_away"),
    ("anchor", "put"), ("keys", "install"), ("store", "append"), ("store", "publish"),
]  # fmt: skip


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("whose", "call"), CALLS, ids=lambda part: part)
def test_a_recovery_that_died_at_any_step_goes_on_where_it_was(scene, monkeypatch, whose, call, moment):
    async def test(scene: Scene) -> None:
        target = {
            "server": Server, "notes": Notes, "anchor": type(scene.world.anchor), "keys": KeyFiles,
            "store": MemoryStore,
        }[whose]  # fmt: skip
        with monkeypatch.context() as crash:
            crash.setattr(target, call, dying(getattr(target, call), moment))
            with pytest.raises(KeyboardInterrupt):
                await scene.recover()
        if call == "put_away" and moment == "after":
            assert scene.notes.load() is None  # done, and only not told
        else:
            await scene.recover()
        begun = await scene.genesis()
        assert (len(scene.notes.done()), scene.server.in_use, list(scene.server.closed)) == (1, "medai_2", ["medai"])
        assert [signer.verifier for signer in scene.keys.held()] == [note.Verifier.parse(begun.verifier_key)]
        assert scene.server.databases["medai_2"].checkpoints.keys() == {1}
        assert rotation.require_endorsed(begun) is None

    scene(test)


def dying(call, moment):
    """The call, which does its work or does not, and ends the process."""

    def died(*given, **named):
        if moment == "after":
            done = call(*given, **named)
            if asyncio.iscoroutine(done):
                return finished(done)
        raise KeyboardInterrupt

    async def finished(work):
        await work
        raise KeyboardInterrupt

    return died


def test_an_empty_database_of_an_anchored_log_is_not_begun_anew(scene):
    async def test(scene: Scene) -> None:
        world = scene.world
        empty = MemoryDatabase()
        with pytest.raises(LedgerForked, match="was anchored"):
            await genesis.initialise(MemoryStore(empty), MemoryReader(empty), world.signer, SystemClock(), world.anchor)
        assert empty.head.size == 0

    scene(test)


def test_the_remedy_names_the_command_that_helps():
    assert "medai audit recover" in REMEDY
