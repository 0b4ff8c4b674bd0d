"""The one book of tokens that a worker asks, as the settings make it: opaque ones, Entra's, and a vault's bound."""

from collections.abc import Callable

from audit import access_tokens
from service.adapters.entra_tokens import Bearer, EntraTokens
from service.adapters.tokens import Token, TokenFile
from service.errors import SecretsUnavailable
from traceability.marks import implements

RETRY_AFTER_S = 5


class BothBooks:
    """Opaque tokens and Entra's: which one a token is for is seen by its form (the port `TokenBook`)."""

    def __init__(self, opaque: TokenFile, entra: EntraTokens) -> None:
        self._opaque, self._entra = opaque, entra

    @implements("REQ-SEC-042")
    def principal(self, token: str) -> Token | Bearer | None:
        return self._entra.principal(token) if access_tokens.looks_like_one(token) else self._opaque.principal(token)

    async def late(self, token: str) -> Token | Bearer | None:
        return await self._entra.late(token) if access_tokens.looks_like_one(token) else None


class ConfirmedBook:
    """A book that is closed while the secrets of this process are too old to do anything by them."""

    def __init__(self, book: TokenFile | BothBooks, stale: Callable[[], bool]) -> None:
        self._book, self._stale = book, stale

    @implements("REQ-SEC-044")
    def principal(self, token: str) -> Token | Bearer | None:
        """Raises `SecretsUnavailable` while it is closed."""
        if self._stale():
            raise SecretsUnavailable("the vault has been away for too long", retry_after_s=RETRY_AFTER_S)
        return self._book.principal(token)

    async def late(self, token: str) -> Token | Bearer | None:
        return await self._book.late(token)
