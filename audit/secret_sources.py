"""Where a secret comes from: one port, and of its two implementations the file (`audit.vault` has the other).

Which is for what is the composition's to say (`audit.secrets_configured`); whoever uses a secret knows only the port.
"""

import stat
from collections.abc import Hashable
from pathlib import Path
from typing import Protocol

from audit.errors import SettingInvalid
from traceability.marks import implements


class SecretSource(Protocol):
    """One secret. Neither method waits for anything far away; no error's text holds any of the secret."""

    @property
    def where(self) -> str:
        """What messages call its place."""
        ...

    def version(self) -> Hashable | None:
        """Another value whenever the secret may be another; None where there is none.

        Raises `VaultUnavailable` where what is known of it is too old to be relied on.
        """
        ...

    def read(self) -> bytes:
        """The secret as it is now. Raises `SettingInvalid` where it is missing or open to others, and as `version`."""
        ...


class FileSecret:
    """A file that its owner alone may read."""

    def __init__(self, path: Path, what: str, remedy: str = "") -> None:
        """`what` begins every message; `remedy` is what to do where the file is missing."""
        self.path, self._what, self._remedy = path, what, remedy

    @property
    def where(self) -> str:
        return self.path.name

    def version(self) -> Hashable | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    @implements("REQ-SEC-018")
    def read(self) -> bytes:
        try:
            mode, body = self.path.stat().st_mode, self.path.read_bytes()
        except OSError as error:
            remedy = f"; {self._remedy}" if self._remedy else ""
            raise SettingInvalid(f"{self._what}: {self.path.name} cannot be read{remedy}") from error
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SettingInvalid(
                f"{self._what}: {self.path.name} has mode {mode & 0o777:04o}; expected 0600: chmod 600 it"
            )
        return body
