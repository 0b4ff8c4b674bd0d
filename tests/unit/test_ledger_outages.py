"""An outage that a restart falls into: it is on record all the same, once."""

import asyncio

import msgspec
import pytest

from audit import record
from audit.clock import SystemClock
from audit.outages import FolderOutages
from audit.record import Outage, Request
from tests.ledger_fakes import World, until


def outage(**other) -> Outage:
    made = Outage(
        format=record.FORMAT,
        event_id=record.new_event_id(),
        recorded_at_us=2,
        process_id=record.new_event_id(),
        from_us=1,
        to_us=2,
        refused=3,
    )
    return msgspec.structs.replace(made, **other)


async def refused_twice(world: World) -> None:
    """A process that sees the database go away, refuses two requests and ends before it is back."""
    ledger = await world.begin()
    world.database.reachable = False
    await until(lambda: ledger.unready() is not None)
    ledger.refused(SystemClock().now_us())
    ledger.refused(SystemClock().now_us())
    await ledger.close()
    world.database.reachable = True


@pytest.mark.verifies("REQ-LED-019")
def test_an_outage_is_the_first_record_after_the_restart_that_ended_it(story, entries) -> None:
    async def test(world: World) -> None:
        await refused_twice(world)
        await (await world.ledger()).append(entries.request())
        kinds = [type(entry) for entry in world.database.entries[1:]]
        assert kinds == [Outage, Request]

    story(test)


@pytest.mark.verifies("REQ-LED-019")
def test_the_refusals_before_a_restart_are_counted_in_it(story) -> None:
    async def test(world: World) -> None:
        await refused_twice(world)
        await world.ledger()
        await until(lambda: bool(world.of_kind(Outage)))
        (found,) = world.of_kind(Outage)
        assert isinstance(found, Outage)
        assert found.refused == 2

    story(test)


def test_an_outage_that_was_recorded_leaves_no_note(story) -> None:
    async def test(world: World) -> None:
        await refused_twice(world)
        await world.ledger()
        await until(lambda: bool(world.of_kind(Outage)))
        await until(lambda: list(world.outages.iterdir()) == [])

    story(test)


def test_two_starts_at_once_record_it_once(story) -> None:
    async def test(world: World) -> None:
        await refused_twice(world)
        await asyncio.gather(world.ledger(), world.ledger())
        await until(lambda: list(world.outages.iterdir()) == [])
        assert len(world.of_kind(Outage)) == 1

    story(test)


def test_a_note_whose_outage_is_on_record_already_is_cleared(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        noted = outage()
        await ledger.append(noted)
        other = FolderOutages(world.outages)
        other.note(msgspec.structs.replace(noted, refused=1))
        other.close()
        await world.ledger()
        await until(lambda: list(world.outages.iterdir()) == [])
        assert len(world.of_kind(Outage)) == 1

    story(test)


def test_the_note_of_a_living_process_is_left_to_it(tmp_path) -> None:
    living = FolderOutages(tmp_path)
    living.note(outage())
    assert list(FolderOutages(tmp_path).left()) == []
    living.close()


def test_the_note_of_a_process_that_is_gone_is_as_it_was_last_written(tmp_path) -> None:
    gone, last = FolderOutages(tmp_path), outage()
    gone.note(msgspec.structs.replace(last, refused=1))
    gone.note(last)
    gone.close()  # as the end of its process would
    heir = FolderOutages(tmp_path)
    assert list(heir.left()) == [last]
    heir.close()


def test_what_is_no_note_of_ours_is_passed_over(tmp_path) -> None:
    (tmp_path / "strange.json").write_bytes(b"{}")
    assert list(FolderOutages(tmp_path).left()) == []
