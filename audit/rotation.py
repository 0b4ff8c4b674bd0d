"""Which key signs which sizes of a log: record 0's key, then each that the key before it endorsed in a record.

The law is one of size, not of time. Where the record at index R ends the key K, K signs the trees of up to R + 1
records, so that the record that ends it is the last that it covers, and the key that it endorsed signs every larger
one. Two processes that learn of it at different moments can therefore not break it.

The endorsement is in the record itself, as a signature by K: whoever can only write records cannot make one. It is
signed by the new key as well, so that nobody can be made the successor of a log without taking part. A key that was
once a log's never comes back, so that no endorsement can be used twice.

Pure.
"""

import base64
from typing import Final

import msgspec
from msgspec import Struct

from audit import canonical, checkpoint, note, record
from audit.checkpoint import Checkpoint
from audit.errors import Malformed, VerificationFailed
from audit.note import Signer, Verifier
from audit.record import Genesis, KeyRotated
from traceability.marks import implements

# The first line of what is signed. The second begins with a brace where a checkpoint has its size: no signature over
# the one is ever a signature over the other.
ROTATION: Final = "medai.key_rotation/1"
CONTINUATION: Final = "medai.continuation/1"
_UNSIGNED: Final = "A" * 86 + "=="


class Epoch(Struct, frozen=True, kw_only=True):
    """One key's time: it signs the sizes in (after, upto], without end where `upto` is None. The record at `index`
    began it."""

    key: Verifier
    index: int
    after: int
    upto: int | None = None


@implements("REQ-KEY-001")
class KeyHistory(Struct, frozen=True, kw_only=True):
    """The keys of one log, the first to the current; never empty."""

    origin: str
    epochs: tuple[Epoch, ...]

    @property
    def current(self) -> Epoch:
        return self.epochs[-1]

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        return tuple(epoch.key for epoch in self.epochs)

    def of_size(self, size: int) -> Epoch:
        """Whose the tree of `size` records is to sign. Requires size >= 1."""
        return next(epoch for epoch in reversed(self.epochs) if size > epoch.after)

    @implements("REQ-KEY-002")
    def open(self, signed: str | bytes) -> Checkpoint:
        """The checkpoint, signed by the key of its size.

        Raises what `audit.note.open` raises, and `VerificationFailed` where it is of another log, or signed by a key
        of this one that was not, or no longer, the one to sign that size.
        """
        stated = checkpoint.parse(note.split(signed)[0])
        if stated.origin != self.origin:
            raise VerificationFailed(f"checkpoint: of the log {stated.origin}, expected {self.origin}")
        if stated.size < 1:
            raise VerificationFailed("checkpoint: of no record; a log has its record 0 from the beginning")
        epoch = self.of_size(stated.size)
        verified = note.open(signed, self.verifiers).verified
        if epoch.key.key_hash not in {signature.key_id for signature in verified}:
            raise VerificationFailed(
                f"checkpoint: size {stated.size} is for {shown(epoch.key)} to sign, and was signed by another key of "
                "this log: one that was retired, or was not in force yet"
            )
        return stated

    @implements("REQ-KEY-002")
    def rotated(self, index: int, entry: KeyRotated) -> "KeyHistory":
        """The history after the record at `index`, if the current key endorses the new one there.

        Raises `VerificationFailed`, `SignatureInvalid` or `Malformed` where it does not: such a record rotates nothing.
        """
        if entry.origin != self.origin or entry.old_key != str(self.current.key):
            raise VerificationFailed(f"record {index}: it would end a key that is not this log's at that moment")
        new = Verifier.parse(entry.new_key)
        if new.name != self.origin:
            raise VerificationFailed(f"record {index}: the new key is named {new.name}, not {self.origin}")
        if any(new.public_key == known.public_key for known in self.verifiers):
            raise VerificationFailed(f"record {index}: its new key was this log's before; a key never comes back")
        text = rotation_text(entry)
        self.current.key.verify(text, base64.b64decode(entry.old_signature))
        new.verify(text, base64.b64decode(entry.new_signature))
        ended = msgspec.structs.replace(self.current, upto=index + 1)
        begun = Epoch(key=new, index=index, after=index + 1)
        return KeyHistory(origin=self.origin, epochs=(*self.epochs[:-1], ended, begun))


@implements("REQ-KEY-001")
def begin(genesis: Genesis) -> KeyHistory:
    """The history of a log as its record 0 alone gives it. Raises `Malformed` where that names no key of the log."""
    key = Verifier.parse(genesis.verifier_key)
    if key.name != genesis.origin:
        raise Malformed(f"record 0: its key is named {key.name}, not {genesis.origin}")
    return KeyHistory(origin=genesis.origin, epochs=(Epoch(key=key, index=0, after=0),))


@implements("REQ-KEY-001")
def endorse(old: Signer, new: Signer, *, event_id: str, recorded_at_us: int) -> KeyRotated:
    """The record by which `old` hands over to `new`. Requires that both have the log's name."""
    entry = KeyRotated(
        format=record.FORMAT,
        event_id=event_id,
        recorded_at_us=recorded_at_us,
        origin=old.name,
        old_key=str(old.verifier),
        new_key=str(new.verifier),
        old_signature=_UNSIGNED,
        new_signature=_UNSIGNED,
    )
    text = rotation_text(entry)
    return msgspec.structs.replace(entry, old_signature=_signed(old, text), new_signature=_signed(new, text))


@implements("REQ-KEY-005")
def endorse_continuation(old: Signer, genesis: Genesis) -> Genesis:
    """`genesis` with the signature of the closed log's last key over all the rest of it."""
    assert genesis.continues is not None
    assert str(old.verifier) == genesis.continues.verifier_key
    signature = _signed(old, continuation_text(genesis))
    return msgspec.structs.replace(genesis, continues=msgspec.structs.replace(genesis.continues, signature=signature))


@implements("REQ-KEY-001")
def require_endorsed(genesis: Genesis) -> None:
    """Returns where the closed log's last key has signed that this log continues it.

    Raises `VerificationFailed` where it continues none or the signature is absent, `SignatureInvalid` where it is not
    that key's.
    """
    if genesis.continues is None or genesis.continues.signature is None:
        raise VerificationFailed("record 0: no key of another log has signed that this one continues it")
    key = Verifier.parse(genesis.continues.verifier_key)
    key.verify(continuation_text(genesis), base64.b64decode(genesis.continues.signature))


@implements("REQ-KEY-001")
def rotation_text(entry: KeyRotated) -> bytes:
    """What both keys sign: the record, canonical, without the two signatures. It is the text of a signed note."""
    members = canonical.decode(record.encode(entry))
    del members["old_signature"], members["new_signature"]
    return _text(ROTATION, members)


@implements("REQ-KEY-005")
def continuation_text(genesis: Genesis) -> bytes:
    """What the closed log's key signs: record 0, canonical, without that signature."""
    members = canonical.decode(record.encode(genesis))
    members["continues"].pop("signature", None)
    return _text(CONTINUATION, members)


def shown(key: Verifier) -> str:
    """A key by its name and id, for messages."""
    return f"{key.name}+{key.key_hash.hex()}"


def _text(header: str, members: canonical.Value) -> bytes:
    return f"{header}\n".encode() + canonical.encode(members) + b"\n"


def _signed(signer: Signer, text: bytes) -> str:
    return base64.b64encode(signer.sign(text)).decode("ascii")
