"""Window records: many alike requests of one peer in one minute, folded into two records.

The opening record is committed before the first answer that it covers; the closing record says how many there
were and when the first and the last came. What a crash leaves open is closed by whoever runs afterwards,
without a count. A closing record's event id follows from the opening's, so the ledger refuses a second one.
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from typing import Final, Literal
from uuid import UUID

from audit import record as records
from audit.errors import AuditError, Malformed, RecordRefused
from audit.ports import Clock, Reader, Recorder, Stored
from service.http.budgets import Budget
from service.http.durable import durable
from service.http.policy import Policy
from service.http.ports import Telemetry
from traceability.marks import implements

Subject = Literal["public", "refusals"]
_MINUTE_US: Final = 60_000_000
_TOGETHER: Final = 64
"""Closing records in flight at once: enough for one commit to hold many."""


class _Open:
    __slots__ = ("count", "event_id", "first_us", "last_us", "minute_us", "opening", "peer", "subject")

    def __init__(self, subject: Subject, peer: str, minute_us: int, now_us: int) -> None:
        self.subject = subject
        self.peer = peer
        self.minute_us = minute_us
        self.event_id = records.new_event_id()
        self.count = 0
        self.first_us = self.last_us = now_us
        self.opening: asyncio.Task[int]


class Windows:
    """The windows of one process."""

    def __init__(
        self,
        *,
        ledger: Recorder,
        clock: Clock,
        process_id: UUID,
        others: str,
        telemetry: Telemetry,
        policy: Policy,
        release: str | None,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._process_id = str(process_id)
        self._others = others
        self._telemetry = telemetry
        self._policy = policy
        self._release = release
        self._open: dict[tuple[Subject, str, int], _Open] = {}
        self._opened_minute_us = self._opened = 0
        self._refusals = Budget(
            each=policy.refusals_per_minute,
            together=policy.refusals_per_minute_total,
            max_peers=policy.max_peers,
            others=others,
        )
        self._answers = Budget(
            each=policy.answers_per_minute,
            together=policy.answers_per_minute_total,
            max_peers=policy.max_peers,
            others=others,
        )
        self._swept = 0

    @implements("REQ-LED-022")
    async def join(self, subject: Subject, peer: str, now_us: int) -> int:
        """The index of the durable window record that covers this request; opens the window if it is the first.

        Raises what the ledger raises: then nothing covers the request, and the next one tries again.
        """
        minute_us = now_us - now_us % _MINUTE_US
        if (subject, peer, minute_us) not in self._open and not self._may_open(minute_us):
            peer = self._others
        key = (subject, peer, minute_us)
        window = self._open.get(key)
        if window is None:
            window = self._open[key] = _Open(subject, peer, minute_us, now_us)
            self._opened += peer != self._others
            window.opening = asyncio.ensure_future(self._commit_opening(window))
        window.count += 1
        window.first_us = min(window.first_us, now_us)
        window.last_us = max(window.last_us, now_us)
        try:
            # Shielded: one caller that is cancelled does not take the window from the others.
            return await asyncio.shield(window.opening)
        except asyncio.CancelledError:
            window.count -= 1
            raise
        except AuditError:
            if self._open.get(key) is window:
                del self._open[key]
            raise

    @implements("REQ-LED-023")
    def refusal(self, peer: str, now_us: int) -> str | None:
        """Count a refusal. None where it is to be recorded singly, else whose window it is to join."""
        return self._refusals.spend(peer, now_us - now_us % _MINUTE_US)

    def answer(self, peer: str, now_us: int) -> str | None:
        """Count an answer to a caller without a token. None where it is to be recorded singly, else whose window."""
        return self._answers.spend(peer, now_us - now_us % _MINUTE_US)

    def _may_open(self, minute_us: int) -> bool:
        """Whether one more peer may have a window of its own in this minute."""
        if minute_us != self._opened_minute_us:
            self._opened_minute_us, self._opened = minute_us, 0
        return self._opened < self._policy.windows_per_minute and len(self._open) < self._policy.max_peers

    async def close_past(self) -> None:
        """Close the windows whose minute is over. Those that the ledger cannot take now are tried again."""
        minute_us = self._clock.now_us() // _MINUTE_US * _MINUTE_US
        await self._close([window for window in self._open.values() if window.minute_us < minute_us])

    @implements("REQ-DEP-004")
    async def close_all(self) -> None:
        """Close every window: the process is about to stop and answers no more."""
        await self._close(list(self._open.values()))

    @implements("REQ-LED-024")
    async def sweep(self, reader: Reader, gone: Collection[str] = ()) -> bool:
        """Close, without a count, what processes that are gone left open: at once those of the process ids `gone`,
        of which nothing is under way any more; any other's when its grace is over.

        True where all of these are closed. A sweep begins at the first window that the one before left open: below
        it all are closed, and none can come there any more, since an index is the size before an append.
        """
        before_us = self._clock.now_us() - _MINUTE_US - self._policy.window_grace_ms * 1000
        end, at = (await reader.head()).size, self._swept
        left_open: list[int] = []
        while at < end:
            found = await reader.unclosed_windows(at, end)
            own = {window.event_id for window in self._open.values()}
            due = []
            for index, opened in _opened(found.windows):
                if opened.event_id not in own and (opened.minute_us < before_us or opened.process_id in gone):
                    due.append(self._closing_for(index, opened))
                else:
                    left_open.append(index)
            if not all(await self._commit_closings(due)):
                return False
            if found.upto <= at:
                return False  # asked of a replica that is behind
            at = found.upto
        self._swept = min(left_open, default=at)
        return True

    async def _commit_opening(self, window: _Open) -> int:
        record = records.Window(
            format=records.FORMAT,
            event_id=window.event_id,
            recorded_at_us=self._clock.now_us(),
            phase="opened",
            subject=window.subject,
            peer=window.peer,
            minute_us=window.minute_us,
            process_id=self._process_id,
            release=self._release,
        )
        return (await self._ledger.append(record)).index

    async def _close(self, windows: Sequence[_Open]) -> None:
        opened = [window for window in windows if window.opening.done() and window.opening.exception() is None]
        closed = await self._commit_closings([self._closing(window) for window in opened])
        for window, is_closed in zip(opened, closed, strict=False):
            if is_closed:
                del self._open[window.subject, window.peer, window.minute_us]

    @implements("REQ-LED-022")
    def _closing(self, window: _Open) -> records.Window:
        return records.Window(
            format=records.FORMAT,
            event_id=closing_event_id(window.event_id),
            recorded_at_us=self._clock.now_us(),
            phase="closed",
            subject=window.subject,
            peer=window.peer,
            minute_us=window.minute_us,
            process_id=self._process_id,
            opens_index=window.opening.result(),
            count=window.count,
            first_us=window.first_us,
            last_us=window.last_us,
            release=self._release,
        )

    @implements("REQ-LED-024")
    def _closing_for(self, index: int, opened: records.Window) -> records.Window:
        return records.Window(
            format=records.FORMAT,
            event_id=closing_event_id(opened.event_id),
            recorded_at_us=self._clock.now_us(),
            phase="closed",
            subject=opened.subject,
            peer=opened.peer,
            minute_us=opened.minute_us,
            process_id=self._process_id,
            opens_index=index,
            release=opened.release,
        )

    async def _commit_closings(self, closings: Sequence[records.Window]) -> list[bool]:
        """For each, whether its window is now closed; it ends early where the ledger does not take them."""
        closed: list[bool] = []
        for start in range(0, len(closings), _TOGETHER):
            some = closings[start : start + _TOGETHER]
            closed += await asyncio.gather(*(self._commit_closing(record) for record in some))
            if not all(closed):
                break
        return closed

    async def _commit_closing(self, record: records.Window) -> bool:
        """Whether the window is now closed, by this record or by another process's."""
        try:
            await durable(self._ledger, record)
        except RecordRefused:
            return True
        except AuditError as error:
            self._telemetry.failed("window", error)
            return False
        return True


def _opened(stored: Sequence[Stored]) -> Iterator[tuple[int, records.Window]]:
    """Opening records and where they are. One outside the schema is passed over: verification reports it, and there
    is nothing in it to close."""
    for one in stored:
        with contextlib.suppress(Malformed):
            record = records.decode(one.body)
            if isinstance(record, records.Window) and record.phase == "opened":
                yield one.index, record


def closing_event_id(opening_event_id: str) -> str:
    """The one event id that the closing record of this window can have: a UUIDv8 (RFC 9562 section 5.8).

    It follows from the opening's 122 random bits and tells nothing without them.
    """
    digest = bytearray(sha256(b"medai.window.close" + opening_event_id.encode("ascii")).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(digest)))
