"""What is left of a log, by its database and by every checkpoint that was kept elsewhere."""

import functools

import msgspec
import pytest

from audit import checkpoint, handover, merkle, note, recovery, signing
from audit.checkpoint import Checkpoint
from audit.clock import SystemClock
from audit.errors import LedgerNotInitialised
from audit.handover import Log
from tests import recovery_scene
from tests.ledger_fakes import World
from tests.recovery_scene import KEPT, LOST, Scene, cut, filled

pytestmark = pytest.mark.verifies("REQ-KEY-004")


@pytest.fixture
def scene(story, entries, tmp_path):
    return recovery_scene.over(story, entries, tmp_path)


@functools.cache
def other_root() -> bytes:
    return merkle.root([merkle.leaf_hash(b"another history")])


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
        agreeing = [one for one in world.anchor.all() if one.size < 8]
        world.database.checkpoints.clear()
        kept = [*(one.checkpoint for one in agreeing), note.sign(text, (world.signer,))]
        found = await scene.recovery(kept).assess("medai")
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
        newest = max(scene.world.anchor.all(), key=lambda one: one.size)
        assert (await scene.recovery([newest.checkpoint]).assess("medai")).anchored_size == KEPT + LOST

    scene(test)


def test_what_others_signed_does_not_count(scene, tmp_path):
    async def test(scene: Scene) -> None:
        stranger = signing.create(tmp_path / "stranger.key", scene.world.signer.name)
        text = checkpoint.format(Checkpoint(origin=stranger.name, size=1000, root=other_root()))
        ours = scene.anchored([scene.world.signer.verifier])
        found = await scene.recovery([*ours, note.sign(text, (stranger,)), "no note at all"]).assess("medai")
        assert found.anchored_size == KEPT + LOST

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
            await recovery.assess(world.reader, (), lambda keys: ())

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
