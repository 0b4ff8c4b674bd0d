"""The log's signing keys that this process was given: the one in use, and the one that a rotation will begin with.

    PATH        the key (`MEDAI_SIGNING_KEY_FILE`)
    PATH.next   the next key, put beside it before the rotation is recorded; `install` makes it the key

A process finds the key that the ledger's records name, in whichever file it is: so the files may change before,
during and after a rotation, on each machine at its own time.
"""

import os
from pathlib import Path
from typing import Final

from audit import signing
from audit.errors import SettingInvalid
from audit.note import Signer, Verifier

NEXT: Final = ".next"
RETIRED: Final = ".retired-"


class KeyFiles:
    """Implements `audit.ports.Keys` over the two files."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def next_path(self) -> Path:
        return self._path.with_name(self._path.name + NEXT)

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


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
