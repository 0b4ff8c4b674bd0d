"""The issuer's public keys (JWKS, RFC 7517), fetched ahead of need and kept within bounds.

They are looked at again every `refresh_s`. A token that names a key which is not among them has them fetched at once,
since an issuer may rotate its keys at any time, but never more than once in `interval_s`, however many such tokens
come: a flood of invented names is no flood at the issuer. While the issuer is away the last keys are used, up to
`stale_s` after they were fetched; then there are none, and nobody is let in by them.
"""

import asyncio
import base64
import http.client
import ssl
import urllib.request
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from msgspec import Meta, Struct

from audit.errors import IdentityUnavailable
from traceability.marks import implements

MAX_BODY_BYTES: Final = 256 * 1024
MIN_MODULUS_BITS: Final = 2048  # NIST SP 800-131A Rev. 2, table 2
MAX_MODULUS_BITS: Final = 8192  # a key whose verification takes long enough to be a way of attack
MAX_EXPONENT: Final = 2**32

Fetch = Callable[[], bytes]


class Pace(Struct, frozen=True, kw_only=True):
    """How often keys are fetched, and how long they are believed."""

    refresh_s: float
    interval_s: float
    stale_s: float


class _Key(Struct, frozen=True, kw_only=True):
    kid: Annotated[str, Meta(min_length=1, max_length=128)]
    kty: str
    use: str = "sig"
    n: str = ""
    e: str = ""


class _Set(Struct, frozen=True, kw_only=True):
    keys: Annotated[tuple[_Key, ...], Meta(max_length=100)]


class IssuerKeys:
    """The keys of one issuer in one process. `find` never waits; `look_again` does, on a thread."""

    def __init__(
        self,
        fetch: Fetch,
        pace: Pace,
        *,
        failed: Callable[[str, BaseException], None],
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        self._fetch, self._pace, self._failed, self._now_s = fetch, pace, failed, now_s
        self._keys: Mapping[str, RSAPublicKey] = {}
        self._fetched_s = self._tried_s = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self.generation = 0
        """Another number whenever the keys are others: what was verified by the ones before may be no longer true."""

    @implements("REQ-SEC-041")
    def find(self, kid: str) -> RSAPublicKey | None:
        """The key, if the issuer has it and was heard of lately."""
        return None if self.stale() else self._keys.get(kid)

    def stale(self) -> bool:
        return self._now_s() - self._fetched_s > self._pace.stale_s

    def due(self) -> bool:
        """Whether it is time to look again, whatever anybody asks for."""
        return self._now_s() - self._fetched_s >= self._pace.refresh_s and self.may_look()

    def may_look(self) -> bool:
        """Whether the last try is long enough ago, or is under way and may be waited for."""
        return self._looking is not None or self._now_s() - self._tried_s >= self._pace.interval_s

    @implements("REQ-SEC-041")
    def load(self) -> None:
        """The keys as they are now; waits for the issuer. Raises `IdentityUnavailable`: then the last ones stay."""
        self._tried_s = self._now_s()
        keys = parse(self._fetch())
        if keys.keys() != self._keys.keys() or any(keys[kid] != self._keys[kid] for kid in keys):
            self.generation += 1
        self._keys, self._fetched_s = keys, self._now_s()

    @implements("REQ-SEC-041")
    async def look_again(self) -> None:
        """The keys were fetched once more when this returns, or they could not be, or it is too soon."""
        if not self.may_look():
            return
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._looking)  # whoever leaves does not end it for the others

    async def _look(self) -> None:
        try:
            await asyncio.to_thread(self.load)
        except IdentityUnavailable as error:
            self._failed("identity", error)
        finally:
            self._looking = None


@implements("REQ-SEC-041")
def parse(body: bytes) -> Mapping[str, RSAPublicKey]:
    """The RSA keys for signatures in a key set, by their names. Keys of other kinds and sizes are passed over.

    Raises `IdentityUnavailable` where it is no key set, holds none of these, or has a name twice.
    """
    try:
        given = [key for key in msgspec.json.decode(body, type=_Set).keys if key.kty == "RSA" and key.use == "sig"]
        made = {key.kid: _rsa(key) for key in given}
    except (msgspec.MsgspecError, ValueError) as error:
        raise IdentityUnavailable("identity: what the issuer serves is no set of keys") from error
    if len(made) != len(given):
        raise IdentityUnavailable("identity: the issuer's keys have a name twice")
    usable = {kid: key for kid, key in made.items() if key is not None}
    if not usable:
        raise IdentityUnavailable(f"identity: the issuer has no RSA key of {MIN_MODULUS_BITS} bits or more")
    return usable


def _rsa(key: _Key) -> RSAPublicKey | None:
    n, e = _number(key.n), _number(key.e)
    if not MIN_MODULUS_BITS <= n.bit_length() <= MAX_MODULUS_BITS or not 3 <= e < MAX_EXPONENT:
        return None
    return RSAPublicNumbers(e, n).public_key()


def _number(text: str) -> int:
    """RFC 7518 section 2, Base64urlUInt."""
    return int.from_bytes(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Keys are believed because of where they are from."""


@implements("REQ-SEC-041")
def over_https(url: str, *, timeout_ms: int) -> Fetch:
    """Reads the key set at `url`, which begins with https; bounded in bytes and, for each wait, in time."""
    assert url.startswith("https://")
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=ssl.create_default_context()), _NoRedirect)

    def fetch() -> bytes:
        try:
            with opener.open(url, timeout=timeout_ms / 1000) as answer:
                body: bytes = answer.read(MAX_BODY_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise IdentityUnavailable(
                f"identity: the issuer's keys cannot be fetched ({type(error).__name__})"
            ) from error
        if len(body) > MAX_BODY_BYTES:
            raise IdentityUnavailable(f"identity: the issuer's keys are more than {MAX_BODY_BYTES} bytes")
        return body

    return fetch
