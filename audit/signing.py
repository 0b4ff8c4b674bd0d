"""Signing keys on disk: the log's, a second one of it, and a witness's. Made once, readable by their owner alone.

A file holds a key in the text form of golang.org/x/mod/sumdb/note (`PRIVATE+KEY+...`). Whoever reads it can
sign as this log or witness; of a log's, only an anchor or a witness would show that. It is never overwritten.
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from audit.cosignature import Cosigner, LogSigner
from audit.errors import Malformed, SettingInvalid
from audit.note import Signer
from audit.secret_sources import FileSecret
from traceability.marks import implements

SEED_BYTES = 32  # RFC 8032 section 5.1.5; FIPS 204 algorithm 1

Key = TypeVar("Key", Signer, Cosigner)


@implements("REQ-SEC-018")
def create(path: Path, origin: str) -> Signer:
    """A new key named `origin`, durable at `path` (mode 0600) when this returns.

    Raises `SettingInvalid` where a key is already there: a log's key is part of its history.
    """
    signer = Signer.generate(origin, secrets.token_bytes(SEED_BYTES))
    write(path, signer.skey)
    return signer


def create_cosigner(path: Path, name: str, algorithm: bytes) -> Cosigner:
    """As `create`: a witness's key, or with ML-DSA-44 a log's second one."""
    cosigner = Cosigner(name, secrets.token_bytes(SEED_BYTES), algorithm)
    write(path, cosigner.skey)
    return cosigner


@implements("REQ-SEC-018")
def load(path: Path) -> Signer:
    """The key at `path`. Raises `SettingInvalid` where it is missing, malformed or readable by others."""
    return _parsed(path, Signer.parse)


def load_cosigner(path: Path) -> Cosigner:
    """As `load`: a cosigner's key, of either algorithm."""
    return _parsed(path, Cosigner.parse)


def load_second(path: Path, origin: str, *, required: bool) -> LogSigner | None:
    """The log's ML-DSA-44 key at `path`, or None where there is none and none is `required`.

    Raises as `load`, and `SettingInvalid` where it is of another log: nobody would notice that a signature is missing.
    """
    if not required and not path.exists():
        return None
    cosigner = load_cosigner(path)
    if cosigner.name != origin:
        raise SettingInvalid(f"signing key: {path.name} is of {cosigner.name}, not of {origin}; move it away")
    try:
        return LogSigner(cosigner)
    except Malformed as error:
        raise SettingInvalid(f"signing key: {path.name}: {error}") from error


def write(path: Path, skey: str) -> None:
    """The secret is durable at `path`, mode 0600. Raises `SettingInvalid` where a key is there already."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise SettingInvalid("signing key: one is there already; keep it, or name another file") from error
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(skey + "\n")
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def parsed(body: bytes, where: str) -> Signer:
    """The key that `body` holds. Raises `SettingInvalid`, which names `where` and nothing of the key."""
    return _key(body, where, Signer.parse)


def _parsed(path: Path, parse: Callable[[str], Key]) -> Key:
    file = FileSecret(path, "signing key", "`medai ledger init` or `medai audit witness init` makes one")
    return _key(file.read(), file.where, parse)


def _key(body: bytes, where: str, parse: Callable[[str], Key]) -> Key:
    try:
        return parse(body.decode("utf-8").strip())
    except (Malformed, UnicodeDecodeError):
        # Without its cause: what could not be parsed is, but for a letter, the key.
        raise SettingInvalid(f"signing key: {where} is not a note signing key of the kind that is wanted") from None
