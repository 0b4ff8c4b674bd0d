"""A ledger that signs with two keys: Ed25519, and ML-DSA-44 besides."""

import pytest

from audit import receipt, signing
from audit.clock import SystemClock
from audit.cosignature import ALGORITHM_ED25519, ALGORITHM_ML_DSA_44
from audit.errors import SettingInvalid
from audit.genesis import initialise
from audit.ledger import Ledger
from audit.receipt import Policy
from audit.record import new_event_id
from tests.ledger_fakes import QUICK


async def proved(world, folder, entries):
    """A receipt of a ledger with both keys, and its second key."""
    signing.create_cosigner(folder / "second.key", world.signer.name, ALGORITHM_ML_DSA_44)
    second = signing.load_second(folder / "second.key", world.signer.name, required=True)
    await initialise(world.store, world.reader, world.signer, SystemClock())
    ledger = Ledger(
        store=world.store, reader=world.reader, signer=world.signer, anchor=world.anchor, clock=SystemClock(),
        settings=QUICK, process_id=new_event_id(), second=second,
    )  # fmt: skip
    await ledger.start()
    world.running.append(ledger)
    assert second is not None
    return (await ledger.append(entries.request())).proof, second.verifier


@pytest.mark.verifies("REQ-KEY-007")
def test_a_receipt_is_signed_by_both_keys_and_either_suffices(story, tmp_path, entries):
    async def test(world):
        proof, second = await proved(world, tmp_path, entries)
        for keys in ((world.signer.verifier,), (second,), (world.signer.verifier, second)):
            assert receipt.verify(proof, Policy(logs=keys)) is None

    story(test)


@pytest.mark.verifies("REQ-KEY-007")
def test_an_anchor_holds_both_signatures(story, tmp_path, entries):
    async def test(world):
        _, second = await proved(world, tmp_path, entries)
        await world.running[-1].close()
        newest = world.anchor.newest()
        assert receipt.open_checkpoint(newest.checkpoint, Policy(logs=(second,))).checkpoint.size == newest.size

    story(test)


def test_a_log_without_a_second_key_signs_without_it(tmp_path):
    assert signing.load_second(tmp_path / "none.key", "log.example/a", required=False) is None


def test_a_second_key_that_was_named_has_to_be_there(tmp_path):
    with pytest.raises(SettingInvalid):
        signing.load_second(tmp_path / "none.key", "log.example/a", required=True)


@pytest.mark.verifies("REQ-KEY-007")
@pytest.mark.parametrize(
    "name, algorithm", [("log.example/b", ALGORITHM_ML_DSA_44), ("log.example/a", ALGORITHM_ED25519)]
)
def test_a_second_key_of_another_log_or_kind_is_refused(tmp_path, name, algorithm):
    signing.create_cosigner(tmp_path / "second.key", name, algorithm)
    with pytest.raises(SettingInvalid):
        signing.load_second(tmp_path / "second.key", "log.example/a", required=False)


def test_a_second_key_that_others_can_read_is_refused(tmp_path):
    signing.create_cosigner(tmp_path / "second.key", "log.example/a", ALGORITHM_ML_DSA_44)
    (tmp_path / "second.key").chmod(0o644)
    with pytest.raises(SettingInvalid):
        signing.load_second(tmp_path / "second.key", "log.example/a", required=False)
