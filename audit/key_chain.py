"""A log's key history as one file, which anybody can check offline who trusts one of the keys.

    {"first_key": VKEY, "format": "medai.key_chain/1", "origin": ORIGIN, "receipts": [RECEIPT, ...]}

Each receipt (C2SP tlog-proof) carries a record of kind `key_rotated`, which the key before it has signed, and the
proof that the record is in the tree that this key, or the one that it endorses, has signed.

Pure.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from audit import canonical, receipt, record
from audit.errors import Malformed, VerificationFailed
from audit.note import Verifier
from audit.record import KeyRotated
from audit.rotation import Epoch, KeyHistory, shown
from traceability.marks import implements

FORMAT: Final = "medai.key_chain/1"
MAX_BYTES: Final = 1024 * 1024
MAX_ROTATIONS: Final = 128  # as many as log lines of a policy (C2SP tlog-policy) are read


class KeyChain(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first key, and the receipts of the records that rotated it, in order. Nothing in it is verified."""

    format: Literal["medai.key_chain/1"] = FORMAT
    origin: str
    first_key: str
    receipts: tuple[str, ...]


@implements("REQ-KEY-003")
def encode(chain: KeyChain) -> bytes:
    """The file's bytes: canonical JSON and a newline."""
    return canonical.encode(msgspec.to_builtins(chain)) + b"\n"


@implements("REQ-KEY-003")
def decode(body: bytes) -> KeyChain:
    """The chain whose file this is. Raises `Malformed` for any other bytes."""
    if len(body) > MAX_BYTES:
        raise Malformed(f"key chain: at most {MAX_BYTES} bytes")
    try:
        chain = msgspec.convert(canonical.decode(body.removesuffix(b"\n")), KeyChain)
    except msgspec.ValidationError as error:
        raise Malformed(f"key chain: not a {FORMAT}: {error}") from error
    if len(chain.receipts) > MAX_ROTATIONS:
        raise Malformed(f"key chain: at most {MAX_ROTATIONS} rotations")
    return chain


@implements("REQ-KEY-003")
def verify(chain: KeyChain, trusted: Verifier) -> KeyHistory:
    """The keys that follow from `trusted`, which is the first of the history, by what each has signed.

    1. each rotation's record is signed by the key before it and by its own; 2. it is in a tree that one of these two
    has signed, at the size that is its own to sign. Keys before `trusted` are not vouched for by it, and left out.
    Raises `VerificationFailed` or one of its kind, or `Malformed`.
    """
    history = KeyHistory(origin=trusted.name, epochs=(Epoch(key=trusted, index=0, after=0),))
    rotations = [_rotation(text) for text in chain.receipts]
    named = [chain.first_key, *(entry.new_key for _, entry in rotations)]
    if str(trusted) not in named:
        raise VerificationFailed(f"key chain: it does not name {shown(trusted)}")
    for proof, entry in rotations[named.index(str(trusted)) :]:
        history = history.rotated(proof.index, entry)
        signed = history.open(proof.checkpoint)
        receipt.require_included(proof, receipt.leaf_of(proof), signed)
    return history


@implements("REQ-KEY-003")
def lines(history: KeyHistory) -> list[str]:
    """For each key its vkey and which records' trees it was the first to sign."""
    return [f"{epoch.key}  {covered(epoch)}" for epoch in history.epochs]


@implements("REQ-KEY-003")
def policy(histories: Sequence[KeyHistory]) -> str:
    """The log lines of a policy (C2SP tlog-policy) that trusts every key of these logs, with their sizes in comments.

    A policy has no sizes: who steals a retired key can sign for it. `medai audit verify` of a database, and of a
    receipt against a key chain, hold each key to its own.
    """
    text = []
    for history in histories:
        text.append(f"# the log {history.origin}")
        for epoch in history.epochs:
            upto = f"1 to {epoch.upto}" if epoch.after == 0 else f"{epoch.after + 1} to {epoch.upto}"
            text += [f"# sizes {upto if epoch.upto is not None else f'from {epoch.after + 1}'}", f"log {epoch.key}"]
    return "\n".join(text) + "\n"


@implements("REQ-KEY-003")
def covered(epoch: Epoch) -> str:
    """The records whose trees a key is the first to sign."""
    return f"records from {epoch.after}" if epoch.upto is None else f"records {epoch.after} to {epoch.upto - 1}"


def _rotation(text: str) -> tuple[receipt.Receipt, KeyRotated]:
    proof = receipt.parse(text)
    entry = record.decode(proof.extra) if proof.extra is not None else None
    if not isinstance(entry, KeyRotated):
        raise Malformed("key chain: a receipt whose record is not a rotation of the key")
    return proof, entry
