"""Checkpoints kept where the database's owner cannot reach: here, a local append-only folder.

One line an anchor, canonical JSON (`medai.anchor/1`): the signed checkpoint and which database it was taken
from (system identifier and timeline). Lines are only ever added; a crash can leave a torn last line, which
was never acknowledged: it is closed with a newline by the next writer and ignored by every reader.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from msgspec import Struct

from audit import canonical, checkpoint, note
from audit.errors import (
    AuditError,
    KeyUnknown,
    LedgerForked,
    LedgerUnavailable,
    Malformed,
    SettingInvalid,
    SignatureMissing,
)
from audit.ports import Anchored
from traceability.marks import implements

FORMAT: Final = "medai.anchor/1"
SEGMENT_BYTES: Final = 16 * 1024 * 1024
TAIL_BYTES: Final = 64 * 1024  # more than any one line: a checkpoint note is at most a few KB


class _Stranger(Struct, frozen=True, kw_only=True):
    """A checkpoint that bears our log's name and the signature of no key that we know."""

    origin: str
    size: int


@implements("REQ-DEP-006")
def require_folder(folder: Path) -> None:
    """The folder is there and can be written to. Raises `SettingInvalid`: before anything is signed, not after."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "lock").open("a").close()
    except OSError as error:
        raise SettingInvalid(f"MEDAI_ANCHOR_FOLDER: {folder} is no folder to write to ({error.strerror})") from error


class FolderAnchor:
    """An append-only folder; several processes may write to it at once.

    Every checkpoint read back is opened with `verifiers` (its own keys): a line signed by nobody we know is
    not an anchor. One that bears our name all the same is not passed over where it is the newest: a database that
    lost the record of a new key would make that key's anchors look like nobody's. Residual risk: whoever can write
    to the folder can cut its end; an anchor elsewhere (another host, a witness) is what shows that.
    """

    def __init__(self, folder: Path, verifiers: tuple[note.Verifier, ...]) -> None:
        self._folder = folder
        self._verifiers = verifiers

    def parts(self) -> "tuple[FolderAnchor]":
        """This folder alone."""
        return (self,)

    def trust(self, keys: Sequence[note.Verifier]) -> None:
        """Checkpoints signed by any of `keys` are anchors of this log from now on."""
        self._verifiers = tuple(keys)

    @implements("REQ-DEP-006")
    def newest(self) -> Anchored | None:
        """The anchor of the largest size, or None where there is none yet.

        Raises `LedgerUnavailable` where the folder is there and cannot be read: that is not the same as empty; and
        `KeyUnknown` where the newest that bears our name is signed by no key of ours.
        """
        try:
            found = self._newest()
        except OSError as error:
            raise LedgerUnavailable(f"anchor folder: cannot be read ({error.strerror})") from error
        if isinstance(found, _Stranger):
            raise KeyUnknown(
                f"anchor folder: its newest checkpoint of {found.origin}, size {found.size}, is signed by no key that "
                "the database's records know: records are missing, or somebody wrote there who does not hold the key"
            )
        return found

    def all(self) -> Iterator[Anchored]:
        """Every anchor, oldest first. Lines that are no anchors of this log are passed over.

        Raises `LedgerUnavailable` as `newest` does.
        """
        try:
            for segment in self._segments():
                with segment.open("rb") as file:
                    for line in file:
                        anchored = self._parse(line)
                        if isinstance(anchored, Anchored):
                            yield anchored
        except OSError as error:
            raise LedgerUnavailable(f"anchor folder: cannot be read ({error.strerror})") from error

    @implements("REQ-LED-014")
    def put(self, signed: str, *, system_identifier: str | None, timeline: int) -> None:
        """Durable when it returns; a smaller size than the newest, or the same again, changes
        nothing (the same size from another database or timeline is kept: it says that one was accepted).

        Raises `LedgerForked` where the newest anchor has the same size and another root, and
        `LedgerUnavailable` where the folder cannot be written.
        """
        new = self._open(signed, system_identifier, timeline)
        line = canonical.encode(
            {"format": FORMAT, "checkpoint": signed, "system_identifier": system_identifier, "timeline": timeline}
        )
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with (self._folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._append(new, line)
        except OSError as error:
            raise LedgerUnavailable("anchor folder: cannot be written") from error

    def _append(self, new: Anchored, line: bytes) -> None:
        last = self._newest()
        if isinstance(last, _Stranger):
            # Another process may know of a key that this one will learn of at its next append. Such a key signs
            # larger sizes only: what is there already says more than this.
            if last.size >= new.size:
                return
            last = None
        if last is not None and last.size == new.size and last.root != new.root:
            raise LedgerForked(f"two signed roots for size {new.size}: the newest anchor's and this process's")
        if last is not None and (last.size > new.size or last == new):
            return
        segments = self._segments()
        created = not segments or segments[-1].stat().st_size >= SEGMENT_BYTES
        path = self._folder / f"anchors-{len(segments) + 1:06d}.jsonl" if created else segments[-1]
        with path.open("ab") as file:
            torn = file.tell() > 0 and not _ends_with_newline(path)
            file.write((b"\n" if torn else b"") + line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if created:
            _sync_folder(self._folder)

    def _segments(self) -> list[Path]:
        try:
            # Not `glob`, which takes a folder that may not be read for an empty one.
            return sorted(path for path in self._folder.iterdir() if fnmatch(path.name, "anchors-*.jsonl"))
        except FileNotFoundError:
            return []

    def _newest(self) -> "Anchored | _Stranger | None":
        for segment in reversed(self._segments()):
            found = self._last(segment)
            if found is not None:
                return found
        return None

    def _last(self, segment: Path) -> "Anchored | _Stranger | None":
        with segment.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - TAIL_BYTES))
            lines = file.read().split(b"\n")
        for line in reversed(lines[:-1]):  # what follows the last newline is torn
            anchored = self._parse(line)
            if anchored is not None:
                return anchored
        return None

    def _parse(self, line: bytes) -> "Anchored | _Stranger | None":
        try:
            entry = canonical.decode(line.rstrip(b"\n"))
        except Malformed:
            return None
        if not isinstance(entry, dict) or entry.get("format") != FORMAT:
            return None
        signed, timeline = entry.get("checkpoint"), entry.get("timeline")
        identifier = entry.get("system_identifier")
        if not isinstance(signed, str) or not isinstance(timeline, int) or not isinstance(identifier, str | None):
            return None
        try:
            return self._open(signed, identifier, timeline)
        except SignatureMissing:
            return self._stranger(signed)
        except AuditError:
            return None

    def _stranger(self, signed: str) -> "_Stranger | None":
        try:
            stated = checkpoint.parse(note.split(signed)[0])
        except AuditError:
            return None
        ours = stated.origin in {verifier.name for verifier in self._verifiers}
        return _Stranger(origin=stated.origin, size=stated.size) if ours else None

    def _open(self, signed: str, system_identifier: str | None, timeline: int) -> Anchored:
        opened = checkpoint.parse(note.open(signed, self._verifiers).text)
        return Anchored(
            checkpoint=signed,
            size=opened.size,
            root=opened.root,
            system_identifier=system_identifier,
            timeline=timeline,
        )


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
