"""What a witness has cosigned, on disk: for each log its latest checkpoint, replaced only as a whole.

    witness                 the format's version and the witness's keys, made by `medai audit witness init`
    HASH.checkpoint         the latest checkpoint, with the log's signatures and ours; HASH is of the origin
    HASH.lock               locked while it is compared and replaced
    forked/HASH/            signed checkpoints of the same size as the one cosigned, with another root
    unproven/HASH/          signed checkpoints whose proof of consistency was wrong

A witness that forgets is one that signs two histories. So nothing is cosigned without the file `witness`, which
an empty volume does not have, and a checkpoint on disk is believed only with one of our own signatures on it.
Residual risk: a state that is restored from an older copy, or single files that are deleted, cannot be told from
the truth here; whoever runs the witness keeps the folder for as long as the keys.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from audit import checkpoint as checkpoints
from audit import cosignature, note
from audit.checkpoint import Checkpoint
from audit.errors import Altered, AuditError, SettingInvalid, WitnessUnavailable
from audit.witness.logs import origin_hash
from traceability.marks import implements

FORMAT: Final = "medai.witness/1"
_MARKER: Final = "witness"
_POLL_S: Final = 0.005


class Cosigned(Struct, frozen=True, kw_only=True):
    """The latest checkpoint that was cosigned for a log, and when."""

    checkpoint: Checkpoint
    time_s: int


@implements("REQ-WIT-002")
class StateFolder:
    """The state of one witness. Several threads and processes may use it at once; each log has its own lock."""

    def __init__(self, folder: Path, keys: Sequence[cosignature.Verifier], *, lock_deadline_ms: int) -> None:
        """Requires `open_state` to have been called on the folder."""
        self._folder = folder
        self._keys = tuple(keys)
        self._lock_deadline_s = lock_deadline_ms / 1000

    @contextlib.contextmanager
    def locked(self, log: str) -> Iterator[None]:
        """Nobody else compares or replaces the checkpoint of `log` (its origin's hash) meanwhile.

        Raises `WitnessUnavailable` where another request holds the lock beyond the deadline. A process that dies
        lets go of it.
        """
        deadline = time.monotonic() + self._lock_deadline_s
        handle = os.open(self._folder / f"{log}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # A lock of flock() belongs to this opening of the file: it holds off threads as well as processes.
            while not _lock(handle):
                if time.monotonic() >= deadline:
                    raise WitnessUnavailable("witness: another request on this log has not ended; try again")
                time.sleep(_POLL_S)
            yield
        finally:
            os.close(handle)

    def signed(self, log: str) -> bytes | None:
        """The note that was persisted last, or None where nothing was ever cosigned for this log."""
        try:
            return (self._folder / f"{log}.checkpoint").read_bytes()
        except FileNotFoundError:
            return None

    def latest(self, log: str) -> Cosigned | None:
        """What was cosigned last. Raises `Altered` where what is on disk is not what we wrote."""
        signed = self.signed(log)
        return None if signed is None else _believed(log, signed, self._keys)

    def persist(self, log: str, signed: str) -> None:
        """Durable when it returns, and never half of it. Requires `locked`.

        A crash before the replacement leaves the old checkpoint, one after it the new: either way no signature
        has left, and the log asks again. Raises OSError where the disk refuses; whether the replacement is
        durable is then unknown, and the caller answers nothing until it is.
        """
        path, beside = self._folder / f"{log}.checkpoint", self._folder / f"{log}.new"
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(signed.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _sync(self._folder)

    def keep(self, log: str, kind: str, name: str, signed: str, at_most: int) -> None:
        """Keep, as evidence, a signed checkpoint that was not cosigned. The first of a name stays."""
        kept = self._folder / kind / log
        kept.mkdir(parents=True, exist_ok=True, mode=0o700)
        if len(os.listdir(kept)) < at_most:
            with contextlib.suppress(FileExistsError), (kept / f"{name}.checkpoint").open("xb") as file:
                file.write(signed.encode("utf-8"))


@implements("REQ-WIT-002")
def create_state(folder: Path, keys: Sequence[cosignature.Verifier]) -> None:
    """The state of a witness that has cosigned nothing yet, or the one that is there with these keys added."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = _marked(folder) if (folder / _MARKER).exists() else []
    lines = [FORMAT, *dict.fromkeys([*known, *map(str, keys)])]
    beside = folder / f"{_MARKER}.new"
    with beside.open("w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, folder / _MARKER)
    _sync(folder)


@implements("REQ-WIT-002")
def open_state(folder: Path, keys: Sequence[cosignature.Verifier], *, lock_deadline_ms: int) -> StateFolder:
    """The state, where it belongs to these keys and every checkpoint in it is one that they cosigned.

    Raises `SettingInvalid` for a folder that is not theirs, and `Altered` for a checkpoint that is not.
    """
    known = _marked(folder)
    strangers = [f"{key.name}+{key.key_hash.hex()}" for key in keys if str(key) not in known]
    if strangers:
        raise SettingInvalid(f"witness: the state in {folder} is not that of the key {strangers[0]}")
    theirs = [cosignature.Verifier.parse(vkey) for vkey in known]
    for path in sorted(folder.glob("*.checkpoint")):
        _believed(path.stem, path.read_bytes(), theirs)
    return StateFolder(folder, theirs, lock_deadline_ms=lock_deadline_ms)


def _marked(folder: Path) -> list[str]:
    try:
        version, *vkeys = (folder / _MARKER).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise SettingInvalid(
            f"witness: {folder} holds no state. A witness that lost what it cosigned would sign a second history: "
            "restore the folder, or begin with new keys (`medai audit witness init` in another home)"
        ) from error
    if version != FORMAT:
        raise SettingInvalid(f"witness: the state in {folder} is of the format {version!r:.40}, expected {FORMAT}")
    return vkeys


def _believed(log: str, signed: bytes, keys: Sequence[cosignature.Verifier]) -> Cosigned:
    try:
        opened = note.open(signed, keys)
        checkpoint = checkpoints.parse(opened.text)
    except AuditError as error:
        raise Altered(f"witness: the state of the log {log} is not what was persisted: {error}") from error
    if origin_hash(checkpoint.origin) != log:
        raise Altered(f"witness: the state of the log {log} is that of another, {checkpoint.origin}")
    time_s = max(cosignature.time_of(signature.signature) for signature in opened.verified)
    return Cosigned(checkpoint=checkpoint, time_s=time_s)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
