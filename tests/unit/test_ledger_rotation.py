"""A rotation of the key under running processes, and what a crash in the middle of it leaves behind."""

import asyncio

import pytest

from audit import evidence, handover, receipt, record, rotation, signing, succession
from audit.acceptance import genesis_of
from audit.clock import SystemClock
from audit.errors import KeyMissing, KeyUnknown, LedgerForked, LedgerUnavailable, SettingInvalid
from audit.handover import Log
from audit.keyring import KeyFiles
from audit.ledger import Ledger
from audit.outages import FolderOutages
from audit.receipt import Policy
from audit.record import KeyRotated
from tests.ledger_fakes import QUICK, World, until
from tests.recovery_scene import cut

pytestmark = pytest.mark.verifies("REQ-KEY-002")


@pytest.fixture
def keys(tmp_path) -> KeyFiles:
    """Those of the world's own process; `World` has made the one in use."""
    return KeyFiles(tmp_path / "signing.key")


def log_of(world: World) -> Log:
    return Log(store=world.store, reader=world.reader, anchor=world.anchor, clock=SystemClock())


async def process(world: World, keys: KeyFiles) -> Ledger:
    """A further process that uses these key files."""
    ledger = Ledger(
        store=world.store, reader=world.reader, signer=keys.held()[0], keys=keys, anchor=world.anchor,
        clock=SystemClock(), settings=QUICK, process_id=record.new_event_id(), observer=world.events,
        outages=FolderOutages(world.outages),
    )  # fmt: skip
    await ledger.start()
    world.running.append(ledger)
    return ledger


async def history(world: World) -> rotation.KeyHistory:
    genesis = await genesis_of(world.reader)
    return (await succession.read(world.reader, genesis, world.database.head.size)).history


def signer_of(proof: str, world: World, verifiers) -> str:
    return receipt.open_checkpoint(receipt.parse(proof).checkpoint, Policy(logs=tuple(verifiers))).signed_by


def test_the_log_has_the_next_key_after_a_rotation(story, keys):
    async def test(world: World) -> None:
        await world.begin()
        rotated = await handover.rotate(log_of(world), keys)
        assert (await history(world)).current.key == rotated.new == signing.load(keys.next_path).verifier

    story(test)


def test_the_last_tree_of_the_old_key_is_signed_by_it_and_published(story, keys):
    async def test(world: World) -> None:
        await world.begin()
        rotated = await handover.rotate(log_of(world), keys)
        signed = world.database.checkpoints[rotated.index + 1]
        assert receipt.open_checkpoint(signed, Policy(logs=(rotated.old,))).checkpoint.size == rotated.index + 1

    story(test)


def test_a_running_process_signs_its_next_append_with_the_new_key(story, entries, keys):
    async def test(world: World) -> None:
        await world.begin()
        ledger = await process(world, keys)
        await ledger.append(entries.request())
        rotated = await handover.rotate(log_of(world), keys)
        proven = await ledger.append(entries.request())
        assert signer_of(proven.proof, world, [rotated.old, rotated.new]) == rotation.shown(rotated.new)

    story(test)


def test_a_running_process_follows_also_where_the_key_took_its_place_meanwhile(story, entries, keys):
    async def test(world: World) -> None:
        await world.begin()
        ledger = await process(world, keys)
        rotated = await handover.rotate(log_of(world), keys)
        keys.install()
        proven = await ledger.append(entries.request())
        assert signer_of(proven.proof, world, [rotated.old, rotated.new]) == rotation.shown(rotated.new)

    story(test)


def test_a_process_that_writes_nothing_follows_by_itself(story, keys):
    async def test(world: World) -> None:
        await world.begin()
        ledger = await process(world, keys)
        await handover.rotate(log_of(world), keys)
        await until(lambda: "key_rotated" in world.events.codes)
        assert ledger.unready() is None

    story(test)


def test_receipts_from_before_verify_with_the_key_history_and_so_do_later_ones(story, entries, keys):
    async def test(world: World) -> None:
        await world.begin()
        ledger = await process(world, keys)
        before = await ledger.append(entries.request())
        rotated = await handover.rotate(log_of(world), keys)
        after = await ledger.append(entries.request())
        policy = Policy(logs=(rotated.old, rotated.new))
        assert [evidence.check_receipt(one.proof, policy).exit_code for one in (before, after)] == [0, 0]

    story(test)


def test_under_load_of_several_processes_every_size_is_signed_by_its_own_key(story, entries, keys):
    async def test(world: World) -> None:
        await world.begin()
        ledgers = [await process(world, keys) for _ in range(3)]

        async def write(ledger: Ledger) -> None:
            for _ in range(40):
                await ledger.append(entries.request())

        writing = asyncio.gather(*(write(ledger) for ledger in ledgers))
        await until(lambda: world.database.head.size > 30)
        rotated = await handover.rotate(log_of(world), keys)
        await writing
        await until(lambda: max(world.database.checkpoints) == world.database.head.size)
        keys_of_log = await history(world)
        opened = {keys_of_log.open(signed).size for signed in world.database.checkpoints.values()}
        assert opened == set(world.database.checkpoints)
        assert rotated.index + 1 < world.database.head.size

    story(test)


def test_a_process_without_the_new_key_takes_no_records(story, entries, keys):
    async def test(world: World) -> None:
        ledger = await world.begin()  # it was given the old key alone
        await handover.rotate(log_of(world), keys)
        with pytest.raises(LedgerUnavailable):
            await ledger.append(entries.request())
        assert world.database.head.size == 2

    story(test)


def test_a_process_takes_records_again_as_soon_as_it_is_given_the_new_key(story, entries, keys, tmp_path):
    async def test(world: World) -> None:
        await world.begin()
        elsewhere = KeyFiles(tmp_path / "elsewhere" / "signing.key")
        signing.write(tmp_path / "elsewhere" / "signing.key", world.signer.skey)
        ledger = await process(world, elsewhere)
        await handover.rotate(log_of(world), keys)
        await until(lambda: "not given" in (ledger.unready() or ""))
        signing.write(elsewhere.next_path, signing.load(keys.next_path).skey)
        await until(lambda: ledger.unready() is None)
        assert (await ledger.append(entries.request())).index >= 2

    story(test)


def test_a_process_that_starts_with_the_retired_key_alone_does_not_begin(story, keys):
    async def test(world: World) -> None:
        await world.begin()
        await handover.rotate(log_of(world), keys)
        with pytest.raises(KeyMissing):
            await world.ledger()

    story(test)


def test_a_process_that_starts_with_the_new_key_installed_signs_with_it(story, entries, keys):
    async def test(world: World) -> None:
        await world.begin()
        rotated = await handover.rotate(log_of(world), keys)
        keys.install()
        proven = await (await process(world, keys)).append(entries.request())
        assert signer_of(proven.proof, world, [rotated.old, rotated.new]) == rotation.shown(rotated.new)

    story(test)


def test_a_second_rotation_follows_the_first(story, entries, keys):
    async def test(world: World) -> None:
        await world.begin()
        ledger = await process(world, keys)
        await handover.rotate(log_of(world), keys)
        keys.install()
        await ledger.append(entries.request())
        await handover.rotate(log_of(world), keys)
        keys.install()
        await ledger.append(entries.request())
        assert len((await history(world)).epochs) == 3

    story(test)


@pytest.mark.parametrize("failure", ["before", "after"])
def test_a_rotation_whose_answer_was_lost_is_on_record_once(story, keys, failure):
    async def test(world: World) -> None:
        await world.begin()
        world.database.failures = [failure]
        await handover.rotate(log_of(world), keys)
        assert len(world.of_kind(KeyRotated)) == 1

    story(test)


@pytest.mark.parametrize("step", ["put", "publish"])
def test_a_rotation_that_died_after_its_record_is_finished_by_the_next_try(story, keys, step, monkeypatch):
    async def test(world: World) -> None:
        await world.begin()

        def die(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as crash:
            crash.setattr(*((world.anchor, "put", die) if step == "put" else (world.store, "publish", die)))
            with pytest.raises(KeyboardInterrupt):
                await handover.rotate(log_of(world), keys)
        rotated = await handover.rotate(log_of(world), keys)
        assert len(world.of_kind(KeyRotated)) == 1
        assert rotated.index + 1 in world.database.checkpoints

    story(test)


def test_the_next_key_that_is_there_already_is_the_one_that_is_rotated_to(story, keys):
    async def test(world: World) -> None:
        await world.begin()
        prepared = keys.prepare(world.signer.name)
        assert (await handover.rotate(log_of(world), keys)).new == prepared.verifier

    story(test)


def test_a_next_key_of_another_log_is_refused_before_anything_is_on_record(story, keys):
    async def test(world: World) -> None:
        await world.begin()
        keys.prepare("log.example/another")
        with pytest.raises(SettingInvalid):
            await handover.rotate(log_of(world), keys)
        assert world.of_kind(KeyRotated) == []

    story(test)


def test_a_key_that_is_no_longer_the_logs_rotates_nothing(story, keys, tmp_path):
    async def test(world: World) -> None:
        await world.begin()
        stale = KeyFiles(tmp_path / "stale" / "signing.key")
        signing.write(tmp_path / "stale" / "signing.key", world.signer.skey)
        await handover.rotate(log_of(world), keys)
        with pytest.raises(SettingInvalid):
            await handover.rotate(log_of(world), stale)
        assert len(world.of_kind(KeyRotated)) == 1

    story(test)


def test_a_record_of_a_rotation_that_the_old_key_did_not_sign_rotates_nothing(story, entries, keys):
    async def test(world: World) -> None:
        await world.begin()
        ledger = await process(world, keys)
        forged = entries.rotation(origin=world.signer.name, old_key=str(world.signer.verifier))
        await world.store.append(1, *entries.sent(forged))
        proven = await ledger.append(entries.request())
        assert signer_of(proven.proof, world, [world.signer.verifier]) == rotation.shown(world.signer.verifier)

    story(test)


def test_a_database_that_lost_the_rotation_is_refused_by_a_process_with_the_new_key(story, keys):
    async def test(world: World) -> None:
        await world.begin()
        await handover.rotate(log_of(world), keys)
        keys.install()
        await asyncio.gather(*(ledger.close() for ledger in world.running))
        cut(world.database, 1)
        with pytest.raises(LedgerForked, match="medai audit recover"):
            await process(world, keys)

    story(test)


def test_an_anchor_of_this_log_by_a_key_that_its_records_do_not_know_is_noticed(story, entries, keys, tmp_path):
    """The key files may have been brought back from the same old copy as the database."""

    async def test(world: World) -> None:
        await world.begin()
        ledger = await process(world, keys)
        await handover.rotate(log_of(world), keys)
        await ledger.append(entries.request())
        await asyncio.gather(*(ledger.close() for ledger in world.running))
        cut(world.database, 1)
        keys.next_path.unlink()
        with pytest.raises(KeyUnknown):
            await process(world, keys)

    story(test)


def test_a_retired_key_can_be_kept_under_a_name_of_its_own(story, keys, tmp_path):
    async def test(world: World) -> None:
        await world.begin()
        rotated = await handover.rotate(log_of(world), keys)
        keys.install(keep=rotated.old.key_hash.hex())
        kept = tmp_path / f"signing.key.retired-{rotated.old.key_hash.hex()}"
        assert (signing.load(kept).verifier, keys.held()[0].verifier) == (rotated.old, rotated.new)

    story(test)
