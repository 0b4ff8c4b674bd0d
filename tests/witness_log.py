"""A log for a witness to watch: any number of made-up leaves, its signed checkpoints and its proofs."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from audit import checkpoint, merkle, note, submission
from audit.checkpoint import Checkpoint
from audit.cosignature import ALGORITHM_ML_DSA_44, Cosigner
from audit.witness import folder
from audit.witness.logs import Log
from audit.witness.witness import Witness


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


LOG, OTHER, FORKED = tree(), tree("log.example/b", b"b" * 32), tree(salt="forked")
ED = Cosigner("witness.example/w1", b"1" * 32)
PQ = Cosigner("witness.example/w1", b"2" * 32, ALGORITHM_ML_DSA_44)
NOW_S = 1_790_000_000


class Begun:
    """A witness's state in a folder, and a clock that stands where it was put. Each call is another process."""

    def __init__(self, path: Path) -> None:
        self.path, self.now_s = path, NOW_S

    def __call__(
        self,
        *cosigners: Cosigner,
        keys: tuple[note.Verifier, ...] = (LOG.signer.verifier,),
        lock_deadline_ms: int = 2_000,
        fresh_s: int = 0,
        admits: Callable[[str], bool] = lambda _: True,
    ) -> Witness:
        cosigners = cosigners or (ED,)
        verifiers = [cosigner.verifier for cosigner in cosigners]
        if not self.path.exists():
            folder.create_state(self.path, verifiers)
        state = folder.open_state(self.path, verifiers, lock_deadline_ms=lock_deadline_ms)
        known = [
            Log(origin=LOG.origin, keys=keys),
            Log(origin=OTHER.origin, keys=(OTHER.signer.verifier,)),
        ]
        return Witness(
            {log.origin: log for log in known},
            cosigners,
            state,
            lambda: self.now_s,
            admits,
            clock_tolerance_s=60,
            max_kept_conflicts=2,
            fresh_s=fresh_s,
        )
