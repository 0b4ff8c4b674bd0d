"""Keys on disk that are not the log's: the one that makes pseudonyms.

The file holds `NAME:HEX`, 32 random bytes, mode 0600. Pseudonyms carry the name, so that a key can be replaced
while old records keep their meaning. Whoever has the key can test a guess (a patient's number, an address) against
the records; without it they say nothing. It is not in the database and must not be put there.
"""

import hmac
import os
import re
import secrets
import stat
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from service.errors import SettingInvalid
from traceability.marks import implements

KEY_BYTES: Final = 32  # as long as the output of SHA-256: RFC 2104 section 3
FIRST_NAME: Final = "k1"
_FORM: Final = re.compile(r"([a-z0-9_-]{1,32}):([0-9a-f]{64})")
_REMEMBERED: Final = 1024


class PseudonymKey:
    """HMAC-SHA-256 under a named key (the port `Pseudonyms`)."""

    def __init__(self, name: str, key: bytes) -> None:
        self._name = name
        self._key = key
        self.of = lru_cache(_REMEMBERED)(self._of)

    @implements("REQ-SEC-006")
    def _of(self, kind: Literal["patient", "study", "peer"], value: str) -> str:
        # The kind is part of what is hashed: a patient and a study of one number are two pseudonyms.
        message = kind.encode("ascii") + b"\x00" + value.encode("utf-8", "surrogatepass")
        return f"{self._name}:{hmac.digest(self._key, message, 'sha256').hex()}"


@implements("REQ-SEC-018")
def create(path: Path) -> None:
    """A key is at `path` when this returns; one that is there already is kept."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise SettingInvalid(f"pseudonym key: {path} cannot be written ({error.strerror})") from error
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(f"{FIRST_NAME}:{secrets.token_bytes(KEY_BYTES).hex()}\n")
        file.flush()
        os.fsync(handle)


@implements("REQ-SEC-018")
def load(path: Path) -> PseudonymKey:
    """The key at `path`. Raises `SettingInvalid` where it is missing, malformed or readable by others."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingInvalid(f"pseudonym key: {path} cannot be read; it holds NAME:HEX of 32 bytes") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingInvalid(f"pseudonym key: {path.name} has mode {mode & 0o777:04o}; expected 0600: chmod 600 it")
    parts = _FORM.fullmatch(text)
    if parts is None:
        raise SettingInvalid(f"pseudonym key: {path.name} is not NAME:HEX of 32 bytes")
    return PseudonymKey(parts[1], bytes.fromhex(parts[2]))
