"""The log's signing keys in a vault: `audit.keyring.KeyFiles`, over two secrets in place of two files."""

import secrets

from audit import signing
from audit.errors import SettingInvalid
from audit.note import Signer, Verifier
from audit.signing import SEED_BYTES
from audit.vault import Vault, VaultSecret
from traceability.marks import implements


class VaultKeys:
    """Implements `audit.keyring.KeyPlace`. Outside of a rotation the next key is the one in use, or is not named."""

    def __init__(self, vault: Vault, name: str, next_name: str) -> None:
        """`next_name` is "" where no next key is looked for."""
        self._vault, self._name, self._next = vault, name, next_name

    @implements("REQ-SEC-044")
    def signer(self, key: Verifier) -> Signer | None:
        """The signing half of `key`, if it is at hand now. Raises `SettingInvalid` for a secret that is no key."""
        return next((signer for signer in self.held() if signer.verifier == key), None)

    def held(self) -> tuple[Signer, ...]:
        """Every key at hand, the one in use first; never empty."""
        current = self._parsed(self._name)
        following = self._parsed(self._next) if self._next else current
        return (current,) if following.verifier == current.verifier else (current, following)

    def prepare(self, origin: str) -> Signer:
        """The next key is in the vault: the one that is there already, or a new one."""
        if not self._next:
            raise SettingInvalid("MEDAI_VAULT_SIGNING_KEY_NEXT: name the secret that the next key is to be in")
        held = self.held()
        if len(held) == 1:
            made = Signer.generate(origin, secrets.token_bytes(SEED_BYTES))
            self._vault.client.put(self._next, made.skey.encode())
            self._vault.look()
            held = self.held()
        if held[-1].name != origin:
            raise SettingInvalid(f"vault: {self._next} is the key of {held[-1].name}, expected one of {origin}")
        return held[-1]

    def install(self, *, keep: str | None = None) -> None:
        """The next key is the key in use. What was in use is an older version of its secret, until that is disabled:
        `keep`, which names a file, says nothing here."""
        self._vault.client.put(self._name, self.held()[-1].skey.encode())
        self._vault.look()

    def _parsed(self, name: str) -> Signer:
        source = VaultSecret(self._vault, name)
        return signing.parsed(source.read(), source.where)
