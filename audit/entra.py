"""Microsoft Entra by the settings: what its tokens must say, where its keys are, and what records call a bearer.

Only tokens of version 2.0 of one tenant are taken. The addresses are those of the tenant's OpenID Connect metadata.
"""

from collections.abc import Callable
from typing import Final

from audit import issuer_keys
from audit.access_tokens import Expected
from audit.issuer_keys import IssuerKeys, Pace
from audit.settings import EntraSettings

ACTOR_PREFIX: Final = "entra."
"""No opaque token has a name that begins so: a record says by whom a caller was vouched for."""


def expected(settings: EntraSettings) -> Expected:
    """Requires a tenant."""
    assert settings.tenant_id
    return Expected(
        issuer=f"{settings.authority}/{settings.tenant_id}/v2.0",
        audience=settings.audience,
        tenant=settings.tenant_id,
        skew_s=settings.clock_skew_s,
        max_token_bytes=settings.max_token_bytes,
    )


def keys(settings: EntraSettings, failed: Callable[[str, BaseException], None]) -> IssuerKeys:
    """The tenant's keys; nothing is fetched yet. Requires a tenant."""
    assert settings.tenant_id
    fetch = issuer_keys.over_https(
        f"{settings.authority}/{settings.tenant_id}/discovery/v2.0/keys", timeout_ms=settings.timeout_ms
    )
    pace = Pace(refresh_s=settings.keys_refresh_s, interval_s=settings.keys_interval_s, stale_s=settings.keys_stale_s)
    return IssuerKeys(fetch, pace, failed=failed)


def actor(object_id: str) -> str:
    """What records call the account with this object id."""
    return ACTOR_PREFIX + object_id
