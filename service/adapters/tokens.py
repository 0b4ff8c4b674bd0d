"""Bearer tokens in a file: only their SHA-256 is kept, so that whoever reads the file cannot call the service.

    MEDAI_HOME/tokens.json    {"format": "medai.tokens/1", "tokens": [{name, scopes, sha256, issued_us, expires_us}]}

A token has 256 random bits, so a plain hash of it cannot be searched. The file is replaced as a whole (rename),
never edited in place; concurrent edits wait for each other on a lock beside it. Mode 0600.
"""

import fcntl
import hmac
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from service.errors import SettingInvalid
from traceability.marks import implements

Scope = Literal["infer", "audit.read", "release.read", "admin"]
SCOPES: Final[tuple[Scope, ...]] = ("infer", "audit.read", "release.read", "admin")
PREFIX: Final = "medai_"
"""Lets secret scanners recognise a token that was leaked."""
TOKEN_BYTES: Final = 32
MAX_TOKENS: Final = 1000
POLL_S: Final = 1.0
"""A revoked token works at most this much longer."""

Name = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Token(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token as it is kept; its name is what records call the actor."""

    name: Name
    scopes: frozenset[Scope]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    issued_us: int
    expires_us: int | None = None


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal["medai.tokens/1"] = "medai.tokens/1"
    tokens: Annotated[tuple[Token, ...], Meta(max_length=MAX_TOKENS)] = ()


@implements("REQ-SEC-003")
def issue(path: Path, name: str, scopes: Iterable[str], *, now_us: int, expires_us: int | None = None) -> str:
    """A new token for `name`; it is written nowhere else, and works within `POLL_S`.

    Raises `SettingInvalid` where the name is taken or malformed, a scope is unknown, or there is no scope.
    """
    token = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    entry = {"name": name, "scopes": sorted(set(scopes)), "sha256": _digest(token), "issued_us": now_us}
    if not entry["scopes"]:
        raise SettingInvalid(f"token {name}: it needs a scope of {', '.join(SCOPES)}")
    try:
        made = msgspec.convert(entry | {"expires_us": expires_us}, Token)
    except msgspec.ValidationError as error:
        raise SettingInvalid(
            f"token: {error}; a name has up to 64 letters, digits, dots, dashes and underscores, "
            f"and the scopes are {', '.join(SCOPES)}"
        ) from error
    with _editing(path) as kept:
        if any(token.name == name for token in kept):
            raise SettingInvalid(f"token {name}: there is one of that name; revoke it first, or choose another")
        _replace(path, (*kept, made))
    return token


@implements("REQ-SEC-004")
def revoke(path: Path, name: str) -> None:
    """No process accepts the token of `name` any more within `POLL_S`. Raises `SettingInvalid` for an unknown name."""
    with _editing(path) as kept:
        left = tuple(token for token in kept if token.name != name)
        if len(left) == len(kept):
            raise SettingInvalid(f"token {name}: there is none of that name; `medai token list` shows them")
        _replace(path, left)


def listed(path: Path) -> tuple[Token, ...]:
    """Every token, by name. Raises `SettingInvalid` where the file is not as it must be."""
    return tuple(sorted(_load(path), key=lambda token: token.name))


class TokenFile:
    """The tokens of a running process (the port `TokenBook`). It looks at the file at most every `POLL_S`.

    A file that cannot be read or parsed means no tokens at all: nobody is let in on what was true before.
    """

    def __init__(self, path: Path, *, now_us: Callable[[], int], failed: Callable[[str, BaseException], None]) -> None:
        self._path = path
        self._now_us = now_us
        self._failed = failed
        self._seen: tuple[int, int, int] | None = None
        self._tokens: tuple[tuple[bytes, Token], ...] = ()
        self._looked_at = 0.0
        self._load()

    @implements("REQ-SEC-004")
    def principal(self, token: str) -> Token | None:
        """Whose token this is; None where it is unknown, revoked or expired."""
        if monotonic() - self._looked_at >= POLL_S:
            self._load()
        digest = _digest(token).encode("ascii")
        found: Token | None = None
        # Every hash is compared, each in constant time: how long it takes says nothing of which one was near.
        for kept, entry in self._tokens:
            if hmac.compare_digest(kept, digest):
                found = entry
        if found is None or (found.expires_us is not None and found.expires_us <= self._now_us()):
            return None
        return found

    @implements("REQ-SEC-005")
    def _load(self) -> None:
        self._looked_at = monotonic()
        try:
            status = self._path.stat()
        except OSError:
            self._seen, self._tokens = None, ()
            return
        seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._tokens = tuple((token.sha256.encode("ascii"), token) for token in _load(self._path))
        except SettingInvalid as error:
            self._tokens = ()
            self._failed("tokens", error)


@implements("REQ-SEC-005")
def _load(path: Path) -> tuple[Token, ...]:
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise SettingInvalid(f"tokens: {path.name} cannot be read") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingInvalid(f"tokens: {path.name} has mode {mode & 0o777:04o}; expected 0600: chmod 600 it")
    try:
        return msgspec.json.decode(content, type=_File).tokens
    except msgspec.MsgspecError as error:
        raise SettingInvalid(f"tokens: {path.name} is not medai.tokens/1: {error}") from error


@contextmanager
def _editing(path: Path) -> Iterator[tuple[Token, ...]]:
    """The tokens, while nobody else changes them."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with Path(f"{path}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield _load(path)
    except OSError as error:
        raise SettingInvalid(f"tokens: {path} cannot be written ({error.strerror})") from error


@implements("REQ-SEC-003")
def _replace(path: Path, tokens: tuple[Token, ...]) -> None:
    """A crash leaves the old file or the new one, never a part of either."""
    if len(tokens) > MAX_TOKENS:
        raise SettingInvalid(f"tokens: at most {MAX_TOKENS}; revoke some")
    content = msgspec.json.format(msgspec.json.encode(_File(tokens=tokens)), indent=1) + b"\n"
    fresh = Path(f"{path}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, 0o600)
        file.write(content)
        file.flush()
        os.fsync(handle)
    fresh.replace(path)


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
