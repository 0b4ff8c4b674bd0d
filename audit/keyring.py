"""The log's signing keys that this process was given: the one in use, and the one that a rotation will begin with.

    PATH        the key (`MEDAI_SIGNING_KEY_FILE`)
    PATH.next   the next key, put beside it before the rotation is recorded; `install` makes it the key

Another suffix is for the key of another log that is to take this one's place (`audit.recovering`).

A process finds the key that the ledger's records name, in whichever file it is: so the files may change before,
during and after a rotation, on each machine at its own time.
"""

import os
from pathlib import Path
from typing import Final, Protocol

from audit import checkpoint, cosignature, note, signing
from audit.checkpoint import Checkpoint
from audit.errors import KeyMissing, SettingInvalid
from audit.note import NoteSigner, Signer, Verifier
from audit.ports import Keys
from audit.rotation import KeyHistory, shown
from traceability.marks import implements

NEXT: Final = ".next"
RETIRED: Final = ".retired-"


@implements("REQ-KEY-002")
class Keyring:
    """Which of the keys at hand signs which sizes, by the history of the log that is in use."""

    def __init__(self, given: Signer, keys: Keys | None = None, second: NoteSigner | None = None) -> None:
        """`second` is of another kind (ML-DSA-44) and signs every size besides; rotations are not about it."""
        self.given: Final = given
        self._besides: Final = () if second is None else (second,)
        self._keys = keys
        self._held = {given.verifier: given}
        self._history: KeyHistory | None = None
        self._by_size: list[tuple[int, Signer | None]] = []

    @property
    def history(self) -> KeyHistory:
        assert self._history is not None, "a ledger reads its keys before it signs"
        return self._history

    def use(self, history: KeyHistory) -> bool:
        """Use this history from now on; whether the current key is another one than before.

        Raises `KeyMissing`, with nothing changed, where the current key is not at hand.
        """
        if history == self._history:
            return False
        for epoch in history.epochs:
            signer = self._held.get(epoch.key) or (self._keys.signer(epoch.key) if self._keys is not None else None)
            if signer is not None:
                self._held[epoch.key] = signer
        if history.current.key not in self._held:
            raise KeyMissing(
                f"signing key: record {history.current.index} rotated the log's key to {shown(history.current.key)}, "
                f"which this process was not given: put it beside the old one, as MEDAI_SIGNING_KEY_FILE{NEXT}"
            )
        # The latest first: nearly every size is its own.
        self._by_size = [(epoch.after, self._held.get(epoch.key)) for epoch in reversed(history.epochs)]
        before, self._history = self._history, history
        return before is not None

    def can_sign(self, size: int) -> bool:
        """Whether the key of this size is at hand; a retired one may be gone."""
        return self._of_size(size) is not None

    def sign(self, size: int, root: bytes) -> str:
        """The signed checkpoint of the tree of `size` records. Raises `KeyMissing` where its key is gone."""
        signer = self.of_size(size)
        text = checkpoint.format(Checkpoint(origin=signer.name, size=size, root=root))
        return note.sign(text, (signer, *self._besides))

    def of_size(self, size: int) -> Signer:
        """The key that signs the tree of `size` records. Raises `KeyMissing` where it is gone."""
        signer = self._of_size(size)
        if signer is None:
            raise KeyMissing(f"signing key: size {size} is for a retired key to sign, and that key is gone")
        return signer

    def _of_size(self, size: int) -> Signer | None:
        for after, signer in self._by_size:
            if size > after:
                return signer
        return None


class KeyPlace(Keys, Protocol):
    """Where the log's keys are kept, the one in use and the next one, for who rotates them."""

    def held(self) -> tuple[Signer, ...]:
        """Every key at hand, the one in use first."""
        ...

    def prepare(self, origin: str) -> Signer:
        """The next key is there: the one that is there already, or a new one, durable when this returns."""
        ...

    def install(self, *, keep: str | None = None) -> None:
        """The next key is the key in use."""
        ...


@implements("REQ-KEY-002")
class KeyFiles:
    """Implements `KeyPlace` over the two files."""

    def __init__(self, path: Path, *, suffix: str = NEXT) -> None:
        self._path = path
        self._suffix = suffix

    @property
    def next_path(self) -> Path:
        return self._path.with_name(self._path.name + self._suffix)

    def signer(self, key: Verifier) -> Signer | None:
        """The signing half of `key`, if it is at hand now. Raises `SettingInvalid` for a file that is no key's."""
        # The first again at the end: `install` may have moved the second to its place meanwhile.
        for path in (self._path, self.next_path, self._path):
            if path.exists():
                signer = signing.load(path)
                if signer.verifier == key:
                    return signer
        return None

    def held(self) -> tuple[Signer, ...]:
        """Every key at hand, the one in use first."""
        return tuple(signing.load(path) for path in (self._path, self.next_path) if path.exists())

    def prepare(self, origin: str) -> Signer:
        """The next key is there: the one that is there already, or a new one, durable when this returns."""
        if not self.next_path.exists():
            # Beside it first: a crash leaves no key that is half there.
            beside = self.next_path.with_name(self.next_path.name + ".new")
            beside.unlink(missing_ok=True)
            signing.create(beside, origin)
            beside.rename(self.next_path)
            _sync(self._path.parent)
        signer = signing.load(self.next_path)
        if signer.name != origin:
            raise SettingInvalid(
                f"{self.next_path.name}: the key of {signer.name}, expected one of {origin}; remove it"
            )
        return signer

    def install(self, *, keep: str | None = None) -> None:
        """The next key is the key in use, in one step; what was in use is gone, or kept as `PATH.retired-KEEP`."""
        if keep is not None and self._path.exists():
            kept = self._path.with_name(self._path.name + RETIRED + keep)
            kept.unlink(missing_ok=True)
            kept.hardlink_to(self._path)
        self.next_path.replace(self._path)
        _sync(self._path.parent)


def succeed_second(path: Path, origin: str) -> None:
    """Where there is a second key (ML-DSA-44) at `path`, it is one of `origin` when this returns: another log's is kept
    under another name, and a new one takes its place."""
    if not path.exists():
        return
    before = signing.load_cosigner(path)
    if before.name == origin:
        return
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    signing.create_cosigner(beside, origin, cosignature.ALGORITHM_ML_DSA_44)
    kept = path.with_name(path.name + RETIRED + before.verifier.key_hash.hex())
    kept.unlink(missing_ok=True)
    kept.hardlink_to(path)
    beside.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
