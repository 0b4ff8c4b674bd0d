"""The outage that this process lives through: counted while it lasts, noted on disk, then the first record again."""

import asyncio

import msgspec

from audit import own_records
from audit.ports import Outages
from audit.record import Outage, Record
from traceability.marks import implements


@implements("REQ-LED-019")
class Ongoing:
    """At most one outage at a time, and the notes of it and of those that other processes left."""

    def __init__(self, notes: Outages, process_id: str) -> None:
        self._notes = notes
        self._process_id = process_id
        self._outage: Outage | None = None
        self._noted: Outage | None = None

    def begin(self, from_us: int) -> None:
        """An outage lasts since `from_us`, unless one did already."""
        if self._outage is None:
            self._outage = own_records.outage(self._process_id, from_us)

    def refuse(self, at_us: int) -> None:
        """One request more could not be recorded."""
        self.begin(at_us)
        assert self._outage is not None
        refused = self._outage.refused + 1
        self._outage = msgspec.structs.replace(self._outage, refused=refused, recorded_at_us=at_us, to_us=at_us)

    def end(self, now_us: int) -> Outage | None:
        """The outage's record, if there was one; its note stays until that is durable."""
        ended, self._outage = self._outage, None
        return None if ended is None else msgspec.structs.replace(ended, recorded_at_us=now_us, to_us=now_us)

    async def note(self) -> None:
        """Keep on disk what is not on record, so that a restart in the middle of an outage does not lose it.

        Raises `LedgerUnavailable` where it cannot be kept.
        """
        if self._outage is not None and self._outage != self._noted:
            noted = self._outage
            await asyncio.to_thread(self._notes.note, noted)
            self._noted = noted

    async def left(self) -> list[Outage]:
        """Those of processes that did not live to record theirs."""
        return await asyncio.to_thread(lambda: list(self._notes.left()))

    def recorded(self, entry: Record) -> None:
        """`entry` is durable: where it is an outage, its note has done its work."""
        if isinstance(entry, Outage):
            self._notes.clear(entry)

    def close(self) -> None:
        """Leave what is not on record to whoever starts next."""
        self._notes.close()
