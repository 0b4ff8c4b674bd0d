"""Microsoft Entra's access tokens as a book of tokens, beside the opaque ones.

A token is verified once; what it said is kept by its SHA-256 until it expires, or until the issuer's keys change. So a
caller's second request costs a hash and a look-up, as an opaque token's does. An Entra token cannot be revoked before
it expires (an hour or so): who must be out at once is taken the role *and* refused at the proxy, or has an opaque one.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from typing import Final, get_args

from msgspec import Struct

from audit import access_tokens, entra
from audit.access_tokens import Claims
from audit.errors import TokenRefused
from audit.issuer_keys import IssuerKeys
from audit.settings import EntraSettings
from service.adapters.tokens import Scope
from service.errors import SettingInvalid
from traceability.marks import implements

DEFAULT_ROLES: Final[Mapping[str, Scope]] = {f"medai.{scope}": scope for scope in get_args(Scope)}
_TICK_S: Final = 1.0


class Bearer(Struct, frozen=True, kw_only=True):
    """Whose a verified token is (the port `Principal`)."""

    name: str
    scopes: frozenset[Scope]
    expires_s: int


@implements("REQ-SEC-042")
def scopes_of_roles(text: str) -> Mapping[str, Scope]:
    """ROLE=SCOPE, by commas; nothing means medai.SCOPE for each. Raises `SettingInvalid`."""
    if not text.strip():
        return DEFAULT_ROLES
    found: dict[str, Scope] = {}
    known = {str(scope): scope for scope in get_args(Scope)}
    for part in text.split(","):
        role, equals, scope = (word.strip() for word in part.partition("="))
        if not role or not equals or scope not in known or role in found:
            raise SettingInvalid(f"MEDAI_ENTRA_ROLES: expected ROLE=SCOPE by commas, scopes being {', '.join(known)}")
        found[role] = known[scope]
    return found


class EntraTokens:
    """The tokens of one tenant (the port `TokenBook`)."""

    def __init__(self, settings: EntraSettings, keys: IssuerKeys, *, now_us: Callable[[], int]) -> None:
        """Raises `SettingInvalid` where the roles cannot be read."""
        self._expected = entra.expected(settings)
        self._scopes = scopes_of_roles(settings.roles)
        self._keys, self._now_us = keys, now_us
        self._most = settings.max_known_tokens
        self._known: OrderedDict[bytes, Bearer] = OrderedDict()
        self._generation = keys.generation

    @implements("REQ-SEC-042")
    def principal(self, token: str) -> Bearer | None:
        """Whose token this is; None where it is not one for us, or its key is not known yet."""
        if self._generation != self._keys.generation or self._keys.stale():
            self._known.clear()
            self._generation = self._keys.generation
        digest, now_s = sha256(token.encode("utf-8", "surrogatepass")).digest(), self._now_us() / 1_000_000
        known = self._known.get(digest)
        if known is not None and known.expires_s > now_s:
            return known
        try:
            bearer = self._bearer(access_tokens.verify(token, self._keys.find, self._expected, now_s=now_s))
        except TokenRefused:
            self._known.pop(digest, None)
            return None
        self._known[digest] = bearer
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return bearer

    @implements("REQ-SEC-041")
    async def late(self, token: str) -> Bearer | None:
        """As `principal`, after a look whether the issuer has a key by now that the token names, where it is time."""
        try:
            kid = access_tokens.key_id(token, self._expected)
        except TokenRefused:
            return None
        if self._keys.find(kid) is not None or not self._keys.may_look():
            return None
        await self._keys.look_again()
        return self.principal(token)

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """The issuer's keys are here, and are fetched again meanwhile. Raises `IdentityUnavailable` if not."""
        await asyncio.to_thread(self._keys.load)
        task = asyncio.create_task(self._look())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            if self._keys.due():
                await self._keys.look_again()

    def _bearer(self, claims: Claims) -> Bearer:
        """Roles that nobody named open nothing."""
        scopes = frozenset(self._scopes[role] for role in claims.roles if role in self._scopes)
        return Bearer(name=entra.actor(claims.object_id), scopes=scopes, expires_s=claims.expires_s)
