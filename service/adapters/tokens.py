"""Bearer tokens in a file: only their SHA-256 is kept, so that whoever reads the file cannot call the service.

    MEDAI_HOME/tokens.json    {"format": "medai.tokens/1", "tokens": [{name, scopes, sha256, issued_us, expires_us}]}

A token has 256 random bits, so a plain hash of it cannot be searched. The file is replaced as a whole (rename),
never edited in place; concurrent edits wait for each other on a lock beside it. Mode 0600.
"""

import fcntl
import hmac
import os
import secrets
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Annotated, Final, Literal, Protocol

import msgspec
from msgspec import Meta, Struct

import audit.errors
from audit.errors import AuditError
from audit.secret_sources import FileSecret, SecretSource
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

# What begins with "entra." is whom Microsoft Entra vouches for (audit.entra): no token of ours may pass for one.
Name = Annotated[str, Meta(pattern=r"^(?!entra\.)[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


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
def issue(place: "TokenPlace", name: str, scopes: Iterable[str], *, now_us: int, expires_us: int | None = None) -> str:
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
    with place.editing() as edit:
        if any(token.name == name for token in edit.kept):
            raise SettingInvalid(f"token {name}: there is one of that name; revoke it first, or choose another")
        edit.replace((*edit.kept, made))
    return token


def require_name(name: str) -> None:
    """Returns where a token may be called so. Raises `SettingInvalid`."""
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError as error:
        raise SettingInvalid(
            "token: a name has up to 64 letters, digits, dots, dashes and underscores, and does not begin with entra."
        ) from error


@implements("REQ-SEC-004")
def revoke(place: "TokenPlace", name: str) -> None:
    """No process accepts the token of `name` any more within `POLL_S`. Raises `SettingInvalid` for an unknown name."""
    with place.editing() as edit:
        left = tuple(token for token in edit.kept if token.name != name)
        if len(left) == len(edit.kept):
            raise SettingInvalid(f"token {name}: there is none of that name; `medai token list` shows them")
        edit.replace(left)


def listed(source: SecretSource) -> tuple[Token, ...]:
    """Every token, by name. Raises `SettingInvalid` where the book is not as it must be."""
    return tuple(sorted(parsed(source), key=lambda token: token.name))


class TokenFile:
    """The tokens of a running process (the port `TokenBook`). It looks at their source at most every `POLL_S`.

    A source that cannot be read or parsed means no tokens at all: nobody is let in on what was true before.
    """

    def __init__(
        self, source: SecretSource, *, now_us: Callable[[], int], failed: Callable[[str, BaseException], None]
    ) -> None:
        self._source = source
        self._now_us = now_us
        self._failed = failed
        self._seen: Hashable | None = None
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

    async def late(self, token: str) -> Token | None:
        """Nobody else knows more of an opaque token."""
        return None

    @implements("REQ-SEC-005")
    def _load(self) -> None:
        self._looked_at = monotonic()
        try:
            seen = self._source.version()
            if seen == self._seen:
                return
            self._seen, self._tokens = seen, ()
            if seen is not None:
                self._tokens = tuple((token.sha256.encode("ascii"), token) for token in parsed(self._source))
        except (SettingInvalid, AuditError) as error:
            self._tokens = ()
            self._failed("tokens", error)


def file_of(path: Path) -> FileSecret:
    """The file of tokens, as a source of them."""
    return FileSecret(path, "tokens")


@implements("REQ-SEC-005")
def parsed(source: SecretSource) -> tuple[Token, ...]:
    """The tokens in `source`, none where there is nothing. Raises `SettingInvalid` where it is not as it must be."""
    if source.version() is None:
        return ()
    try:
        return msgspec.json.decode(source.read(), type=_File).tokens
    except audit.errors.SettingInvalid as error:
        raise SettingInvalid(str(error)) from error
    except msgspec.MsgspecError as error:
        raise SettingInvalid(f"tokens: {source.where} is not medai.tokens/1: {error}") from error


class TokenPlace(Protocol):
    """Where tokens are kept, for who edits them."""

    def editing(self) -> AbstractContextManager["Edit"]:
        """The tokens, while nobody else changes them, as far as the place can see to that."""
        ...


class Edit:
    """The tokens that are there, and how they are replaced."""

    def __init__(self, kept: tuple[Token, ...], write: Callable[[bytes], None]) -> None:
        self.kept, self._write = kept, write

    @implements("REQ-SEC-003")
    def replace(self, tokens: tuple[Token, ...]) -> None:
        if len(tokens) > MAX_TOKENS:
            raise SettingInvalid(f"tokens: at most {MAX_TOKENS}; revoke some")
        self._write(msgspec.json.format(msgspec.json.encode(_File(tokens=tokens)), indent=1) + b"\n")


class FilePlace:
    """Tokens in a file, which edits one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def editing(self) -> Iterator[Edit]:
        """Concurrent edits wait for each other."""
        path = self._path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with Path(f"{path}.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield Edit(parsed(file_of(path)), self._replace)
        except OSError as error:
            raise SettingInvalid(f"tokens: {path} cannot be written ({error.strerror})") from error

    def _replace(self, content: bytes) -> None:
        """A crash leaves the old file or the new one, never a part of either."""
        fresh = Path(f"{self._path}.new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o600)
            file.write(content)
            file.flush()
            os.fsync(handle)
        fresh.replace(self._path)


class VaultPlace:
    """Tokens in a vault. It knows no condition for a write: of two edits at one time the later one counts, and the
    other is an older version there. Residual; edits are rare, and by few people."""

    def __init__(self, source: SecretSource, put: Callable[[bytes], None]) -> None:
        self._source, self._put = source, put

    @contextmanager
    def editing(self) -> Iterator[Edit]:
        yield Edit(parsed(self._source), self._put)


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
