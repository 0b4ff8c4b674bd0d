"""The passwords of the embedded server's logins and the folder of its socket, in MEDAI_HOME/postgres.json."""

import contextlib
import os
import secrets as random
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from audit.errors import SettingInvalid
from traceability.marks import implements

PASSWORD_BYTES: Final = 24
# sockaddr_un.sun_path holds 104 bytes with its end mark where it holds least (BSD, macOS); 108 on Linux.
MAX_SOCKET_PATH: Final = 103
SOCKET_NAME: Final = "/.s.PGSQL.5432"


class Secrets(Struct, frozen=True, kw_only=True):
    format: Literal["medai.embedded/1"] = "medai.embedded/1"
    passwords: dict[str, str]
    socket_folder: str
    database: str = "medai"
    """The one in use; another one after `medai audit recover`."""

    def __repr__(self) -> str:
        """No password, for this may end in a log."""
        return f"Secrets(socket_folder={self.socket_folder!r})"


def load(home: Path) -> Secrets | None:
    """What was made for `home`, or None. Raises `SettingInvalid` where it cannot be read."""
    path = home / "postgres.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Secrets)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise SettingInvalid(f"embedded PostgreSQL: {path} is another user's; set MEDAI_HOME to your own") from error
    except msgspec.MsgspecError as error:
        raise SettingInvalid(f"embedded PostgreSQL: {path} is damaged; restore it from a copy") from error


@implements("REQ-DEP-009")
def make(home: Path, logins: Iterable[str]) -> Secrets:
    """Fresh random passwords for `logins`, on disk before the server that will want them is made."""
    passwords = {login: random.token_urlsafe(PASSWORD_BYTES) for login in logins}
    return _kept(home, Secrets(passwords=passwords, socket_folder=str(home / "run" / "pg")))


def with_socket_folder(home: Path, secrets: Secrets, uid: int) -> Secrets:
    """A folder for the socket is there: private to `uid`, mode 0700, its path short enough.

    Requires that no server runs. A folder in the temporary one may have been tidied away, or be another's.
    """
    usual = home / "run" / "pg"
    if _fits(usual):
        folder = usual
        folder.mkdir(mode=0o700, exist_ok=True)
    elif _is_private(Path(secrets.socket_folder), uid):
        folder = Path(secrets.socket_folder)
    else:
        folder = Path(tempfile.mkdtemp(prefix="medai-"))
        if not _fits(folder):
            folder.rmdir()
            raise SettingInvalid(f"embedded PostgreSQL: {home} and the temporary folder are too long for a socket")
    if os.geteuid() == 0:
        os.chown(folder, uid, -1, follow_symlinks=False)
    if not _is_private(folder, uid):
        raise SettingInvalid(f"embedded PostgreSQL: {folder} is not a folder of user {uid} alone (0700); remove it")
    if str(folder) == secrets.socket_folder:
        return secrets
    return _kept(home, msgspec.structs.replace(secrets, socket_folder=str(folder)))


def use_database(home: Path, name: str) -> None:
    """The database `name` is the one in use when this returns. Raises `SettingInvalid` where there is no server."""
    secrets = load(home)
    if secrets is None:
        raise SettingInvalid(f"embedded PostgreSQL: {home / 'postgres.json'} is gone; restore it")
    if secrets.database != name:
        _kept(home, msgspec.structs.replace(secrets, database=name))


def forget_socket_folder(home: Path) -> None:
    """Nothing of a server that has ended is left in the temporary folder."""
    secrets = load(home)
    if secrets is not None and Path(secrets.socket_folder) != home / "run" / "pg":
        # Not ours to insist: it may be gone, or hold what a killed server left; the next start uses it again.
        with contextlib.suppress(OSError):
            Path(secrets.socket_folder).rmdir()


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder)) + len(SOCKET_NAME) <= MAX_SOCKET_PATH


def _is_private(folder: Path, uid: int) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and stat.S_IMODE(found.st_mode) == stat.S_IRWXU


def _kept(home: Path, secrets: Secrets) -> Secrets:
    """Whole or not at all: a crash leaves the old file, or the new one."""
    beside = home / "postgres.json.new"
    beside.unlink(missing_ok=True)
    number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(number, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(secrets), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    beside.rename(home / "postgres.json")
    return secrets
