"""Secrets in an Azure Key Vault: all that are wanted are read at the start, and again every `refresh_s` on a thread.

While the vault is away, what it said last is used, up to `stale_s` after it last confirmed everything; then nothing is:
whoever asks is told `VaultUnavailable`. A secret that the vault no longer shows is the same as a vault that is away: a
key is taken away by another version of it, never by an answer that was only a part.

The SDK asks the vault who vouches for it, and holds the answer to the vault's own domain (`verify_challenge_resource`,
which is left on, as it is made): otherwise whoever answers in the vault's place would be given a token for another.
What the SDK says of a failure may quote an answer, so only its class and status are passed on.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from time import monotonic
from typing import Any, Final, NewType

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.keyvault.secrets import SecretClient
from msgspec import Struct

from audit import azure_identity
from audit.errors import SettingInvalid, VaultUnavailable
from audit.settings import VaultSettings
from traceability.marks import implements

MAX_SECRET_BYTES: Final = 25_600  # what Key Vault itself takes: 25 KB
Version = NewType("Version", str)


class Held(Struct, frozen=True, kw_only=True):
    """A secret as the vault has it. Its text form says nothing of it."""

    version: Version
    body: bytes

    def __repr__(self) -> str:
        return f"Held(version={self.version!r})"


class VaultClient:
    """The vault itself, by the SDK."""

    def __init__(self, settings: VaultSettings) -> None:
        """Nothing is sent yet."""
        timeout_s = settings.timeout_ms / 1000
        self._credential = azure_identity.credential()
        self._client = SecretClient(
            settings.url, self._credential, connection_timeout=timeout_s, read_timeout=timeout_s, retry_total=0
        )

    @implements("REQ-SEC-043")
    def get(self, name: str) -> Held:
        """The newest version. Raises `SettingInvalid` where there is none of that name, else `VaultUnavailable`."""
        found = self._asked(name, lambda: self._client.get_secret(name))
        return Held(version=Version(found.properties.version or ""), body=(found.value or "").encode("utf-8"))

    def put(self, name: str, body: bytes) -> Held:
        """A new version of it. Raises as `get`; what the vault then has is what it says, never what was sent."""
        text = body.decode("utf-8")
        if len(body) > MAX_SECRET_BYTES:
            raise SettingInvalid(f"vault: {name} would have {len(body)} bytes; a secret has at most {MAX_SECRET_BYTES}")
        self._asked(name, lambda: self._client.set_secret(name, text))
        return self.get(name)

    def close(self) -> None:
        self._client.close()
        self._credential.close()

    def _asked(self, name: str, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except ResourceNotFoundError:
            raise SettingInvalid(f"vault: it has no secret {name}") from None  # the cause quotes the answer
        except HttpResponseError as error:
            raise VaultUnavailable(f"vault: {name}: it answers {error.status_code}") from None
        except AzureError as error:
            raise VaultUnavailable(f"vault: {name}: no answer ({type(error).__name__})") from None
        except ValueError:
            # So the SDK says that a challenge names a resource which is not the vault's.
            raise VaultUnavailable(f"vault: {name}: its challenge is not one of this vault") from None


class Vault:
    """What a process wants of the vault. `secret` is for everybody, on any thread."""

    def __init__(
        self,
        settings: VaultSettings,
        names: Sequence[str],
        client: VaultClient,
        *,
        failed: Callable[[str, BaseException], None],
        changed: Callable[[], None] = lambda: None,
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        """`changed` is called on the vault's thread, after secrets have other versions."""
        self._settings, self._names, self.client = settings, tuple(names), client
        self._failed, self._changed, self._now_s = failed, changed, now_s
        self._held: dict[str, Held] = {}
        self._confirmed_s = float("-inf")
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    @implements("REQ-SEC-044")
    def look(self) -> None:
        """Everything that is wanted was read. Raises `SettingInvalid` or `VaultUnavailable`: then the last stays."""
        began_s = self._now_s()
        held = {name: self.client.get(name) for name in self._names}
        empty = [name for name, secret in held.items() if not secret.body]
        if empty:
            raise SettingInvalid(f"vault: {', '.join(empty)} is empty")
        before, self._held, self._confirmed_s = self._held, held, began_s
        if before and before != held:
            self._changed()

    @implements("REQ-SEC-044")
    def stale(self) -> bool:
        """Whether the vault has been away for longer than what it said last may be used."""
        return self._now_s() - self._confirmed_s > self._settings.stale_s

    def held(self, name: str) -> Held:
        """Raises `VaultUnavailable` where it is stale. Requires `look` before, and `name` to be wanted."""
        if self.stale():
            raise VaultUnavailable(f"vault: {name}: not confirmed for {self._settings.stale_s} s (MEDAI_VAULT_STALE_S)")
        return self._held[name]

    def start(self) -> None:
        """Look again from now on. Requires `look` before."""
        self._thread = threading.Thread(target=self._run, name="vault", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The thread has ended, or ends after the answer that it waits for."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(self._settings.timeout_ms / 1000)
        self.client.close()

    def _run(self) -> None:
        while not self._end.wait(self._settings.refresh_s):
            try:
                self.look()
            except (SettingInvalid, VaultUnavailable) as error:
                self._failed("vault", error)


class VaultSecret:
    """Implements `audit.secret_sources.SecretSource`."""

    def __init__(self, vault: Vault, name: str) -> None:
        self._vault, self._name = vault, name

    @property
    def where(self) -> str:
        return f"vault secret {self._name}"

    def version(self) -> Hashable | None:
        return self._vault.held(self._name).version

    @implements("REQ-SEC-044")
    def read(self) -> bytes:
        return self._vault.held(self._name).body
