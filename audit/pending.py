"""Records that wait for the next flush, and how long a flush lingers for more of them (group commit).

One commit costs about the same for one record as for thirty. So a flush waits for the requests of its own process
that are under way and will append, until as many have joined as are still at work, or `linger_us` has passed. Those
at work keep the cores busy while the commit is awaited; had it waited for all of them, nobody would. A lone request
finds nobody under way and never waits.
"""

import asyncio
from collections import deque
from contextvars import ContextVar
from uuid import UUID

from audit import merkle
from audit.errors import LedgerUnavailable
from audit.ports import Proven
from audit.record import Record
from traceability.marks import implements


class Item:
    """One record on its way: its bytes, its leaf hash, and who waits for it until `deadline` (loop time)."""

    __slots__ = ("abandoned", "body", "deadline", "event_id", "future", "leaf", "record")

    def __init__(self, record: Record, body: bytes, deadline: float, future: "asyncio.Future[Proven]") -> None:
        self.record = record
        self.body = body
        self.event_id = UUID(record.event_id)
        self.leaf = merkle.leaf_hash(body)
        self.deadline = deadline
        self.future = future
        self.abandoned = False

    def fail(self, error: Exception) -> None:
        """Its waiter gets `error`; should the record become durable after all, an outcome record will say so."""
        self.abandoned = True
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # marks it as seen: nobody may be waiting any more

    def settle(self, proven: Proven) -> None:
        """Its waiter, if there still is one, gets the proof."""
        if not self.future.done():
            self.future.set_result(proven)


class _Presence:
    __slots__ = ("expected",)

    def __init__(self) -> None:
        self.expected = True


@implements("REQ-LED-020")
class Pending:
    """The queue in front of the flusher. Bounded: `max_waiting` records, `max_records` and `max_bytes` a batch."""

    def __init__(self, *, max_records: int, max_bytes: int, max_waiting: int, linger_us: int) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._max_waiting = max_waiting
        self._linger_s = linger_us / 1_000_000
        self._items: deque[Item] = deque()
        self._expected = 0
        self._presence: ContextVar[_Presence | None] = ContextVar("medai_ledger_presence", default=None)
        self._wakeup: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    def enter(self) -> None:
        """The caller's task (and the tasks it makes) will append: flushes may linger for it."""
        self._presence.set(_Presence())
        self._expected += 1

    def leave(self) -> None:
        """It has appended, or never will. Saying so twice changes nothing."""
        presence = self._presence.get()
        if presence is not None and presence.expected:
            presence.expected = False
            self._expected -= 1
            self._wake()

    def put(self, item: Item) -> None:
        """Queue `item`. Raises `LedgerUnavailable` where too many wait already."""
        if len(self._items) >= self._max_waiting:
            raise LedgerUnavailable(f"ledger: {self._max_waiting} records wait to be written; try again later")
        self._items.append(item)
        self.leave()
        self._wake()

    def fail_all(self, error: Exception) -> None:
        """Drop what waits: none of it was ever sent to the store, so none of it can become durable.

        The ledger's own records (no deadline) stay: nobody waits for them and they must not be lost.
        """
        waiting, self._items = self._items, deque()
        for item in waiting:
            if item.deadline == float("inf"):
                self._items.append(item)
            else:
                item.fail(error)

    def expire(self, now: float, error: Exception) -> bool:
        """Drop what has waited past its deadline; whether there was any. The ledger's own records never expire."""
        overdue = [item for item in self._items if item.deadline <= now]
        if overdue:
            self._items = deque(item for item in self._items if item.deadline > now)
        for item in overdue:
            item.fail(error)
        return bool(overdue)

    @implements("REQ-LED-020")
    async def take(self) -> list[Item]:
        """The next batch, oldest first; waits for a first record, then lingers for those under way."""
        while not self._items:
            await self._wait(None)
        if self._lingers():
            loop = asyncio.get_running_loop()
            until = loop.time() + self._linger_s
            while self._lingers() and (left := until - loop.time()) > 0:
                await self._wait(left)
        batch: list[Item] = []
        taken = 0
        while self._items and len(batch) < self._max_records:
            taken += len(self._items[0].body)
            if batch and taken > self._max_bytes:
                break
            batch.append(self._items.popleft())
        return batch

    def _lingers(self) -> bool:
        """Whether more are at work than wait."""
        return self._expected > len(self._items) and len(self._items) < self._max_records

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    async def _wait(self, seconds: float | None) -> None:
        loop = asyncio.get_running_loop()
        self._wakeup = loop.create_future()
        timer = loop.call_later(seconds, self._wake) if seconds is not None else None
        try:
            await self._wakeup
        finally:
            self._wakeup = None
            if timer is not None:
                timer.cancel()
