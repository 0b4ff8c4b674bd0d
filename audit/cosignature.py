"""Cosignatures (C2SP tlog-cosignature): a witness states at which time it saw a checkpoint, and saw it consistent.

Two types, each a note signature whose bytes are a timestamp (big-endian, POSIX seconds) and a signature:
Ed25519 (type 0x04) over `cosignature/v1`, the time and the checkpoint's text, and ML-DSA-44 (type 0x06, FIPS
204) over `subtree/v1`, which names cosigner, time, origin, size and root, but no extension lines. A log may sign
its own checkpoints with the latter (C2SP tlog-checkpoint, "Signatures"): `LogSigner`.
"""

from collections.abc import Callable
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from msgspec import Struct

from audit import checkpoint as checkpoints
from audit import note
from audit.errors import Malformed, SettingInvalid, SignatureInvalid
from audit.note import Signature
from traceability.marks import implements

# C2SP signed-note, "Signature types".
ALGORITHM_ED25519: Final = b"\x04"
ALGORITHM_ML_DSA_44: Final = b"\x06"

SEED_BYTES: Final = 32  # RFC 8032 section 5.1.5; FIPS 204 algorithm 1
MAX_TIME_S: Final = 2**63 - 1
MAX_NAME_BYTES: Final = 255  # opaque cosigner_name<1..2^8-1>, and log_origin alike
NO_TIME_S: Final = 0
"""In an ML-DSA-44 signature: no statement about the tree being the largest that was seen."""

_TIME_BYTES: Final = 8


class _PublicKey(Protocol):
    def verify(self, signature: bytes, data: bytes) -> None: ...


class _PrivateKey(Protocol):
    def sign(self, data: bytes) -> bytes: ...


class _Algorithm(Struct, frozen=True, kw_only=True):
    """What sets the two types apart."""

    byte: bytes
    signature_bytes: int
    public: Callable[[str, bytes], _PublicKey]
    private: Callable[[bytes], tuple[_PrivateKey, bytes]]  # and the public key's bytes
    message: Callable[[str, bytes, int], bytes]


@implements("REQ-PUB-008")
class Verifier:
    """The public half of a cosigner's key, of either type; one of `note.NoteVerifier`."""

    __slots__ = ("_key", "_type", "key_hash", "name", "public_key")

    def __init__(self, name: str, public_key: bytes, algorithm: bytes = ALGORITHM_ED25519) -> None:
        """Raises `Malformed` where the name or the encoding of the key is not one."""
        note.require_name(name)
        self._type: Final = _algorithm(algorithm, "verifier key")
        self._key: Final = self._type.public(name, public_key)
        self.name: Final = name
        self.public_key: Final = public_key
        self.key_hash: Final = note.key_id(name, public_key, algorithm)

    @classmethod
    def parse(cls, vkey: str) -> "Verifier":
        """The key that `vkey` names. Raises `Malformed`, also where its id is not that of its key."""
        parts = note.split_vkey(vkey)
        verifier = cls(parts.name, parts.key, parts.algorithm)
        parts.require_id(verifier.key_hash)
        return verifier

    @property
    def algorithm(self) -> bytes:
        return self._type.byte

    def __str__(self) -> str:
        return note.vkey(self.name, self.algorithm, self.public_key)

    def __repr__(self) -> str:
        return f"cosignature.Verifier({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Verifier) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def verify(self, text: bytes, signature: bytes) -> None:
        """Returns where this key cosigned the checkpoint whose note text is `text`, at the time in `signature`.

        Whether that time is likely is not looked at: nothing here reads a clock. Raises `SignatureInvalid`.
        """
        who = f"{self.name}+{self.key_hash.hex()}"
        time_s = time_of(signature)
        if len(signature) != _TIME_BYTES + self._type.signature_bytes or time_s > MAX_TIME_S:
            raise SignatureInvalid(f"note: the cosignature by {who} is not a timestamp and a signature")
        try:
            message = self._type.message(self.name, text, time_s)
            self._key.verify(signature[_TIME_BYTES:], message)
        except (InvalidSignature, Malformed) as error:
            raise SignatureInvalid(f"note: the cosignature by {who} is not valid") from error


@implements("REQ-PUB-008")
class Cosigner:
    """A witness's signing key, of either type, loaded once."""

    __slots__ = ("_key", "_seed", "_type", "verifier")

    def __init__(self, name: str, seed: bytes, algorithm: bytes = ALGORITHM_ED25519) -> None:
        """The key of 32 secret random bytes, which the caller brings: nothing here draws them. Raises `Malformed`."""
        if len(seed) != SEED_BYTES:
            raise Malformed(f"signing key: a seed has {SEED_BYTES} bytes")
        self._type: Final = _algorithm(algorithm, "signing key")
        self._seed: Final = seed
        self._key, public_key = self._type.private(seed)
        self.verifier: Final = Verifier(name, public_key, algorithm)

    @classmethod
    def parse(cls, skey: str) -> "Cosigner":
        """The key that `skey` holds. Raises `Malformed`, without repeating any of it."""
        parts = note.split_skey(skey)
        cosigner = cls(parts.name, parts.key, parts.algorithm)
        parts.require_id(cosigner.verifier.key_hash)
        return cosigner

    @property
    def name(self) -> str:
        return self.verifier.name

    @property
    def skey(self) -> str:
        """The secret as text. Whoever reads it can cosign as this witness."""
        return note.skey(self.verifier, self._type.byte, self._seed)

    def __repr__(self) -> str:
        return f"Cosigner({str(self.verifier)!r})"

    def cosign(self, text: str, time_s: int) -> Signature:
        """The signature line over a checkpoint's note text, at a POSIX time.

        The caller has verified the log's signature and the consistency with everything this key cosigned
        before, and has stored the checkpoint. Raises `Malformed` where the text is not a checkpoint.
        """
        checkpoints.parse(text)
        if not 0 < time_s <= MAX_TIME_S:  # C2SP tlog-witness: a witness's timestamp must not be zero
            raise Malformed(f"cosignature: a time from 1 to {MAX_TIME_S} seconds")
        return self._signature(text.encode("utf-8"), time_s)

    def _signature(self, text: bytes, time_s: int) -> Signature:
        signed = self._key.sign(self._type.message(self.name, text, time_s))
        timestamped = time_s.to_bytes(_TIME_BYTES, "big") + signed
        return Signature(name=self.name, key_id=self.verifier.key_hash, signature=timestamped)


@implements("REQ-PUB-008", "REQ-KEY-007")
class LogSigner:
    """A log's own ML-DSA-44 key, as one of `note.NoteSigner`: its name is the log's origin.

    The timestamp is zero. Several processes sign for one log, so none of them can say that its checkpoint was
    the largest at that time; what it says is that the checkpoint belongs to the log's one history.
    """

    __slots__ = ("_cosigner", "verifier")

    def __init__(self, cosigner: Cosigner) -> None:
        """Raises `Malformed` for an Ed25519 cosigner: a log signs with Ed25519 as `note.Signer`."""
        if cosigner.verifier.algorithm != ALGORITHM_ML_DSA_44:
            raise Malformed("signing key: a log's second key is of algorithm 6, ML-DSA-44")
        self._cosigner: Final = cosigner
        self.verifier: Final = cosigner.verifier

    @property
    def name(self) -> str:
        return self.verifier.name

    def sign(self, text: bytes) -> bytes:
        """Raises `Malformed` for what is not a checkpoint, and for one with extension lines: they are not covered."""
        if checkpoints.parse(text.decode("utf-8")).extensions:
            raise Malformed("checkpoint: with extension lines, of which an ML-DSA-44 signature says nothing")
        return self._cosigner._signature(text, NO_TIME_S).signature


@implements("REQ-PUB-008")
def time_of(signature: bytes) -> int:
    """The POSIX time of a cosignature's bytes. It means nothing until `Verifier.verify` has returned."""
    return int.from_bytes(signature[:_TIME_BYTES], "big")


def _ed25519_message(_name: str, text: bytes, time_s: int) -> bytes:
    # C2SP tlog-cosignature, "Ed25519 signed message": two lines, then the note's text with its last newline.
    return b"cosignature/v1\ntime %d\n%b" % (time_s, text)


def _ml_dsa_message(name: str, text: bytes, time_s: int) -> bytes:
    # C2SP tlog-cosignature, "ML-DSA-44 signed message"; integers and lengths as in RFC 8446 section 3.
    signed = checkpoints.parse(text.decode("utf-8"))
    start = 0  # a whole checkpoint
    return b"".join(
        (
            b"subtree/v1\n\0",
            _opaque(name),
            time_s.to_bytes(8, "big"),
            _opaque(signed.origin),
            start.to_bytes(8, "big"),
            signed.size.to_bytes(8, "big"),
            signed.root,
        )
    )


def _opaque(text: str) -> bytes:
    encoded = text.encode("utf-8")
    if not 0 < len(encoded) <= MAX_NAME_BYTES:
        raise Malformed(f"cosignature: ML-DSA-44 takes names and origins of 1 to {MAX_NAME_BYTES} bytes")
    return bytes((len(encoded),)) + encoded


def _ed25519_public(_name: str, public_key: bytes) -> _PublicKey:
    return note.ed25519_public_key(public_key)


def _ed25519_private(seed: bytes) -> tuple[_PrivateKey, bytes]:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return key, key.public_key().public_bytes_raw()


def _ml_dsa_public(name: str, public_key: bytes) -> _PublicKey:
    _opaque(name)
    try:
        return MLDSA44PublicKey.from_public_bytes(public_key)
    except ValueError as error:
        raise Malformed("verifier key: not the 1312 bytes of an ML-DSA-44 public key") from error
    except UnsupportedAlgorithm as error:
        raise SettingInvalid("verifier key: the OpenSSL of this installation has no ML-DSA-44") from error


def _ml_dsa_private(seed: bytes) -> tuple[_PrivateKey, bytes]:
    try:
        key = MLDSA44PrivateKey.from_seed_bytes(seed)
    except UnsupportedAlgorithm as error:
        raise SettingInvalid("signing key: the OpenSSL of this installation has no ML-DSA-44") from error
    return key, key.public_key().public_bytes_raw()


_ALGORITHMS: Final = {
    ALGORITHM_ED25519: _Algorithm(
        byte=ALGORITHM_ED25519,
        signature_bytes=64,  # RFC 8032 section 5.1.6
        public=_ed25519_public,
        private=_ed25519_private,
        message=_ed25519_message,
    ),
    ALGORITHM_ML_DSA_44: _Algorithm(
        byte=ALGORITHM_ML_DSA_44,
        signature_bytes=2420,  # FIPS 204 table 2
        public=_ml_dsa_public,
        private=_ml_dsa_private,
        message=_ml_dsa_message,
    ),
}


def _algorithm(byte: bytes, what: str) -> _Algorithm:
    known = _ALGORITHMS.get(byte)
    if known is None:
        raise Malformed(f"{what}: expected a cosigner's algorithm, 4 (Ed25519) or 6 (ML-DSA-44)")
    return known
