"""What a witness can say of a submission without its state, and of two trees without their log."""

from msgspec import Struct

from audit import checkpoint as checkpoints
from audit import merkle, note
from audit.checkpoint import Checkpoint
from audit.errors import ConsistencyInvalid, Malformed
from audit.note import Note, NoteVerifier
from audit.submission import AddCheckpoint
from traceability.marks import implements


class Submitted(Struct, frozen=True, kw_only=True):
    """A checkpoint that a trusted key of its origin signed, and the note with who did."""

    checkpoint: Checkpoint
    opened: Note


@implements("REQ-WIT-001")
def opened(request: AddCheckpoint, keys: tuple[NoteVerifier, ...]) -> Submitted:
    """The checkpoint, signed by one of the keys that are trusted for its origin.

    Raises `SignatureMissing` where none of them signed, `SignatureInvalid` where a signature in one's name and
    id is not valid, and `Malformed` where the old size is beyond the checkpoint's.
    """
    found = note.open(request.signed, keys)
    checkpoint = checkpoints.parse(found.text)
    if request.old_size > checkpoint.size:
        raise Malformed(f"add-checkpoint: the old size {request.old_size} is beyond the checkpoint's {checkpoint.size}")
    return Submitted(checkpoint=checkpoint, opened=found)


@implements("REQ-WIT-001")
def require_consistent(request: AddCheckpoint, submitted: Checkpoint, cosigned: Checkpoint | None) -> None:
    """The submitted tree is an extension of the one that was cosigned last, whose size is the old size.

    Raises `ConsistencyInvalid` otherwise.
    """
    assert request.old_size == (0 if cosigned is None else cosigned.size)
    if submitted.size == 0 and submitted.root != merkle.EMPTY_ROOT:
        raise ConsistencyInvalid("checkpoint: of size 0, but its root is not that of the empty tree")
    if cosigned is None or cosigned.size == 0:
        # The empty tree is consistent with any tree, and a proof of it has no hash.
        if request.proof:
            raise ConsistencyInvalid("consistency proof: not empty, although the old size is 0")
        return
    merkle.verify_consistency(cosigned.size, cosigned.root, submitted.size, submitted.root, request.proof)
