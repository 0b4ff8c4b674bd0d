"""The key that makes pseudonyms, in a file or wherever else a secret comes from.

It is `NAME:HEX` of 32 random bytes; a file has mode 0600. Pseudonyms carry the name, so that a key can be replaced
while old records keep their meaning. Whoever has the key can test a guess (a patient's number, an address) against
the records; without it they say nothing. It is not in the database and must not be put there.
"""

import hmac
import os
import re
import secrets
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

import audit.errors
from audit.errors import AuditError
from audit.secret_sources import FileSecret, SecretSource
from service.errors import SettingInvalid
from traceability.marks import implements

KEY_BYTES: Final = 32  # as long as the output of SHA-256: RFC 2104 section 3
FIRST_NAME: Final = "k1"
_FORM: Final = re.compile(r"([a-z0-9_-]{1,32}):([0-9a-f]{64})")
_REMEMBERED: Final = 8192


class PseudonymKey:
    """HMAC-SHA-256 under a named key (the port `Pseudonyms`)."""

    def __init__(self, name: str, key: bytes) -> None:
        self.name = self._name = name
        self.digest = sha256(key).digest()
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


def file_of(path: Path) -> FileSecret:
    """The key's file, as a source of it."""
    return FileSecret(path, "pseudonym key", "it holds NAME:HEX of 32 bytes")


@implements("REQ-SEC-018")
def load(source: SecretSource) -> PseudonymKey:
    """The key in `source`. Raises `SettingInvalid` where it is missing, malformed or readable by others."""
    try:
        parts = _FORM.fullmatch(source.read().decode("ascii").strip())
    except UnicodeDecodeError:
        parts = None
    except audit.errors.SettingInvalid as error:
        raise SettingInvalid(str(error)) from error
    if parts is None:
        raise SettingInvalid(f"pseudonym key: {source.where} is not NAME:HEX of 32 bytes")
    return PseudonymKey(parts[1], bytes.fromhex(parts[2]))


class CurrentPseudonyms:
    """The pseudonyms by whichever key is in the source (the port `Pseudonyms`): another is used when `look` finds it.

    A name means one key for ever: other bytes under the same name would make two people of one, unseen.
    """

    def __init__(self, source: SecretSource, *, failed: Callable[[str, BaseException], None]) -> None:
        """Raises as `load`."""
        self._source, self._failed = source, failed
        self._seen = source.version()
        self._used = load(source)
        self._names = {self._used.name: self._used.digest}

    def of(self, kind: Literal["patient", "study", "peer"], value: str) -> str:
        return self._used.of(kind, value)

    @implements("REQ-SEC-046")
    def look(self) -> None:
        """The key that the source has now is the one in use, where it is one that may be; else the last stays."""
        try:
            seen = self._source.version()
            if seen is None or seen == self._seen:
                return
            self._seen = seen
            key = load(self._source)
            if self._names.setdefault(key.name, key.digest) != key.digest:
                raise SettingInvalid(f"pseudonym key: {self._source.where} has other bytes under a name that was used")
            self._used = key
        except (AuditError, SettingInvalid) as error:
            self._failed("pseudonym key", error)
