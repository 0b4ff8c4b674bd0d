"""The certificate of the public port: read at the start, and again when its file changes, without a restart.

One PEM file holds the private key and the chain, as Key Vault gives a certificate, or two files hold one each. Where a
new file is no certificate, or half of one, the old certificate stays: a renewal that failed is no outage.
"""

import asyncio
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from service.errors import SettingInvalid
from traceability.marks import implements

LOOK_S: Final = 10.0
"""How often the files are looked at: a new certificate is given to new connections at most this much later."""


class Certificate:
    """`context` is what connections are taken with; `renew` changes the certificate inside it."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises `SettingInvalid` for files that are missing, readable by others, or not a key and its certificate."""
        self._certificate = certificate
        self._key = key
        self.context = _context()
        try:
            self._seen = self._state()
            self._load()
        except (OSError, ValueError) as error:
            raise SettingInvalid(f"MEDAI_TLS_CERTIFICATE_FILE: {_reason(error)}") from error

    @implements("REQ-SEC-030")
    def renew(self) -> bool:
        """Whether a new certificate is in use from here on.

        Raises `SettingInvalid`, once for each change, where what is there now cannot be used; then the old one stays.
        """
        try:
            state = self._state()
            if state == self._seen:
                return False
            self._seen = state
            self._load()
        except (OSError, ValueError) as error:
            raise SettingInvalid(f"the certificate was not renewed: {_reason(error)}") from error
        return True

    def _state(self) -> tuple[tuple[int, int, int], ...]:
        found = (path.stat() for path in (self._certificate, self._key))
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)

    def _load(self) -> None:
        mode = self._key.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ValueError(f"{self._key.name} has mode {mode & 0o777:04o}; expected 0600: chmod 600 it")
        # Tried apart first: a key that does not fit would leave the context in use without any.
        for context in (_context(), self.context):
            context.load_cert_chain(self._certificate, self._key, password=_no_password)


@implements("REQ-SEC-030")
def of(certificate_file: str, key_file: str) -> Certificate | None:
    """The certificate that settings name; None where they name none. Raises `SettingInvalid`."""
    if certificate_file:
        return Certificate(Path(certificate_file), Path(key_file or certificate_file))
    if key_file:
        raise SettingInvalid("MEDAI_TLS_KEY_FILE: of which certificate? Give MEDAI_TLS_CERTIFICATE_FILE too")
    return None


async def renewing(certificate: Certificate, say: Callable[[str, str], None], every_s: float = LOOK_S) -> None:
    """Renews until it is cancelled; `say` is given a code and a sentence of each change."""
    while True:
        await asyncio.sleep(every_s)
        try:
            if certificate.renew():
                say("certificate_renewed", "new connections are given the new certificate")
        except SettingInvalid as error:
            say(error.code, str(error))


def _context() -> ssl.SSLContext:
    """TLS 1.2 with forward secrecy, or 1.3, as Python's own defaults for servers have it: no compression, no renewed
    negotiation, the server's order of ciphers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_COMPRESSION
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.set_alpn_protocols(["http/1.1"])
    return context


def _no_password() -> str:
    """A start has nobody to ask."""
    raise ValueError("the private key is closed with a password; give it open, of mode 0600")


def _reason(error: OSError | ValueError) -> str:
    """What is wrong; of the files' contents nothing."""
    if isinstance(error, ssl.SSLError):
        return f"not a private key and its certificate in PEM ({error.reason or 'unreadable'})"
    if isinstance(error, OSError):
        return f"it cannot be read ({error.strerror})"
    return str(error)
