"""A log for a witness to watch: any number of made-up leaves, its signed checkpoints and its proofs."""

import hashlib

from msgspec import Struct

from audit import checkpoint, merkle, note, submission
from audit.checkpoint import Checkpoint


class Tree(Struct, frozen=True, kw_only=True):
    """One history of a log. Another `salt` makes another history of the same log."""

    signer: note.Signer
    salt: str = ""
    leaves: int = 64

    @property
    def origin(self) -> str:
        return self.signer.name

    def hashes(self, size: int) -> list[bytes]:
        return [hashlib.sha256(f"{self.salt}{at}".encode()).digest() for at in range(size)]

    def text(self, size: int) -> str:
        root = merkle.root(self.hashes(size))
        return checkpoint.format(Checkpoint(origin=self.origin, size=size, root=root))

    def signed(self, size: int) -> str:
        return note.sign(self.text(size), [self.signer])

    def proof(self, old: int, new: int) -> tuple[bytes, ...]:
        leaves = self.hashes(new)
        return merkle.consistency_path(
            old, new, lambda height, at: merkle.root(leaves[at << height : (at + 1) << height])
        )

    def body(self, old: int, new: int, proof: tuple[bytes, ...] | None = None, signed: str | None = None) -> bytes:
        """What the log sends to a witness that cosigned `old` last."""
        made = submission.AddCheckpoint(
            old_size=old,
            proof=self.proof(old, new) if proof is None else proof,
            signed=self.signed(new) if signed is None else signed,
        )
        return submission.format(made)


def tree(name: str = "log.example/a", seed: bytes = b"l" * 32, salt: str = "") -> Tree:
    return Tree(signer=note.Signer(name, seed), salt=salt)
