"""The anchors cannot be written: nothing is acknowledged that could not be held against a database that loses it."""

import asyncio
from pathlib import Path

import pytest
from msgspec import structs

from audit.errors import LedgerUnavailable
from audit.ports import Appended
from tests.ledger_fakes import QUICK, World, told, until

PATIENT = structs.replace(QUICK, append_deadline_ms=15_000)
"""What is under way is not to be given up, however slow the machine is."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_commit_that_was_under_way_does_not_end_the_wait_for_the_anchors(world, entries):
    async def test(world: World) -> None:
        ledger = await world.begin(PATIENT)
        append, go_on = world.store.append, asyncio.Event()
        put = world.anchor.put

        async def slow(*arguments: object, timeline: int | None) -> Appended:
            await go_on.wait()
            return await append(*arguments, timeline=timeline)  # type: ignore[arg-type]  # as they came

        def full(*_: object, **__: object) -> None:
            raise LedgerUnavailable("anchor folder: cannot be written")

        world.store.append = slow  # type: ignore[method-assign, assignment]  # a store that takes its time
        under_way = asyncio.create_task(ledger.append(entries.request()))
        world.anchor.put = full  # type: ignore[method-assign]  # a disk without room
        await until(lambda: "unavailable" in world.events.codes)
        go_on.set()
        await under_way
        with pytest.raises(LedgerUnavailable, match="anchor folder"):
            await ledger.append(entries.request())
        world.anchor.put = put  # type: ignore[method-assign]  # there is room again
        await until(lambda: ledger.unready() is None)

    told(world, test)
