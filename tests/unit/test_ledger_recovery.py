"""Closing a log that lost signed records and opening the next, and a crash at every step of it."""

import asyncio

import msgspec
import pytest

from audit import genesis, note, record, rotation, signing
from audit.acceptance import REMEDY
from audit.anchors import FolderAnchor
from audit.clock import SystemClock
from audit.cosignature import ALGORITHM_ML_DSA_44
from audit.errors import LedgerForked, LedgerUnavailable, LogClosed, NothingLost
from audit.keyring import KeyFiles
from audit.ledger import Ledger
from audit.memory import MemoryDatabase, MemoryReader, MemoryStore
from audit.recovering import Notes
from tests import recovery_scene
from tests.ledger_fakes import QUICK
from tests.recovery_scene import KEPT, Scene, Server


@pytest.fixture
def scene(story, entries, tmp_path):
    return recovery_scene.over(story, entries, tmp_path)


@pytest.mark.verifies("REQ-KEY-004")
@pytest.mark.verifies("REQ-KEY-005")
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


@pytest.mark.verifies("REQ-KEY-004")
@pytest.mark.verifies("REQ-KEY-005")
def test_the_old_key_has_signed_for_the_new_log(scene):
    async def test(scene: Scene) -> None:
        await scene.recover()
        assert rotation.require_endorsed(await scene.genesis()) is None

    scene(test)


@pytest.mark.verifies("REQ-KEY-004")
@pytest.mark.verifies("REQ-KEY-005")
def test_without_the_old_key_the_new_log_begins_unsigned_for(scene):
    async def test(scene: Scene) -> None:
        (scene.folder / "signing.key").unlink()
        await scene.recover()
        begun = await scene.genesis()
        assert begun.continues is not None
        assert begun.continues.signature is None

    scene(test)


@pytest.mark.verifies("REQ-KEY-004")
@pytest.mark.verifies("REQ-KEY-005")
def test_nothing_can_be_appended_to_the_old_log_any_more(scene, entries):
    async def test(scene: Scene) -> None:
        await scene.recover()
        with pytest.raises(LogClosed):
            await scene.server.store("medai").append(KEPT, *entries.batch(1))
        assert scene.world.database.head.size == KEPT

    scene(test)


@pytest.mark.verifies("REQ-KEY-004")
@pytest.mark.verifies("REQ-KEY-005")
def test_a_process_of_the_old_log_stops_for_good(scene, entries):
    async def test(scene: Scene) -> None:
        ledger = await running(scene, "medai", scene.world.signer)
        await scene.recover(even_without_loss=True)
        with pytest.raises(LedgerUnavailable):
            await ledger.append(entries.request())
        assert "log_closed" in (ledger.unready() or "")

    scene(test, lost=0)


async def running(scene: Scene, name: str, signer) -> Ledger:
    ledger = Ledger(
        store=scene.server.store(name), reader=scene.server.reader(name), signer=signer,
        anchor=FolderAnchor(scene.folder / "anchors", ()),
        clock=SystemClock(), settings=QUICK, process_id=record.new_event_id(), keys=scene.keys,
    )  # fmt: skip
    await ledger.start()
    scene.world.running.append(ledger)
    return ledger


@pytest.mark.verifies("REQ-KEY-004")
@pytest.mark.verifies("REQ-KEY-005")
def test_the_service_goes_on_in_the_new_log_under_its_key(scene, entries):
    async def test(scene: Scene) -> None:
        await scene.recover()
        ledger = await running(scene, scene.server.in_use, scene.keys.held()[0])
        assert (await ledger.append(entries.request())).index == 1

    scene(test)


@pytest.mark.verifies("REQ-KEY-004")
@pytest.mark.verifies("REQ-KEY-005")
def test_the_old_key_is_kept_under_another_name(scene):
    async def test(scene: Scene) -> None:
        await scene.recover()
        kept = scene.folder / f"signing.key.retired-{scene.world.signer.verifier.key_hash.hex()}"
        assert signing.load(kept).verifier == scene.world.signer.verifier

    scene(test)


@pytest.mark.verifies("REQ-KEY-004")
@pytest.mark.verifies("REQ-KEY-005")
def test_a_second_key_of_the_old_log_gives_way_to_one_of_the_new_log(scene):
    async def test(scene: Scene) -> None:
        path = scene.folder / "second.key"
        old = signing.create_cosigner(path, scene.world.signer.name, ALGORITHM_ML_DSA_44)
        await scene.recover()
        assert signing.load_second(path, "log.example/next", required=True) is not None
        kept = path.with_name(f"second.key.retired-{old.verifier.key_hash.hex()}")
        assert signing.load_cosigner(kept).name == scene.world.signer.name

    scene(test)


@pytest.mark.verifies("REQ-KEY-004")
@pytest.mark.verifies("REQ-KEY-005")
def test_a_log_that_lost_nothing_is_left_alone(scene):
    async def test(scene: Scene) -> None:
        with pytest.raises(NothingLost):
            await scene.recover()
        assert (scene.server.closed, scene.notes.load()) == ({}, None)

    scene(test, lost=0)


@pytest.mark.verifies("REQ-KEY-004")
@pytest.mark.verifies("REQ-KEY-005")
def test_a_log_that_lost_nothing_can_be_closed_on_purpose(scene):
    async def test(scene: Scene) -> None:
        journal = await scene.recover(even_without_loss=True)
        assert (journal.continued.reason, scene.server.in_use) == ("closed", "medai_2")

    scene(test, lost=0)


@pytest.mark.verifies("REQ-KEY-004")
@pytest.mark.verifies("REQ-KEY-005")
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


@pytest.mark.verifies("REQ-KEY-004")
@pytest.mark.verifies("REQ-KEY-005")
def test_a_recovery_is_kept_among_those_that_are_done(scene):
    async def test(scene: Scene) -> None:
        journal = await scene.recover()
        assert (scene.notes.load(), scene.notes.done()) == (None, [journal])

    scene(test)


@pytest.mark.verifies("REQ-KEY-004")
@pytest.mark.verifies("REQ-KEY-005")
def test_the_keys_of_the_closed_log_are_kept_with_their_sizes(scene):
    async def test(scene: Scene) -> None:
        journal = await scene.recover()
        assert journal.history.verifiers == (scene.world.signer.verifier,)

    scene(test)


CALLS = [
    ("server", "close_log"), ("server", "prepare"), ("server", "use"), ("notes", "save"), ("notes", "put_away"),
    ("anchor", "put"), ("keys", "install"), ("store", "append"), ("store", "publish"),
]  # fmt: skip


@pytest.mark.verifies("REQ-KEY-004")
@pytest.mark.verifies("REQ-KEY-005")
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


@pytest.mark.verifies("REQ-KEY-005")
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
