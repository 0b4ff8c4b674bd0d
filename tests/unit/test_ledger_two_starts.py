"""Two processes that start on one tree which nobody has signed yet."""

import pytest

from audit import record, signing
from audit.acceptance import publish
from audit.clock import SystemClock
from audit.cosignature import ALGORITHM_ML_DSA_44
from audit.errors import LedgerForked
from audit.genesis import initialise
from audit.ledger import Ledger
from audit.memory import MemoryStore
from tests.ledger_fakes import QUICK, World


class Unpublished(MemoryStore):
    """A store whose published checkpoints nobody sees before their own is refused: as if both came at once."""

    def __init__(self, world: World) -> None:
        super().__init__(world.database)
        self.world = world

    async def ready(self):
        self.hidden, self.world.database.checkpoints = self.world.database.checkpoints, {}
        return await super().ready()

    async def publish(self, size, checkpoint):
        self.world.database.checkpoints = {**self.hidden, **self.world.database.checkpoints}
        await super().publish(size, checkpoint)


def process(world: World, second, store) -> Ledger:
    ledger = Ledger(
        store=store, reader=world.reader, signer=world.signer, anchor=world.anchor, clock=SystemClock(),
        settings=QUICK, process_id=record.new_event_id(), second=second,
    )  # fmt: skip
    world.running.append(ledger)
    return ledger


def test_signatures_that_are_never_twice_the_same_keep_neither_from_starting(story, tmp_path, entries):
    """ML-DSA-44 is randomised (FIPS 204 section 3.4): both sign the same tree, with other bytes."""
    signing.create_cosigner(tmp_path / "second.key", "log.example/unit", ALGORITHM_ML_DSA_44)
    second = signing.load_second(tmp_path / "second.key", "log.example/unit", required=True)

    async def test(world: World) -> None:
        await initialise(world.store, world.reader, world.signer, SystemClock())
        await process(world, second, world.store).start()
        late = process(world, second, Unpublished(world))
        await late.start()
        assert (await late.append(entries.request())).index == 1

    story(test)


def test_a_published_checkpoint_of_another_root_is_a_fork(story, tmp_path, entries):
    async def test(world: World) -> None:
        ledger = await world.begin()
        await ledger.append(entries.request())
        await ledger.close()
        wrong = ledger._keyring.sign(2, bytes(32))
        with pytest.raises(LedgerForked):
            await publish(world.store, world.reader, ledger.keys, 2, wrong)

    story(test)
