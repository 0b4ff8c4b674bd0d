"""Window records: many alike requests of one peer in one minute, folded into two records.

The opening record is committed before the first answer that it covers; the closing record says how many there
were and when the first and the last came. What a crash leaves open is closed by whoever runs afterwards,
without a count. A closing record's event id follows from the opening's, so the ledger refuses a second one.
"""

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Literal
from uuid import UUID

from audit import record as records
from audit.errors import AuditError, RecordRefused
from audit.ports import Clock, Reader, Recorder
from service.http.durable import durable
from service.http.policy import Policy
from service.http.ports import Telemetry

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
        self, *, ledger: Recorder, clock: Clock, process_id: UUID, others: str, telemetry: Telemetry, policy: Policy
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._process_id = str(process_id)
        self._others = others
        self._telemetry = telemetry
        self._policy = policy
        self._open: dict[tuple[Subject, str, int], _Open] = {}
        self._refusals: dict[str, int] = {}
        self._refusals_minute = 0

    async def join(self, subject: Subject, peer: str, now_us: int) -> int:
        """The index of the durable window record that covers this request; opens the window if it is the first.

        Raises what the ledger raises: then nothing covers the request, and the next one tries again.
        """
        minute_us = now_us - now_us % _MINUTE_US
        if (subject, peer, minute_us) not in self._open and len(self._open) >= self._policy.max_peers:
            peer = self._others
        key = (subject, peer, minute_us)
        window = self._open.get(key)
        if window is None:
            window = self._open[key] = _Open(subject, peer, minute_us, now_us)
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

    def is_flood(self, peer: str, now_us: int) -> bool:
        """Count a refusal; True when this peer had its share of single records in this minute."""
        minute_us = now_us - now_us % _MINUTE_US
        if minute_us != self._refusals_minute:
            self._refusals_minute = minute_us
            self._refusals.clear()
        if peer not in self._refusals and len(self._refusals) >= self._policy.max_peers:
            peer = self._others
        count = self._refusals[peer] = self._refusals.get(peer, 0) + 1
        return count > self._policy.refusals_per_minute

    async def close_past(self) -> None:
        """Close the windows whose minute is over. Those that the ledger cannot take now are tried again."""
        minute_us = self._clock.now_us() // _MINUTE_US * _MINUTE_US
        await self._close([window for window in self._open.values() if window.minute_us < minute_us])

    async def close_all(self) -> None:
        """Close every window: the process is about to stop and answers no more."""
        await self._close(list(self._open.values()))

    async def sweep(self, reader: Reader) -> None:
        """Close, without a count, what processes that are gone left open."""
        before_us = self._clock.now_us() - _MINUTE_US - self._policy.window_grace_ms * 1000
        own = {window.event_id for window in self._open.values()}
        for stored in await reader.unclosed_windows(before_us):
            opened = records.decode(stored.body)
            if not isinstance(opened, records.Window) or opened.event_id in own:
                continue
            await self._commit_closing(
                records.Window(
                    format=records.FORMAT,
                    event_id=closing_event_id(opened.event_id),
                    recorded_at_us=self._clock.now_us(),
                    phase="closed",
                    subject=opened.subject,
                    peer=opened.peer,
                    minute_us=opened.minute_us,
                    process_id=self._process_id,
                    opens_index=stored.index,
                    release=opened.release,
                )
            )

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
            release=None,
        )
        return (await self._ledger.append(record)).index

    async def _close(self, windows: Sequence[_Open]) -> None:
        opened = [window for window in windows if window.opening.done() and window.opening.exception() is None]
        for start in range(0, len(opened), _TOGETHER):
            some = opened[start : start + _TOGETHER]
            closed = await asyncio.gather(*(self._commit_closing(self._closing(window)) for window in some))
            for window, is_closed in zip(some, closed, strict=True):
                if is_closed:
                    del self._open[window.subject, window.peer, window.minute_us]

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
            release=None,
        )

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


def closing_event_id(opening_event_id: str) -> str:
    """The one event id that the closing record of this window can have: a UUIDv8 (RFC 9562 section 5.8).

    It follows from the opening's 122 random bits and tells nothing without them.
    """
    digest = bytearray(sha256(b"medai.window.close" + opening_event_id.encode("ascii")).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(digest)))
