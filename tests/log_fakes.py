"""A log of any size in memory, made without its records' schema: what is read of it is bytes and hashes alone."""

from uuid import UUID

from audit import checkpoint, merkle, note, receipt
from audit.checkpoint import Checkpoint
from audit.memory import MemoryDatabase, MemoryReader
from audit.ports import Batch, Cosigned, Stored
from audit.receipt import Policy

ORIGIN = "log.example/served"


def body(index: int) -> bytes:
    """A record's bytes; they are of no kind, for nothing here looks into them."""
    return b'{"record":%d}' % index


def leaf(index: int) -> bytes:
    return merkle.leaf_hash(body(index))


class CountingReader(MemoryReader):
    """A reader that counts the questions for hashes."""

    questions = 0

    async def hashes(self, stretches):
        self.questions += 1
        return await super().hashes(stretches)


class Served:
    """The database of a log of `size` records, its key, and a reader. Nothing is signed before `sign`."""

    def __init__(self, size: int) -> None:
        self.database = MemoryDatabase()
        self.reader = CountingReader(self.database)
        self.signer = note.Signer(ORIGIN, b"s" * 32)
        self.frontier: tuple[bytes, ...] = ()
        self.grow(size)

    @property
    def size(self) -> int:
        return len(self.database.stored)

    def grow(self, size: int) -> None:
        """Up to `size` records, in one batch."""
        first = self.size
        made = [Stored(index=at, event_id=UUID(int=at), body=body(at), leaf_hash=leaf(at)) for at in range(first, size)]
        self.frontier = merkle.extend(first, self.frontier, [one.leaf_hash for one in made])
        self.database.stored += made
        for height in (8, 16):
            row = self._row(height)
            for index in range(first >> height, size >> height):
                self.database.subtrees[height, index] = merkle.root(row[index << 8 : (index + 1) << 8])
        if made:
            self.database.batches.append(Batch(first=first, size=size, chain=b"", frontier=self.frontier))

    def _row(self, height: int) -> list[bytes]:
        """All hashes one tile's height below `height`."""
        if height == 8:
            return [one.leaf_hash for one in self.database.stored]
        return [self.database.subtrees[height - 8, at] for at in range(self.size >> height - 8)]

    def sign(self) -> str:
        """Publish the checkpoint of the present size; its text."""
        root = merkle.frontier_root(self.size, self.frontier)
        signed = self.signed(Checkpoint(origin=ORIGIN, size=self.size, root=root))
        self.database.checkpoints[self.size] = signed.encode()
        return signed

    def attest(self) -> str:
        """Keep a checkpoint of the present size that met a policy; its text."""
        signed = self.sign()
        text = signed + "\N{EM DASH} witness.example AAAAAAAA\n"  # a cosignature that nobody here looks into
        kept = Cosigned(size=self.size, checkpoint=text.encode(), attested=True, policy=b"", version=1)
        self.database.cosigned.append(kept)
        return text

    def opened(self, signed: bytes) -> Checkpoint:
        """The checkpoint, if the log's key signed it."""
        return receipt.open_checkpoint(signed, Policy(logs=(self.signer.verifier,))).checkpoint

    def signed(self, stated: Checkpoint) -> str:
        return note.sign(checkpoint.format(stated), (self.signer,))
