"""Batches, and how far a ledger reaches: what a reader gives of them.

Pure.
"""

from msgspec import Struct

from traceability.marks import implements


class Batch(Struct, frozen=True, kw_only=True):
    """One committed batch: [first, size), the chain hash after it and the frontier at `size`."""

    first: int
    size: int
    chain: bytes
    frontier: tuple[bytes, ...]


class Stray(Struct, frozen=True, kw_only=True):
    """A record that is stored where the ledger has none."""

    index: int
    leaf: bytes
    """The leaf hash of its bytes."""


@implements("REQ-AUD-012")
class Extent(Struct, frozen=True, kw_only=True):
    """How far a ledger reaches, and what is stored outside of it, all at one moment.

    `ledger.append` leaves nothing outside. Lists are cut at 1,000.
    """

    batched: int
    """Where the last batch ends that an append could have written."""
    end: int
    """Where the ledger ends: at `batched`, or with the records that follow it without a gap."""
    stored_end: int
    """Where the last record ends, of those below `end`."""
    records: tuple[Stray, ...] = ()
    """Records below 0 or beyond `end`."""
    batches: tuple[Batch, ...] = ()
    """Batch rows of sizes below 1 or beyond `end`."""
    nodes: tuple[tuple[int, int, bytes], ...] = ()
    """(height, index, hash) of subtrees that no tree of `end` records has."""
    checkpoints: tuple[tuple[int, bytes], ...] = ()
    """Published checkpoints of sizes below 1 or beyond `end`."""
    policies: int = 0
    """How many policies are not those of their digests."""

    @property
    def clean(self) -> bool:
        """Whether nothing is missing at the end, and nothing is stored outside."""
        outside = (self.records, self.batches, self.nodes, self.checkpoints)
        return not any(outside) and not self.policies and self.batched == self.stored_end == self.end
