"""The log's signing key on disk: made once, readable by its owner alone.

The file holds the key in the text form of golang.org/x/mod/sumdb/note (`PRIVATE+KEY+...`). Whoever reads
it can sign as this log; only an anchor or a witness would show that. It is never overwritten.
"""

import os
import secrets
import stat
from pathlib import Path

from audit.errors import Malformed, SettingInvalid
from audit.note import Signer
from traceability.marks import implements

SEED_BYTES = 32  # RFC 8032 section 5.1.5


@implements("REQ-SEC-018")
def create(path: Path, origin: str) -> Signer:
    """A new key named `origin`, durable at `path` (mode 0600) when this returns.

    Raises `SettingInvalid` where a key is already there: a log's key is part of its history.
    """
    signer = Signer.generate(origin, secrets.token_bytes(SEED_BYTES))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise SettingInvalid("signing key: one is there already; keep it, or name another file") from error
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(signer.skey + "\n")
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return signer


@implements("REQ-SEC-018")
def load(path: Path) -> Signer:
    """The key at `path`. Raises `SettingInvalid` where it is missing, malformed or readable by others."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingInvalid(f"signing key: {path.name} cannot be read; `medai ledger init` makes one") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingInvalid(f"signing key: {path.name} has mode {mode & 0o777:04o}; expected 0600: chmod 600 it")
    try:
        return Signer.parse(text)
    except Malformed as error:
        raise SettingInvalid(f"signing key: {path.name} is not a note signing key") from error
