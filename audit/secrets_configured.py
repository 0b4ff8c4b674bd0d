"""Where this process has its secrets from, by the settings: files or a vault, and for the database also Entra.

Files are for a machine, and for pods, where the cluster's driver brings them (`deploy/`): the process then needs no way
to the vault. The vault itself is for hosts without such a driver, and for the commands that change a secret there
(`medai token`, `medai ledger rotate-key`). One secret is in one place: named in both, and nothing starts.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from audit import settings
from audit.errors import IdentityUnavailable, SettingInvalid
from audit.keyring import KeyFiles, KeyPlace
from audit.postgres import verified
from audit.postgres.passfile import Passfile, line_for_all
from audit.secret_sources import FileSecret, SecretSource
from audit.settings import EntraSettings, Places, VaultSettings
from traceability.marks import implements

if TYPE_CHECKING:
    from audit.azure_identity import Identity
    from audit.vault import Vault

Failed = Callable[[str, BaseException], None]
DATABASES: Final = ("MEDAI_DATABASE_URL", "MEDAI_DATABASE_READER_URL", "MEDAI_DATABASE_ADMIN_URL")
TOKEN_EVERY_S: Final = 30.0
"""How often the SDK is asked for the database's token, which it renews some minutes before it expires."""


def _nobody(_: str, __: BaseException) -> None:
    """A command says what goes wrong by ending."""


class Secrets:
    """What `opened` yields."""

    def __init__(self, where: Places, names: VaultSettings, vault: "Vault | None", passfile: Passfile | None) -> None:
        self._where, self._names, self._vault, self._passfile = where, names, vault, passfile

    def stale(self) -> bool:
        """Whether the vault has been away for too long: then nothing may be done by what it said."""
        return self._vault is not None and self._vault.stale()

    @property
    def has_vault(self) -> bool:
        return self._vault is not None

    def signing_keys(self) -> KeyPlace:
        """The log's keys."""
        if self._vault is None or not self._names.signing_key:
            return KeyFiles(self._where.signing_key)
        from audit.vault_keys import VaultKeys

        return VaultKeys(self._vault, self._names.signing_key, self._names.signing_key_next)

    def pseudonym_key(self, file: FileSecret) -> SecretSource:
        """`file`, or what is in the vault in its place."""
        return self._in_vault(self._names.pseudonym_key) or file

    def token_hashes(self, file: FileSecret) -> SecretSource:
        """As `pseudonym_key`."""
        return self._in_vault(self._names.token_hashes) or file

    def put_token_hashes(self, body: bytes) -> None:
        """The vault has them when this returns. Requires `has_token_hashes`. Raises as `VaultClient.put`."""
        assert self._vault is not None
        assert self._names.token_hashes
        self._vault.client.put(self._names.token_hashes, body)

    @property
    def has_token_hashes(self) -> bool:
        """Whether the vault has the hashes of tokens, and no file."""
        return bool(self._names.token_hashes)

    def url(self, url: str) -> str:
        """`url` with what logs in there; for connections of this process alone."""
        return url if self._passfile is None else self._passfile.named_in(url)

    def environment(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """`given` with its databases' URLs as `url` makes them."""
        return {name: self.url(value) if name in DATABASES and value else value for name, value in given.items()}

    def _in_vault(self, name: str) -> SecretSource | None:
        if self._vault is None or not name:
            return None
        from audit.vault import VaultSecret

        return VaultSecret(self._vault, name)


@implements("REQ-SEC-043")
@contextmanager
def opened(environment: Mapping[str, str], failed: Failed = _nobody) -> Iterator[Secrets]:
    """The secrets, all of them read once, and followed while the block runs.

    Raises `SettingInvalid`, `VaultUnavailable` or `IdentityUnavailable` where one is not to be had: nothing starts by
    what it had before. `failed` hears of what goes wrong later, on another thread.
    """
    if environment.get("MEDAI_ENVIRONMENT") == "production":
        for variable in DATABASES:
            if environment.get(variable):
                verified.require(variable, environment[variable])
    names, entra = settings.vault_settings(environment), settings.entra_settings(environment)
    with ExitStack() as resources:
        passfile = None
        if names.database_passwords or entra.database == "yes":
            passfile = resources.enter_context(Passfile())
        vault = _vault(names, passfile, failed, resources) if names.url else None
        if passfile is not None and entra.database == "yes":
            _entra_passwords(names, entra, passfile, failed, resources)
        yield Secrets(settings.places(environment), names, vault, passfile)


def _vault(names: VaultSettings, passfile: Passfile | None, failed: Failed, resources: ExitStack) -> "Vault":
    from audit.vault import Vault, VaultClient  # Azure's packages take a second to import

    def bring() -> None:
        if passfile is not None and names.database_passwords:
            passfile.put(vault.held(names.database_passwords).body)

    wanted = [name for what in settings.IN_A_FILE if (name := getattr(names, what))]
    vault = Vault(names, wanted, VaultClient(names), failed=failed, changed=bring)
    resources.callback(vault.close)
    vault.look()
    bring()
    vault.start()
    return vault


def _entra_passwords(
    names: VaultSettings, entra: EntraSettings, passfile: Passfile, failed: Failed, resources: ExitStack
) -> None:
    from audit.azure_identity import Identity

    if names.database_passwords:
        raise SettingInvalid(
            "MEDAI_ENTRA_DATABASE and MEDAI_VAULT_DATABASE_PASSWORDS: a login is by one of them; give one"
        )
    identity = resources.enter_context(Identity())
    login = EntraLogin(identity, passfile, failed)
    login.renew()
    resources.callback(login.close)
    login.start()


class EntraLogin:
    """The database's password is a token of this machine's identity, and a new one before it expires."""

    def __init__(self, identity: "Identity", passfile: Passfile, failed: Failed) -> None:
        self._identity, self._passfile, self._failed = identity, passfile, failed
        self._last: str | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="database-token", daemon=True)

    @implements("REQ-SEC-045")
    def renew(self) -> None:
        """The next connection logs in with a token that is valid now. Raises `IdentityUnavailable`: the last stays."""
        from audit.azure_identity import DATABASE_SCOPE

        token = self._identity.token(DATABASE_SCOPE)
        if token != self._last:
            self._passfile.put(line_for_all(token))
            self._last = token

    def start(self) -> None:
        """Renew from now on."""
        self._thread.start()

    def close(self) -> None:
        self._end.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._end.wait(TOKEN_EVERY_S):
            try:
                self.renew()
            except IdentityUnavailable as error:
                self._failed("identity", error)
