"""Which logs a witness knows: a TOML file of origins and of the keys that are trusted for each.

    [[log]]
    origin = "hospital.example/log"
    keys = ["hospital.example/log+ID+BASE64"]

Several keys are for a log that signs with two, or that was given a new one: any of them suffices.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from audit import checkpoint as checkpoints
from audit import merkle, policy
from audit.checkpoint import Checkpoint
from audit.errors import Malformed, SettingInvalid
from audit.note import NoteVerifier
from traceability.marks import implements


class Log(Struct, frozen=True, kw_only=True):
    """A log that is witnessed: its origin line, and the keys that may sign for it."""

    origin: str
    keys: tuple[NoteVerifier, ...]

    @property
    def hash(self) -> str:
        return origin_hash(self.origin)


class _Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    origin: str
    keys: tuple[str, ...]


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    log: tuple[_Entry, ...] = ()


def origin_hash(origin: str) -> str:
    # C2SP tlog-witness, "Monitor Retrieval Mechanism": SHA-256 of the origin, lowercase hex.
    return hashlib.sha256(origin.encode("utf-8")).hexdigest()


@implements("REQ-WIT-006")
def read(path: Path) -> Mapping[str, Log]:
    """The logs by their origins. Raises `SettingInvalid` where the file cannot be obeyed to the letter."""
    try:
        given = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingInvalid(f"{path.name}: cannot be read; `medai audit witness init` makes one") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SettingInvalid(f"{path.name}: {error}; expected [[log]] with origin and keys") from error
    found: dict[str, Log] = {}
    for entry in given.log:
        if entry.origin in found:
            raise SettingInvalid(f"{path.name}: the origin {entry.origin} stands twice; list its keys together")
        found[entry.origin] = Log(origin=_origin(path, entry.origin), keys=_keys(path, entry))
    return found


def _origin(path: Path, origin: str) -> str:
    """An origin that no checkpoint could bear is a slip of the pen, which would be a log that is never witnessed."""
    try:
        checkpoints.format(Checkpoint(origin=origin, size=0, root=merkle.EMPTY_ROOT))
    except Malformed as error:
        raise SettingInvalid(f"{path.name}: {origin!r} is no origin: {error}") from error
    return origin


def _keys(path: Path, entry: _Entry) -> tuple[NoteVerifier, ...]:
    try:
        keys = tuple(policy.log_key(vkey) for vkey in entry.keys)
    except Malformed as error:
        raise SettingInvalid(f"{path.name}: a key of {entry.origin}: {error}") from error
    if not keys or len({key.public_key for key in keys}) != len(keys):
        raise SettingInvalid(f"{path.name}: {entry.origin} has to have a key, and none twice")
    return keys
