"""Who this machine is to Microsoft Entra, and tokens in that name: a workload identity in a pod, a managed identity, or
whoever is signed in with Azure's own tools.

What a credential says of a failure may quote what it was given, so only the class of it is passed on.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from azure.core.exceptions import AzureError
from azure.identity import DefaultAzureCredential

from audit.errors import IdentityUnavailable
from traceability.marks import implements

DATABASE_SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
"""What tokens for Azure Database for PostgreSQL are asked for."""


def credential() -> DefaultAzureCredential:
    """This machine's identity; nothing is sent yet. The caller closes it. Raises `IdentityUnavailable`."""
    try:
        return DefaultAzureCredential()
    except ValueError:
        raise IdentityUnavailable(
            "identity: the AZURE_ variables do not name one; see the documentation of DefaultAzureCredential"
        ) from None


class Identity(AbstractContextManager["Identity"]):
    """Tokens in this machine's name. The SDK keeps each until shortly before it expires."""

    def __init__(self, make: Callable[[], Any] = credential) -> None:
        self._credential = make()

    def __exit__(self, *_: object) -> None:
        self._credential.close()

    @implements("REQ-SEC-045")
    def token(self, scope: str) -> str:
        """A token for `scope`. Raises `IdentityUnavailable`."""
        try:
            found: str = self._credential.get_token(scope).token
        except (AzureError, ValueError) as error:
            raise IdentityUnavailable(
                f"identity: this machine's is not to be had from Microsoft Entra ({type(error).__name__})"
            ) from None  # the cause quotes what the authority answered
        return found
