"""Receipts (C2SP tlog-proof): a record, its place in the log, and the signed checkpoint that covers it.

    c2sp.org/tlog-proof@v1
    extra BASE64 of the record
    index N
    BASE64 of a sibling hash, one a line, the leaf's first
    (an empty line)
    the signed checkpoint, verbatim

Receipts are verified offline, against nothing but a policy: which keys the verifier trusts.
"""

import binascii
import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from audit import checkpoint as checkpoints
from audit import merkle, note
from audit.checkpoint import MAX_SIZE, Checkpoint
from audit.errors import Malformed, Unattested, VerificationFailed
from audit.note import Verifier
from traceability.marks import implements

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_PATH: Final = 63  # a tree of at most MAX_SIZE leaves is 63 levels high
MAX_RECEIPT_BYTES: Final = 2 * 1024 * 1024

_decimal = re.compile("0|[1-9][0-9]{0,18}").fullmatch


class Receipt(Struct, frozen=True, kw_only=True):
    """A receipt as it is written; nothing in it is verified. `checkpoint` is the signed note, verbatim."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None


class Policy(Struct, frozen=True, kw_only=True):
    """What a verifier trusts: log keys, and how many of which witnesses must have cosigned.

    A log's checkpoints bear its key's name as their origin, unless `origin` says what they bear.
    """

    logs: tuple[Verifier, ...]
    origin: str | None = None
    witnesses: tuple[Verifier, ...] = ()
    quorum: int = 0


class Opened(Struct, frozen=True, kw_only=True):
    """A checkpoint, and the log key whose signature over it was verified."""

    checkpoint: Checkpoint
    signed_by: str


@implements("REQ-LED-012")
def format(receipt: Receipt) -> str:  # noqa: A001  # read as receipt.format
    """The text of `receipt`: `parse(format(r)) == r`. Raises `Malformed` where it has none."""
    if not 0 <= receipt.index < MAX_SIZE:
        raise Malformed(f"receipt: an index from 0 to {MAX_SIZE - 1}")
    _require_path(receipt.path)
    if not receipt.checkpoint:
        raise Malformed("receipt: a checkpoint is not empty")
    if receipt.extra == b"":
        raise Malformed("receipt: extra data that is empty is left out (None)")
    extra = "" if receipt.extra is None else f"extra {_line(receipt.extra)}"
    path = b"".join(map(binascii.b2a_base64, receipt.path)).decode("ascii")  # a line each
    return f"{HEADER}\n{extra}index {receipt.index}\n{path}\n{receipt.checkpoint}"


@implements("REQ-LED-012")
def parse(text: str | bytes) -> Receipt:
    """The receipt whose text this is. Raises `Malformed` otherwise; the checkpoint is not looked into."""
    if len(text) > MAX_RECEIPT_BYTES:
        raise Malformed(f"receipt: at most {MAX_RECEIPT_BYTES} bytes")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("receipt: not UTF-8") from error
    head, blank, checkpoint = text.partition("\n\n")
    if not blank or not checkpoint:
        raise Malformed("receipt: expected an empty line and a checkpoint after the proof")
    header, *lines = head.split("\n")
    if header != HEADER:
        raise Malformed(f"receipt: its first line is not {HEADER}")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = note.decode_base64(lines.pop(0).removeprefix("extra "), "receipt: the extra line")
        if not extra:
            raise Malformed("receipt: an extra line without data")
    index = lines.pop(0).removeprefix("index ") if lines and lines[0].startswith("index ") else ""
    if _decimal(index) is None:
        raise Malformed("receipt: expected the line `index N`, N a decimal without leading zeros")
    path = tuple(note.decode_base64(line, "receipt: a hash of the path") for line in lines)
    _require_path(path)
    return Receipt(index=int(index), path=path, checkpoint=checkpoint, extra=extra)


def verify(proof: Receipt | str | bytes, policy: Policy) -> None:
    """The receipt's record is in the log: at its index, in the tree that a trusted key signed.

    The steps are those of C2SP tlog-proof, "Verifying a tlog proof". Raises `Malformed` for what is not a
    receipt with a record, `SignatureInvalid` and `SignatureMissing` for the checkpoint, `InclusionInvalid`
    for the proof, `VerificationFailed` for another log's checkpoint, `Unattested` for a quorum not met.
    """
    receipt = proof if isinstance(proof, Receipt) else parse(proof)
    # 1. The leaf is recomputed from the record that the receipt carries.
    leaf = leaf_of(receipt)
    # 2. Size and root come from the signed checkpoint only.
    opened = open_checkpoint(receipt.checkpoint, policy)
    # 3. Witnesses.
    require_quorum(policy)
    # 4. The leaf is in that tree.
    require_included(receipt, leaf, opened.checkpoint)


def leaf_of(receipt: Receipt) -> bytes:
    """The leaf hash of the record in the receipt's extra line."""
    if receipt.extra is None:
        raise Malformed("receipt: no extra line, so there is no record to verify")
    return merkle.leaf_hash(receipt.extra)


def open_checkpoint(signed: str, policy: Policy) -> Opened:
    """The checkpoint, signed by a log key of the policy and of that key's log."""
    opened = note.open(signed, policy.logs)
    checkpoint = checkpoints.parse(opened.text)
    for signature in opened.verified:
        if checkpoint.origin == (signature.name if policy.origin is None else policy.origin):
            return Opened(checkpoint=checkpoint, signed_by=f"{signature.name}+{signature.key_id.hex()}")
    wanted = policy.origin or " or ".join(signature.name for signature in opened.verified)
    raise VerificationFailed(f"checkpoint: of the log {checkpoint.origin}, expected {wanted}")


def require_quorum(policy: Policy) -> None:
    """Cosignatures are not read yet, so a policy that asks for any is never met: refuse, never pass."""
    if policy.quorum > 0:
        raise Unattested(f"receipt: {policy.quorum} witnesses are asked for; cosignatures are not read yet")


def require_included(receipt: Receipt, leaf: bytes, checkpoint: Checkpoint) -> None:
    merkle.verify_inclusion(leaf, receipt.index, checkpoint.size, receipt.path, checkpoint.root)


def _require_path(path: Sequence[bytes]) -> None:
    if len(path) > MAX_PATH or not set(map(len, path)) <= {merkle.HASH_BYTES}:
        raise Malformed(f"receipt: a path has at most {MAX_PATH} hashes of {merkle.HASH_BYTES} bytes")


def _line(value: bytes) -> str:
    return binascii.b2a_base64(value).decode("ascii")
