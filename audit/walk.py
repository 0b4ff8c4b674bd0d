"""Recomputing a stretch of the ledger: every record, leaf, chain link, subtree, batch and anchored root.

A walk begins at a multiple of 256 records with the state there and goes on in whole tiles. If the state at
its start is right, then everything it passed is, or it has said what is not: so a ledger can be verified in
stretches, by several processes, each of which begins where another ends.

Pure: rows come in, findings come out.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

from msgspec import Struct

from audit import merkle, packed, record
from audit.derived import columns_of
from audit.errors import Malformed
from audit.packed import TILE, Tile
from audit.ports import Batch, Row
from traceability.marks import implements

Fault = Literal[
    "record_edited",
    "hash_edited",
    "derived_column",
    "deleted",
    "inserted",
    "truncated",
    "suffix_rewritten",
    "wrong_key",
    "forked",
    "time",
]


class Found(Struct, frozen=True, kw_only=True):
    """One thing that is wrong: its class, the records [first, end) that it lies in, and words for a person."""

    fault: Fault
    first: int
    end: int
    message: str


class Expected(Struct, frozen=True, kw_only=True):
    """What the stretch is held to: its batches and stored subtree hashes, and roots signed outside of it."""

    batches: Sequence[Batch]
    nodes: dict[tuple[int, int], bytes]
    covered: int
    """Where the last batch before the walk's start ends."""
    final: bool
    """Whether the ledger ends where the walk does: then no record may be left without a batch."""
    roots: dict[int, bytes]
    """Tree size -> root of an anchored checkpoint, for sizes after the walk's start."""
    tolerance_us: int
    """How far a record's clock may be behind an earlier record's (record 0's `clock_tolerance_us`)."""


class Walk:
    """Feed it rows in order with `tile`, then `close`; read `found`."""

    def __init__(
        self, *, size: int, frontier: tuple[bytes, ...], chain: bytes, expected: Expected, schema: bool
    ) -> None:
        """`schema` also decodes each record and compares its search columns; without it, hashes alone."""
        assert size % TILE == 0, "a walk begins at a tile"
        self.size = size
        self.found: list[Found] = []
        self._upper = list(frontier)
        self._chain = chain
        self._expected = expected
        self._schema = schema
        self._batches = iter(expected.batches)
        self._batch = next(self._batches, None)
        self._roots = sorted(expected.roots)
        self._at_root = 0
        self._seen_nodes = 0
        self._agreed = size
        self._latest_us = 0
        self._covered = expected.covered

    @implements("REQ-AUD-013")
    def tile(self, rows: Sequence[Row], end: int) -> bool:
        """The records [size, end), at most 256, fewer only at the ledger's end; False where one is missing.

        Then the walk is over: nothing after a gap can be told from what was rewritten.
        """
        there = {row[0] for row in rows}
        missing = [at for at in range(self.size, end) if at not in there]
        if missing:
            self._report("deleted", missing[0], missing[-1] + 1, f"record {missing[0]} is missing")
            return False
        self._advance(self._leaves(rows))
        return True

    def accept(self, tile: Tile, end: int) -> bool:
        """Whether the records [size, end), at most 256, are as they must be: then they are passed.

        Where they are not, nothing is reported and nothing changes: `tile` says what is wrong with which of them.
        """
        judged = packed.judge(tile, self.size, end, schema=self._schema)
        if judged is None or not self._in_time(judged.clocks):
            return False
        self._advance(judged.leaves)
        return True

    @implements("REQ-AUD-016")
    def _in_time(self, clocks: Sequence[int]) -> bool:
        """Whether no clock is too far behind an earlier one; then the latest is noted."""
        if not clocks:
            return True
        tolerance, latest = self._expected.tolerance_us, self._latest_us
        if min(clocks) < max(latest, *clocks) - tolerance:  # perhaps: it may be that one is far ahead of those before
            for moment in clocks:
                if latest - moment > tolerance:
                    return False
                latest = max(latest, moment)
        self._latest_us = max(self._latest_us, *clocks)
        return True

    def _advance(self, leaves: list[bytes]) -> None:
        """Chain, tree, batches and anchored roots over one tile's leaf hashes."""
        levels = [leaves]
        while len(levels[-1]) > 1:
            below = levels[-1]
            pairs = zip(below[::2], below[1::2], strict=False)  # the last of an odd number has no sibling yet
            levels.append([sha256(b"\x01" + left + right).digest() for left, right in pairs])
        self._boundaries(levels, leaves)
        self.size += len(leaves)
        if len(leaves) == TILE:
            self._complete(levels[8][0])

    @implements("REQ-AUD-013")
    def close(self) -> None:
        """After the last tile: nothing that was expected may be left over."""
        if self._expected.final and self._covered < self.size:
            self._report("inserted", self._covered, self.size, f"records from {self._covered} belong to no batch")
        if self._batch is not None:
            self._report("deleted", self.size, self._batch.size, f"a batch ends at {self._batch.size}, no record does")
        if self._seen_nodes != len(self._expected.nodes):
            self._report("hash_edited", self.size, self.size, "subtree hashes are stored that belong to no record")

    def _leaves(self, rows: Sequence[Row]) -> list[bytes]:
        """Each record's leaf hash, recomputed; whatever is stored beside the record is compared with it."""
        leaves = []
        for row in rows:
            index, event_id, body, stored = row[:4]
            leaf = sha256(b"\x00" + body).digest()
            leaves.append(leaf)
            if stored != leaf:
                self._report("hash_edited", index, index + 1, f"record {index}: its leaf hash is not that of its bytes")
            if self._schema:
                self._check_columns(index, event_id, body, row[4:])
        return leaves

    @implements("REQ-AUD-016")
    def _check_columns(self, at: int, event_id: str, body: bytes, columns: tuple[object, ...]) -> None:
        try:
            entry = record.decode(body)
        except Malformed:
            self._report("record_edited", at, at + 1, f"record {at}: its bytes are not a record's")
            return
        if columns != columns_of(entry) or entry.event_id != event_id:
            self._report("derived_column", at, at + 1, f"record {at}: a search column is not what the record says")
        moment = entry.recorded_at_us
        if moment > self._latest_us:
            self._latest_us = moment
        elif self._latest_us - moment > self._expected.tolerance_us:
            self._report("time", at, at + 1, f"record {at}: its clock is {self._latest_us - moment} us behind")
            self._latest_us = moment  # one finding for each step back, not for each record after it

    @implements("REQ-AUD-012")
    def _boundaries(self, tile: list[list[bytes]], leaves: list[bytes]) -> None:
        """Walk the chain through the tile; compare state at each batch's end and root at each anchor."""
        end = self.size + len(leaves)
        linked, done = self._chain, 0
        while self._batch is not None and self._batch.size <= end:
            upto = self._batch.size - self.size
            for leaf in leaves[done:upto]:
                linked = sha256(b"\x02" + linked + leaf).digest()
            done = upto
            self._check_batch(self._batch, linked, self._frontier(tile, upto))
            self._batch = next(self._batches, None)
        for leaf in leaves[done:]:
            linked = sha256(b"\x02" + linked + leaf).digest()
        self._chain = linked
        while self._at_root < len(self._roots) and self._roots[self._at_root] <= end:
            size = self._roots[self._at_root]
            self._check_root(size, self._frontier(tile, size - self.size))
            self._at_root += 1

    def _check_batch(self, batch: Batch, linked: bytes, frontier: tuple[bytes, ...]) -> None:
        if batch.first != self._covered:
            self._report("deleted", self._covered, batch.first, f"no batch begins at {self._covered}")
        self._covered = batch.size
        if batch.chain != linked:
            self._report("hash_edited", batch.first, batch.size, f"batch at {batch.first}: its chain hash differs")
        if batch.frontier != frontier:
            self._report("hash_edited", batch.first, batch.size, f"batch at {batch.first}: its frontier differs")

    def _check_root(self, size: int, frontier: tuple[bytes, ...]) -> None:
        if merkle.frontier_root(size, frontier) == self._expected.roots[size]:
            self._agreed = size
            return
        self._report(
            "suffix_rewritten",
            self._agreed,
            size,
            f"the tree of {size} records is not the anchored one; the last that agrees has {self._agreed}",
        )

    def _frontier(self, tile: list[list[bytes]], count: int) -> tuple[bytes, ...]:
        """The frontier of everything so far and the first `count` leaves of the current tile."""
        if count == TILE:
            upper = list(self._upper)
            _push(upper, self.size // TILE, tile[8][0])
            return tuple(upper)
        within = (tile[height][(count >> height) - 1] for height in range(7, -1, -1) if count >> height & 1)
        return (*self._upper, *within)

    def _complete(self, hash_: bytes) -> None:
        """A tile is whole: it joins the upper frontier; each stored subtree that it completes is compared."""
        index = self.size // TILE - 1
        for height, place, node in _push(self._upper, index, hash_):
            if height % 8:
                continue
            self._seen_nodes += 1
            if self._expected.nodes.get((height, place)) != node:
                first = place << height
                self._report("hash_edited", first, first + (1 << height), f"subtree {height}/{place} differs")

    def _report(self, fault: Fault, first: int, end: int, message: str) -> None:
        self.found.append(Found(fault=fault, first=first, end=end, message=message))


def _push(upper: list[bytes], index: int, hash_: bytes) -> list[tuple[int, int, bytes]]:
    """Add tile `index` to the upper frontier; every subtree that this completes, as (height, index, hash)."""
    height, made = 8, [(8, index, hash_)]
    while index & 1:
        hash_ = merkle.node_hash(upper.pop(), hash_)
        index >>= 1
        height += 1
        made.append((height, index, hash_))
    upper.append(hash_)
    return made
