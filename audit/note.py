"""Signed notes (C2SP signed-note) and their Ed25519 keys. Those of cosigners are in `audit.cosignature`.

A note is a text that ends in a newline, an empty line, and one or more signature lines. The text means
nothing until `open` has returned it. Keys are text: verifier keys `NAME+ID+BASE64` (vkey), and signing keys
`PRIVATE+KEY+NAME+ID+BASE64` in the form of golang.org/x/mod/sumdb/note. Base64 is RFC 4648 section 4, in its
one canonical form.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from audit.errors import Malformed, SettingInvalid, SignatureInvalid, SignatureMissing
from traceability.marks import implements

ALGORITHM_ED25519: Final = b"\x01"  # C2SP signed-note, "Signature types"
KEY_BYTES: Final = 32  # RFC 8032 section 5.1.5, seeds and public keys alike
KEY_ID_BYTES: Final = 4
MAX_SIGNATURES: Final = 100  # the specification asks for at least 16; golang.org/x/mod takes 100
MAX_NOTE_BYTES: Final = 1024 * 1024  # 100 signatures of nearly 5 kB (post-quantum) and half as much text

_FIELD_PRIME: Final = 2**255 - 19  # RFC 8032 section 5.1
_DASH: Final = "\N{EM DASH} "
_control = re.compile("[\x00-\x09\x0b-\x1f]").search  # ASCII control characters but newline


Key = TypeVar("Key")


class Signature(Struct, frozen=True, kw_only=True):
    """One signature line: who is said to have signed, and what."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode('ascii')}\n"


class Note(Struct, frozen=True, kw_only=True):
    """An opened note: `verified` holds at least one signature; of `unverified` nothing is known."""

    text: str
    verified: tuple[Signature, ...]
    unverified: tuple[Signature, ...]


class NoteVerifier(Protocol):
    """A known key: `Verifier` here, or that of a cosigner (`audit.cosignature`)."""

    @property
    def name(self) -> str: ...

    @property
    def key_hash(self) -> bytes:
        """The key's id: name and id together say which key and algorithm signed."""

    @property
    def public_key(self) -> bytes: ...

    def verify(self, text: bytes, signature: bytes) -> None:
        """Returns where the signature is this key's over `text`. Raises `SignatureInvalid` otherwise."""


class NoteSigner(Protocol):
    """What can sign a note: `Signer` here, or a log's second key (`audit.cosignature.LogSigner`)."""

    @property
    def name(self) -> str: ...

    @property
    def verifier(self) -> NoteVerifier: ...

    def sign(self, text: bytes) -> bytes: ...


@implements("REQ-AUD-010")
class Verifier:
    """The public half of an Ed25519 key: its name, its id and what it verifies."""

    __slots__ = ("_key", "key_hash", "name", "public_key")

    def __init__(self, name: str, public_key: bytes) -> None:
        """Raises `Malformed` where the name or the encoding of the key is not one."""
        require_name(name)
        self._key = ed25519_public_key(public_key)
        self.name: Final = name
        self.public_key: Final = public_key
        self.key_hash: Final = key_id(name, public_key)

    @classmethod
    def parse(cls, vkey: str) -> "Verifier":
        """The key that `vkey` names. Raises `Malformed`, also where its id is not that of its key."""
        parts = split_vkey(vkey)
        if parts.algorithm != ALGORITHM_ED25519:
            raise Malformed("verifier key: expected algorithm 1, Ed25519")
        verifier = cls(parts.name, parts.key)
        parts.require_id(verifier.key_hash)
        return verifier

    def __str__(self) -> str:
        return vkey(self.name, ALGORITHM_ED25519, self.public_key)

    def __repr__(self) -> str:
        return f"Verifier({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Verifier) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def verify(self, text: bytes, signature: bytes) -> None:
        """Returns where the signature is this key's over `text`. Raises `SignatureInvalid` otherwise."""
        try:
            self._key.verify(signature, text)
        except InvalidSignature as error:
            raise SignatureInvalid(f"note: the signature by {self.name}+{self.key_hash.hex()} is not valid") from error


@implements("REQ-LED-026")
class Signer:
    """A signing key, loaded once: signing itself is a single call."""

    __slots__ = ("_key", "_seed", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != KEY_BYTES:
            raise Malformed(f"signing key: a seed has {KEY_BYTES} bytes")
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier: Final = Verifier(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str, seed: bytes) -> "Signer":
        """The key of 32 secret random bytes, which the caller brings: nothing here is random."""
        return cls(name, seed)

    @classmethod
    def parse(cls, skey: str) -> "Signer":
        """The key that `skey` holds. Raises `Malformed`, without repeating any of it."""
        parts = split_skey(skey)
        if parts.algorithm != ALGORITHM_ED25519:
            raise Malformed("signing key: expected algorithm 1, Ed25519")
        signer = cls(parts.name, parts.key)
        parts.require_id(signer.verifier.key_hash)
        return signer

    @property
    def name(self) -> str:
        return self.verifier.name

    @property
    def skey(self) -> str:
        """The secret as text. Whoever reads it can sign as this key."""
        return skey(self.verifier, ALGORITHM_ED25519, self._seed)

    def __repr__(self) -> str:
        return f"Signer({str(self.verifier)!r})"

    def sign(self, text: bytes) -> bytes:
        return self._key.sign(text)


@implements("REQ-LED-026")
def sign(text: str, signers: Iterable[NoteSigner]) -> str:
    """The note of `text` with a signature line of each signer, in order.

    Raises `Malformed` where the text does not end in a newline, or holds what a note must not, and `SettingInvalid`
    for what cannot sign.
    """
    if not isinstance(text, str) or not text.endswith("\n"):
        raise Malformed("note: a text ends in a newline")
    body = _require_text(text)
    lines = [
        Signature(name=signer.name, key_id=signer.verifier.key_hash, signature=signer.sign(body)).line
        for signer in _all_that(signers, "sign")
    ]
    if not lines:
        raise Malformed("note: at least one signer")
    return text + "\n" + "".join(lines)


@implements("REQ-AUD-010")
def open(text: str | bytes, verifiers: Sequence[NoteVerifier]) -> Note:  # noqa: A001  # the specification's verb
    """The note whose text with its signatures this is, verified by at least one of `verifiers`.

    Signatures of unknown keys are ignored, also where they share a name or an id (not both) with a known
    one. Raises `Malformed` for what is not a note, `SignatureInvalid` where any signature by a known key
    does not verify, `SignatureMissing` where no known key signed, and `SettingInvalid` where two of
    `verifiers` that share name and id are asked for, or one is no verifier.
    """
    verifiers = require_verifiers(verifiers)
    signed, signatures = split(text)
    body = signed.encode("utf-8")
    verified: dict[tuple[str, bytes], Signature] = {}
    unverified = []
    for signature in signatures:
        key = (signature.name, signature.key_id)
        known = [verifier for verifier in verifiers if (verifier.name, verifier.key_hash) == key]
        if not known:
            unverified.append(signature)
            continue
        if len(known) > 1:
            raise SettingInvalid(f"note: the key {signature.name}+{signature.key_id.hex()} was given twice")
        known[0].verify(body, signature.signature)
        verified.setdefault(key, signature)
    if not verified:
        raise SignatureMissing("note: no signature by any of the keys that were given")
    return Note(text=signed, verified=tuple(verified.values()), unverified=tuple(dict.fromkeys(unverified)))


@implements("REQ-AUD-010")
def split(note: str | bytes) -> tuple[str, tuple[Signature, ...]]:
    """The text of a note and its signatures, none of them verified. Raises `Malformed`."""
    whole = _require_note(note)
    head, blank, tail = whole.rpartition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise Malformed("note: expected a text, an empty line and signature lines, each ended by a newline")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise Malformed(f"note: {len(lines)} signatures, at most {MAX_SIGNATURES}")
    return head + "\n", tuple(_signature(line) for line in lines)


@implements("REQ-AUD-010")
def require_verifiers(verifiers: Iterable[NoteVerifier]) -> tuple[NoteVerifier, ...]:
    """The keys, each of which can verify. Raises `SettingInvalid` otherwise."""
    return tuple(_all_that(verifiers, "verify"))


class KeyText(Struct, frozen=True, kw_only=True):
    """A key as it is written: its name, its algorithm and its bytes. The id is not looked at yet."""

    what: str
    name: str
    id_hex: str
    algorithm: bytes
    key: bytes

    def require_id(self, actual: bytes) -> None:
        """Raises `Malformed` where the id that was written is not `actual`."""
        if self.id_hex != actual.hex():
            raise Malformed(f"{self.what}: its id is not that of its name and key; it was cut or changed")


def split_vkey(vkey: str) -> KeyText:
    """The parts of `NAME+ID+BASE64`, of whatever algorithm. Raises `Malformed`."""
    return _key_text(vkey, "verifier key")


def split_skey(skey: str) -> KeyText:
    """The parts of `PRIVATE+KEY+NAME+ID+BASE64`. Raises `Malformed`, without repeating any of it."""
    head = "PRIVATE+KEY+"
    if not isinstance(skey, str) or not skey.startswith(head):
        raise Malformed("signing key: expected PRIVATE+KEY+NAME+ID+BASE64")
    return _key_text(skey.removeprefix(head), "signing key")


def vkey(name: str, algorithm: bytes, public_key: bytes) -> str:
    encoded = base64.b64encode(algorithm + public_key).decode("ascii")
    return f"{name}+{key_id(name, public_key, algorithm).hex()}+{encoded}"


def skey(verifier: NoteVerifier, algorithm: bytes, seed: bytes) -> str:
    encoded = base64.b64encode(algorithm + seed).decode("ascii")
    return f"PRIVATE+KEY+{verifier.name}+{verifier.key_hash.hex()}+{encoded}"


@implements("REQ-LED-026")
def key_id(name: str, public_key: bytes, algorithm: bytes = ALGORITHM_ED25519) -> bytes:
    # C2SP signed-note: key ID = SHA-256(key name || 0x0A || signature type || public key)[:4]
    return hashlib.sha256(name.encode("utf-8") + b"\n" + algorithm + public_key).digest()[:KEY_ID_BYTES]


def ed25519_public_key(public_key: bytes) -> Ed25519PublicKey:
    """The key of these bytes. Raises `Malformed` where they encode none."""
    # RFC 8032 section 5.1.3: a y-coordinate beyond the prime is not an encoding of a point.
    y = int.from_bytes(public_key, "little") & (1 << 255) - 1
    if len(public_key) != KEY_BYTES or y >= _FIELD_PRIME:
        raise Malformed(f"verifier key: not the {KEY_BYTES} bytes of an Ed25519 public key")
    return Ed25519PublicKey.from_public_bytes(public_key)


def require_name(name: str) -> None:
    """Key names are not empty and hold no Unicode space and no plus. Raises `Malformed`."""
    # U+001C-U+001F and the other control characters could not stand in a note's signature line either.
    if not name or "+" in name or any(char.isspace() or char < " " for char in name):
        raise Malformed("key name: not empty, no spaces, no plus, no control characters")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Malformed("key name: a lone surrogate") from error


def decode_base64(text: str, what: str) -> bytes:
    """The bytes whose canonical base64 `text` is: no white space, exact padding, no stray bits."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"{what}: not base64 (RFC 4648 section 4)") from error
    if base64.b64encode(decoded).decode("ascii") != text:
        raise Malformed(f"{what}: not the canonical base64 of its bytes")
    return decoded


def _signature(line: str) -> Signature:
    if not line.startswith(_DASH):
        raise Malformed("note: a signature line begins with an em dash and a space")
    name, _, encoded = line[len(_DASH) :].partition(" ")
    require_name(name)
    decoded = decode_base64(encoded, "note: a signature")
    if len(decoded) <= KEY_ID_BYTES:
        raise Malformed("note: a signature has a key id of 4 bytes and at least one byte more")
    return Signature(name=name, key_id=decoded[:KEY_ID_BYTES], signature=decoded[KEY_ID_BYTES:])


def _key_text(text: str, what: str) -> KeyText:
    if not isinstance(text, str):
        raise Malformed(f"{what}: expected a text")
    name, _, rest = text.partition("+")
    id_hex, _, key64 = rest.partition("+")
    decoded = decode_base64(key64, what)
    return KeyText(what=what, name=name, id_hex=id_hex, algorithm=decoded[:1], key=decoded[1:])


def _all_that(keys: Iterable[Key], can: str) -> list[Key]:
    """The keys, all of which have the method `can`."""
    if not isinstance(keys, Iterable):
        raise SettingInvalid(f"note: expected keys that {can}")
    given = list(keys)
    if not all(hasattr(key, can) and hasattr(key, "name") for key in given):
        raise SettingInvalid(f"note: expected keys that {can}, and nothing else")
    return given


def _require_note(note: str | bytes) -> str:
    if not isinstance(note, str | bytes):
        raise Malformed("note: expected a text, or its bytes")
    if len(note) > MAX_NOTE_BYTES:
        raise Malformed(f"note: at most {MAX_NOTE_BYTES} bytes")
    if isinstance(note, bytes):
        try:
            note = note.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("note: not UTF-8") from error
    _require_text(note)
    return note


def _require_text(text: str) -> bytes:
    # C2SP signed-note: valid UTF-8 and no ASCII control characters (below U+0020) but newline.
    if _control(text):
        raise Malformed("note: a control character other than newline")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Malformed("note: a lone surrogate") from error
