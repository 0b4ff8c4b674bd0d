"""Who runs a command: in whose name a record says that it was done.

With an Entra tenant in the settings it is an account there: a token for this service is asked for in the name of this
machine's identity, and held to the same rules as a caller's (`audit.access_tokens`). In a pod that is its workload
identity; which person opened a shell in it is in the cluster's own audit log, to be joined with this one by time.
On a person's machine it is the person who is signed in with Azure's tools. Without a tenant it is the system's user.

There is no falling back from the one to the other: where the identity is not to be had, the command does nothing.
"""

import os
import pwd
import re
from collections.abc import Callable, Mapping
from typing import Final, Literal

from msgspec import Struct

from audit import access_tokens, entra
from audit.settings import EntraSettings, entra_settings
from traceability.marks import implements

SYSTEM_PREFIX: Final = "system."
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,50}")


class Operator(Struct, frozen=True, kw_only=True):
    """Whoever runs this command, and who says so."""

    name: str
    vouched_by: Literal["entra", "system"]


@implements("REQ-SEC-049")
def current(environment: Mapping[str, str], now_us: Callable[[], int]) -> Operator:
    """Raises `IdentityUnavailable` or `TokenRefused` where Entra is to say who it is, and does not."""
    settings = entra_settings(environment)
    if settings.tenant_id:
        return Operator(name=_of_entra(settings, now_us() / 1_000_000), vouched_by="entra")
    return Operator(name=SYSTEM_PREFIX + _of_the_system(os.geteuid()), vouched_by="system")


def _of_entra(settings: EntraSettings, now_s: float) -> str:
    from audit.azure_identity import Identity  # Azure's packages take a second to import

    keys = entra.keys(settings, lambda _, __: None)
    with Identity() as identity:
        token = identity.token(f"{settings.audience}/.default")
    keys.load()
    return entra.actor(access_tokens.verify(token, keys.find, entra.expected(settings), now_s=now_s).object_id)


def _of_the_system(uid: int) -> str:
    """The user by name, or by number where it has none, as in most containers. No variable is believed."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"
    return name if _NAME.fullmatch(name) else f"uid-{uid}"
