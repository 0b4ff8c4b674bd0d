"""An append runs to its end whatever becomes of its caller, and the caller learns of it before anything else."""

import asyncio
from typing import Any

import pytest

from audit.errors import LedgerUnavailable
from service.http.durable import durable

pytestmark = [pytest.mark.anyio, pytest.mark.verifies("REQ-LED-004")]

RECORD: Any = object()
PROVEN = object()


class _Slow:
    """A ledger whose append ends when it is told to, as it is told to."""

    def __init__(self, error=None):
        self.error, self.go, self.appended, self.ended = error, asyncio.Event(), [], 0

    async def append(self, record):
        self.appended.append(record)
        await self.go.wait()
        self.ended += 1
        if self.error is not None:
            raise self.error
        return PROVEN


def slow(error=None) -> Any:
    return _Slow(error)


async def begun(ledger, noted=None):
    """The append under way, in a task that can be cancelled."""
    task = asyncio.create_task(durable(ledger, RECORD, noted))
    while not ledger.appended:
        await asyncio.sleep(0)
    return task


async def settled():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_the_ledger_says_is_returned():
    ledger = slow()
    ledger.go.set()
    assert await durable(ledger, RECORD) is PROVEN
    assert ledger.appended == [RECORD]


async def test_the_caller_is_told_once_as_soon_as_it_is_durable():
    told: list[object] = []
    ledger = slow()
    ledger.go.set()
    await durable(ledger, RECORD, told.append)
    assert told == [PROVEN]


async def test_an_append_that_fails_is_raised_and_told_to_nobody():
    told: list[object] = []
    ledger = slow(LedgerUnavailable("away"))
    ledger.go.set()
    with pytest.raises(LedgerUnavailable):
        await durable(ledger, RECORD, told.append)
    assert told == []


async def test_a_cancellation_does_not_end_the_append():
    ledger = slow()
    task = await begun(ledger)
    task.cancel()
    await settled()
    assert (task.done(), ledger.ended) == (False, 0)
    ledger.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ledger.ended == 1


async def test_a_cancelled_caller_has_been_told_before_it_hears_of_the_cancellation():
    told: list[object] = []
    ledger = slow()
    task = await begun(ledger, told.append)
    task.cancel()
    await settled()
    ledger.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == [PROVEN]


async def test_however_often_it_is_cancelled_the_append_ends_once():
    told: list[object] = []
    ledger = slow()
    task = await begun(ledger, told.append)
    for _ in range(3):
        task.cancel()
        await settled()
    ledger.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (ledger.appended, ledger.ended, told) == ([RECORD], 1, [PROVEN])


async def test_a_cancelled_caller_of_an_append_that_fails_hears_of_the_cancellation():
    told: list[object] = []
    ledger = slow(LedgerUnavailable("away"))
    task = await begun(ledger, told.append)
    task.cancel()
    await settled()
    ledger.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == []


async def test_an_append_that_was_itself_cancelled_is_told_to_nobody():
    told: list[object] = []
    ledger = slow(asyncio.CancelledError())
    ledger.go.set()
    with pytest.raises(asyncio.CancelledError):
        await durable(ledger, RECORD, told.append)
    assert told == []


async def test_nobody_needs_to_be_told():
    ledger = slow()
    task = await begun(ledger)
    task.cancel()
    await settled()
    ledger.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ledger.ended == 1
