"""Group commit's queue: who waits for whom, and for how long."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from audit import record
from audit.errors import LedgerUnavailable
from audit.pending import Item, Pending

LONG_US = 60_000_000  # a linger that a test would never sit out


def queue(*, linger_us: int = LONG_US, max_records: int = 100, max_waiting: int = 100) -> Pending:
    return Pending(max_records=max_records, max_bytes=1_000_000, max_waiting=max_waiting, linger_us=linger_us)


def item(deadline: float = 1e12) -> Item:
    entry = record.Outage(
        format=record.FORMAT,
        event_id=str(uuid4()),
        recorded_at_us=1,
        process_id=str(uuid4()),
        from_us=1,
        to_us=2,
        refused=0,
    )
    return Item(entry, record.encode(entry), deadline, asyncio.get_running_loop().create_future())


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(test(), 10)

    asyncio.run(bounded())


async def stuck(pending: Pending) -> None:
    """A request that is under way for longer than any test."""
    pending.enter()
    await asyncio.sleep(60)


@pytest.mark.verifies("REQ-LED-020")
def test_a_lone_record_does_not_wait_for_anybody() -> None:
    async def story() -> None:
        pending = queue()
        pending.enter()
        pending.put(item())
        assert len(await pending.take()) == 1

    run(story)


@pytest.mark.verifies("REQ-LED-020")
def test_a_flush_lingers_until_as_many_wait_as_are_still_at_work() -> None:
    async def story() -> None:
        pending = queue()

        async def request() -> None:
            pending.enter()
            await asyncio.sleep(0.01)
            pending.put(item())

        slow = [asyncio.create_task(stuck(pending)) for _ in range(3)]
        others = [asyncio.create_task(request()) for _ in range(2)]
        await asyncio.sleep(0)
        pending.put(item())
        assert len(await pending.take()) == 3
        await asyncio.gather(*others)
        for task in slow:
            task.cancel()

    run(story)


def test_of_two_requests_the_first_does_not_wait_for_the_second() -> None:
    async def story() -> None:
        pending = queue()
        other = asyncio.create_task(stuck(pending))
        await asyncio.sleep(0)
        pending.put(item())
        assert len(await pending.take()) == 1
        other.cancel()

    run(story)


def test_one_that_leaves_without_a_record_is_not_waited_for() -> None:
    async def story() -> None:
        pending = queue()

        async def refused() -> None:
            pending.enter()
            await asyncio.sleep(0.01)
            pending.leave()
            pending.leave()

        others = [asyncio.create_task(refused()) for _ in range(2)]
        await asyncio.sleep(0)
        pending.put(item())
        assert len(await pending.take()) == 1
        await asyncio.gather(*others)

    run(story)


@pytest.mark.verifies("REQ-LED-020")
def test_a_flush_lingers_no_longer_than_its_setting() -> None:
    async def story() -> None:
        pending = queue(linger_us=1_000)
        slow = [asyncio.create_task(stuck(pending)) for _ in range(2)]
        await asyncio.sleep(0)
        pending.put(item())
        assert len(await pending.take()) == 1
        for task in slow:
            task.cancel()

    run(story)


@pytest.mark.verifies("REQ-LED-020")
def test_a_batch_is_cut_at_its_limit_and_keeps_the_order() -> None:
    async def story() -> None:
        pending = queue(max_records=3)
        items = [item() for _ in range(5)]
        for each in items:
            pending.put(each)
        assert await pending.take() == items[:3]
        assert await pending.take() == items[3:]

    run(story)


def test_more_waiting_records_than_the_limit_are_refused() -> None:
    async def story() -> None:
        pending = queue(max_waiting=1)
        pending.put(item())
        with pytest.raises(LedgerUnavailable):
            pending.put(item())

    run(story)


def test_failing_all_that_wait_keeps_the_ledgers_own_records() -> None:
    async def story() -> None:
        pending = queue()
        own, theirs = item(deadline=float("inf")), item()
        pending.put(theirs)
        pending.put(own)
        pending.fail_all(LedgerUnavailable("away"))
        assert await pending.take() == [own]
        with pytest.raises(LedgerUnavailable):
            await theirs.future

    run(story)


def test_only_records_past_their_deadline_expire() -> None:
    async def story() -> None:
        pending = queue()
        late, timely = item(deadline=1.0), item(deadline=3.0)
        pending.put(late)
        pending.put(timely)
        assert pending.expire(2.0, LedgerUnavailable("late"))
        assert not pending.expire(2.0, LedgerUnavailable("late"))
        assert await pending.take() == [timely]

    run(story)


def test_a_record_expires_behind_one_of_the_ledgers_own_that_never_does() -> None:
    async def story() -> None:
        pending = queue()
        own, late = item(deadline=float("inf")), item(deadline=1.0)
        pending.put(own)
        pending.put(late)
        assert pending.expire(2.0, LedgerUnavailable("late"))
        assert await pending.take() == [own]
        with pytest.raises(LedgerUnavailable):
            await late.future

    run(story)
