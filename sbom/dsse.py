"""DSSE envelopes: a payload, its type, and signatures over both (secure-systems-lab/dsse, protocol and envelope v1).

    {"payload": BASE64, "payloadType": TYPE, "signatures": [{"keyid": ID, "sig": BASE64}, ...]}

What is signed is the pre-authentication encoding, PAE("DSSEv1", type, payload): so a signature cannot be taken for one
over another type. Keys are Ed25519; a key's id is the SHA-256 of its SubjectPublicKeyInfo (RFC 8410), in hexadecimal.
The id is a hint and is not trusted: whichever trusted key verifies a signature has signed.

Pure.
"""

import base64
import binascii
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Struct

from sbom.errors import EnvelopeInvalid
from traceability.marks import implements

IN_TOTO: Final = "application/vnd.in-toto+json"
"""The payload type of an in-toto Statement."""
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_SIGNATURES: Final = 64


class _Signature(Struct, frozen=True, kw_only=True):
    sig: str
    keyid: str = ""


class _Envelope(Struct, frozen=True, kw_only=True, rename="camel"):
    payload: str
    payload_type: str
    signatures: tuple[_Signature, ...]


class Opened(Struct, frozen=True, kw_only=True):
    """A payload, and the ids of the trusted keys that signed it: at least one."""

    payload: bytes
    signed_by: tuple[str, ...]


@implements("REQ-REL-002")
def key_id(key: Ed25519PublicKey) -> str:
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


@implements("REQ-REL-002")
def encoded(payload_type: str, payload: bytes) -> bytes:
    """PAE: what a signature is over."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


@implements("REQ-REL-002")
def sign(payload: bytes, payload_type: str, keys: Sequence[Ed25519PrivateKey]) -> bytes:
    """The envelope of `payload`, as JSON that is the same each time: Ed25519 is deterministic (RFC 8032)."""
    if not keys:
        raise EnvelopeInvalid("envelope: at least one key signs it")
    signed = encoded(payload_type, payload)
    made = _Envelope(
        payload=_base64(payload),
        payload_type=payload_type,
        signatures=tuple(_Signature(keyid=key_id(key.public_key()), sig=_base64(key.sign(signed))) for key in keys),
    )
    return msgspec.json.format(msgspec.json.encode(made, order="sorted"), indent=2) + b"\n"


@implements("REQ-REL-002")
def open(envelope: bytes, keys: Sequence[Ed25519PublicKey], payload_type: str = IN_TOTO) -> Opened:  # noqa: A001  # read as dsse.open
    """The payload of `envelope`, signed by at least one of `keys`. Raises `EnvelopeInvalid` otherwise."""
    if len(envelope) > MAX_BYTES:
        raise EnvelopeInvalid(f"envelope: at most {MAX_BYTES} bytes")
    try:
        parsed = msgspec.json.decode(envelope, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EnvelopeInvalid(f"envelope: not a DSSE envelope: {error}") from error
    if parsed.payload_type != payload_type:
        raise EnvelopeInvalid(f"envelope: of type {parsed.payload_type!r}, expected {payload_type!r}")
    if not 1 <= len(parsed.signatures) <= MAX_SIGNATURES:
        raise EnvelopeInvalid(f"envelope: 1 to {MAX_SIGNATURES} signatures, this has {len(parsed.signatures)}")
    payload = _bytes(parsed.payload, "the payload")
    signed = encoded(parsed.payload_type, payload)
    signatures = [_bytes(each.sig, "a signature") for each in parsed.signatures]
    by = tuple(key_id(key) for key in keys if any(_verifies(key, each, signed) for each in signatures))
    if not by:
        raise EnvelopeInvalid("envelope: no trusted key has signed it")
    return Opened(payload=payload, signed_by=by)


def unverified(envelope: bytes) -> bytes:
    """The payload, whoever signed it: for showing, never for deciding. Raises `EnvelopeInvalid` where there is none."""
    try:
        return _bytes(msgspec.json.decode(envelope, type=_Envelope).payload, "the payload")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EnvelopeInvalid(f"envelope: not a DSSE envelope: {error}") from error


def _verifies(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(text: str, what: str) -> bytes:
    """Standard or URL-safe base64: the protocol lets a signer choose."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise EnvelopeInvalid(f"envelope: {what} is not base64") from error
