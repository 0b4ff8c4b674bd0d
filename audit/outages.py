"""Outages that are not on record yet, noted on disk: a restart in the middle of one does not lose it.

    FOLDER/<process id>.json    the outage record as it would be written now, replaced as it grows
    FOLDER/<process id>.lock    held by the process that lives through the outage, or that records it

What a kill -9 loses is what was refused since the last note, a tenth of a second at most.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from audit import record
from audit.errors import LedgerUnavailable, Malformed
from audit.record import Outage
from traceability.marks import implements


@implements("REQ-LED-019")
class FolderOutages:
    """The notes of one home. Several processes use it at once; each note belongs to one of them at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._locks: dict[str, BinaryIO] = {}

    @implements("REQ-LED-019")
    def note(self, outage: Outage) -> None:
        """Durable when it returns; replaces what was noted of the same process.

        Raises `LedgerUnavailable` where it cannot be kept.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._claim(outage.process_id):
                raise LedgerUnavailable("outage note: another process holds the note of this one")
            temporary = self._path(outage.process_id).with_suffix(".tmp")
            with temporary.open("wb") as file:
                file.write(record.encode(outage))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path(outage.process_id))
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise LedgerUnavailable(f"outage note: cannot be written ({error.strerror})") from error

    @implements("REQ-LED-019")
    def left(self) -> Iterator[Outage]:
        """The outages of processes that are gone; each is this process's to record from now on."""
        for path in sorted(self._folder.glob("*.json")):
            if not self._claim(path.stem):
                continue
            try:
                outage = record.decode(path.read_bytes())
            except (OSError, Malformed):  # recorded and cleared a moment ago, or no note of ours
                self._release(path.stem)
                continue
            if isinstance(outage, Outage):
                yield outage

    def clear(self, outage: Outage) -> None:
        """It is on record. A note that cannot be removed is refused as known when it is recorded again."""
        if outage.process_id in self._locks:
            self._path(outage.process_id).unlink(missing_ok=True)
            self._release(outage.process_id)

    def close(self) -> None:
        """Leave what is not on record to whoever starts next."""
        for lock in self._locks.values():
            lock.close()
        self._locks.clear()

    def _path(self, process_id: str) -> Path:
        return self._folder / f"{process_id}.json"

    def _claim(self, process_id: str) -> bool:
        if process_id in self._locks:
            return True
        lock = self._path(process_id).with_suffix(".lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._locks[process_id] = lock
        return True

    def _release(self, process_id: str) -> None:
        self._path(process_id).with_suffix(".lock").unlink(missing_ok=True)
        self._locks.pop(process_id).close()
