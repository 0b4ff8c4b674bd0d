"""The public port's certificate and key, from files that somebody else renews.

Both are read at once and tried on a context of their own first: a pair that does not match, as in the moment between
the renewal of one file and of the other, changes nothing. New connections get the new certificate; old ones go on.
"""

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

import audit.errors
from audit.secret_sources import FileSecret
from service.errors import SettingInvalid
from traceability.marks import implements

LOOK_S: Final = 5.0
"""How often the files are looked at."""
MINIMUM: Final = ssl.TLSVersion.TLSv1_2  # RFC 9325 section 3.1.1: nothing older


class Certificates:
    """What the port shows. `context` is one object for ever; what it shows is another certificate after `look`."""

    def __init__(self, certificate: Path, key: Path, *, failed: Callable[[str, BaseException], None]) -> None:
        """Raises `SettingInvalid` where they cannot be read, are no pair, or others can read the key."""
        self._certificate, self._failed = certificate, failed
        self._key = FileSecret(key, "TLS key")
        self._seen = self._versions()
        self.context: Final = _context()
        _load(self.context, self._tried())

    @implements("REQ-SEC-038")
    def look(self) -> None:
        """New connections get what the files hold now, where that is a certificate and its key; else the last."""
        seen = self._versions()
        if seen == self._seen:
            return
        try:
            _load(self.context, self._tried())
            self._seen = seen
        except SettingInvalid as error:
            self._failed("certificate", error)

    def _versions(self) -> tuple[object, object]:
        return FileSecret(self._certificate, "").version(), self._key.version()

    def _tried(self) -> bytes:
        """What the files hold, which a context has taken."""
        try:
            body = self._key.read()
            if self._certificate != self._key.path:  # a vault's certificate is one file with both
                body = self._certificate.read_bytes() + b"\n" + body
        except OSError as error:
            raise SettingInvalid(f"MEDAI_TLS_CERT_FILE: cannot be read ({error.strerror})") from error
        except audit.errors.SettingInvalid as error:
            raise SettingInvalid(str(error)) from error
        _load(_context(), body)
        return body


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = MINIMUM
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext, body: bytes) -> None:
    """From memory: what was tried is what is used, whatever becomes of the files meanwhile."""
    try:
        number = os.memfd_create("medai-tls", os.MFD_CLOEXEC)
    except (AttributeError, OSError) as error:
        raise SettingInvalid("MEDAI_TLS_CERT_FILE: it needs Linux") from error
    try:
        os.write(number, body)
        context.load_cert_chain(f"/proc/self/fd/{number}", password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        # Without its cause: nothing of a key's file belongs in a message.
        reason = getattr(error, "reason", None) or type(error).__name__
        raise SettingInvalid(
            f"MEDAI_TLS_CERT_FILE and MEDAI_TLS_KEY_FILE: not a certificate chain and its key, in PEM ({reason})"
        ) from None
    finally:
        os.close(number)


def _no_password() -> str:
    """A key that is encrypted cannot be used here: nobody is asked at a terminal."""
    raise ValueError("encrypted")
