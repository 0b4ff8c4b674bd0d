"""What a log asks of a witness (C2SP tlog-witness, "add-checkpoint"), written by the log and read by the witness.

old SIZE
BASE64 of a hash of the consistency proof, one a line
(an empty line)
the signed checkpoint
"""

import binascii
import re
from typing import Final

from msgspec import Struct

from audit import checkpoint as checkpoints
from audit import merkle, note
from audit.errors import Malformed
from traceability.marks import implements

MAX_PROOF_HASHES: Final = 63  # C2SP tlog-witness: a client must not send more

_old_line = re.compile("old (0|[1-9][0-9]{0,18})").fullmatch


@implements("REQ-WIT-004")
class AddCheckpoint(Struct, frozen=True, kw_only=True):
    """A request as it was sent; nothing in it is verified. `signed` is the checkpoint's note, verbatim."""

    old_size: int
    proof: tuple[bytes, ...]
    signed: str

    @property
    def origin(self) -> str:
        """What the checkpoint says whose it is."""
        return self.signed.partition("\n")[0]


@implements("REQ-WIT-004")
def parse(body: bytes, max_proof_hashes: int = MAX_PROOF_HASHES) -> AddCheckpoint:
    """The request whose body this is. Raises `Malformed`, also where its checkpoint is not well-formed."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("add-checkpoint: not UTF-8") from error
    head, blank, signed = text.partition("\n\n")
    if not blank:
        raise Malformed("add-checkpoint: expected an old size, a proof, an empty line and a checkpoint")
    old_line, *lines = head.split("\n")
    old = _old_line(old_line)
    if old is None:
        raise Malformed("add-checkpoint: expected the line `old SIZE`, a decimal without leading zeros")
    if len(lines) > max_proof_hashes:
        raise Malformed(f"add-checkpoint: {len(lines)} hashes in the proof, at most {max_proof_hashes}")
    proof = tuple(note.decode_base64(line, "add-checkpoint: a hash of the proof") for line in lines)
    if not set(map(len, proof)) <= {merkle.HASH_BYTES}:
        raise Malformed(f"add-checkpoint: a hash of the proof has {merkle.HASH_BYTES} bytes")
    checkpoints.parse(note.split(signed)[0])
    return AddCheckpoint(old_size=int(old[1]), proof=proof, signed=signed)


@implements("REQ-WIT-004")
def format(request: AddCheckpoint) -> bytes:  # noqa: A001  # read as submission.format
    """The body of `request`, as a log sends it."""
    proof = b"".join(map(binascii.b2a_base64, request.proof))  # a line each
    return b"old %d\n%b\n%b" % (request.old_size, proof, request.signed.encode("utf-8"))
