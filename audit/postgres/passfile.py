"""The passwords of a process's database logins, where libpq looks for them at each new connection: a file in memory.

The file has no name in any folder and is on no disk; it is this process's own descriptor, which no child inherits. What
replaces it does so in one step, so that nobody reads half of one. (libpq: "The Password File", PostgreSQL 34.16.)
"""

import os
from contextlib import AbstractContextManager

from psycopg import ProgrammingError, conninfo

from audit.errors import SettingInvalid
from traceability.marks import implements


class Passfile(AbstractContextManager["Passfile"]):
    """Holds nothing until the first `put`."""

    def __init__(self) -> None:
        """Raises `SettingInvalid` where the system has no such files."""
        self._number = self._made(b"")

    def __exit__(self, *_: object) -> None:
        os.close(self._number)

    @property
    def path(self) -> str:
        return f"/proc/self/fd/{self._number}"

    @implements("REQ-SEC-045")
    def put(self, body: bytes) -> None:
        """The next connection logs in with this, in the format of libpq's password file."""
        fresh = self._made(body)
        try:
            os.dup2(fresh, self._number, inheritable=False)
        finally:
            os.close(fresh)

    @implements("REQ-SEC-045")
    def named_in(self, url: str) -> str:
        """`url`, told to look here. Raises `SettingInvalid` where it has a password, or another file, already."""
        try:
            given = {name: str(value) for name, value in conninfo.conninfo_to_dict(url).items()}
        except ProgrammingError:
            raise SettingInvalid("database: its URL is not one that libpq reads; see PostgreSQL 32.1.1") from None
        if given.get("password") or given.get("passfile"):
            raise SettingInvalid(
                "database: its URL has a password or a passfile, and the settings take the password from elsewhere: "
                "a secret is in one place"
            )
        return conninfo.make_conninfo(**{**given, "passfile": self.path})

    @staticmethod
    def _made(body: bytes) -> int:
        try:
            number = os.memfd_create("medai-pgpass", os.MFD_CLOEXEC)
        except (AttributeError, OSError) as error:
            raise SettingInvalid("database: passwords from a vault or from Entra need Linux") from error
        os.fchmod(number, 0o600)  # libpq passes over a file that others may read
        os.write(number, body)
        return number


@implements("REQ-SEC-045")
def line_for_all(password: str) -> bytes:
    """A password file with one password for every login; a colon and a backslash are escaped."""
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n".encode()
