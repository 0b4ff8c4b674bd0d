"""Recomputing a stretch of the ledger: every record, leaf, chain link, subtree, batch and signed root.

A walk begins at a multiple of 256 records with the state there and goes on in whole tiles. If the state at its start is
right and it is `clean` at its end, then everything that it passed is right: so a ledger can be verified in stretches,
by several processes, each of which begins where another ends. A walk that is not clean says no more than that: what is
wrong is for `audit.explain` to find, which takes longer and looks farther.

Pure.
"""

from collections.abc import Sequence
from hashlib import sha256

from msgspec import Struct

from audit import merkle, packed
from audit.accounts import step_back
from audit.claims import Claim, State
from audit.findings import Found
from audit.packed import TILE, Tile
from traceability.marks import implements


class Before(Struct, frozen=True, kw_only=True):
    """Where a walk begins."""

    state: State
    covered: int
    """Where the last batch before ends."""
    latest_us: int
    """The clock of the records before."""


class Expected(Struct, frozen=True, kw_only=True):
    """What a stretch is held to: all that is claimed of sizes after its start, and its stored subtree hashes."""

    claims: Sequence[Claim]
    nodes: dict[tuple[int, int], bytes]
    tolerance_us: int
    """How far a record's clock may be behind an earlier record's (record 0's `clock_tolerance_us`)."""


class Walk:
    """Feed it tiles in order with `accept`, then `close`; read `clean`."""

    def __init__(self, before: Before, expected: Expected, *, schema: bool) -> None:
        """`schema` also compares each record with its schema and search columns; without it, hashes alone."""
        assert before.state.size % TILE == 0, "a walk begins at a tile"
        self.size = before.state.size
        self.clean = True
        self.steps_back: list[Found] = []
        """Where the clock went back too far: no alteration."""
        self.agreed: Claim | None = None
        """The last signed claim that was reached."""
        self.settled: State | None = None
        """The state at the last batch's end. What is after it waits for the claim of its own batch."""
        self._upper = list(before.state.frontier)
        self._chain = before.state.chain
        self._covered = before.covered
        self._latest_us = before.latest_us
        self._claims = iter(expected.claims)
        self._claim = next(self._claims, None)
        self._nodes = expected.nodes
        self._seen_nodes = 0
        self._tolerance_us = expected.tolerance_us
        self._schema = schema
        self._tile_state = before
        self._tile: list[list[bytes]] = []

    def accept(self, tile: Tile, end: int) -> bool:
        """Pass the records [size, end), at most 256, fewer only at the ledger's end; False where something is wrong."""
        judged = packed.judge(tile, self.size, end, schema=self._schema)
        if judged is None:
            self.clean = False
        else:
            self._note_steps_back(judged.clocks)
            self._advance(judged.leaves)
        return self.clean

    @implements("REQ-AUD-013")
    def close(self) -> None:
        """After the last tile: nothing that was expected may be left over."""
        if self._claim is not None or self._seen_nodes != len(self._nodes):
            self.clean = False

    @property
    def after(self) -> Before:
        """Where the next walk begins, if this one was clean."""
        within = self._frontier(self._tile, self.size % TILE) if self.size % TILE else tuple(self._upper)
        state = State(size=self.size, frontier=within, chain=self._chain)
        return Before(state=state, covered=self._covered, latest_us=self._latest_us)

    @property
    def whole(self) -> Before:
        """Where a walk may begin that looks at the last tile again, which may have been begun only."""
        return self._tile_state

    @implements("REQ-AUD-016")
    def _note_steps_back(self, clocks: Sequence[int]) -> None:
        """Report each clock that is too far behind an earlier one."""
        if not clocks:
            return
        latest = self._latest_us
        if min(clocks) >= max(latest, *clocks) - self._tolerance_us:
            self._latest_us = max(latest, *clocks)
            return
        for index, moment in enumerate(clocks, self.size):  # it may be that one is far ahead of those before
            if latest - moment > self._tolerance_us:
                self.steps_back.append(step_back(index, latest - moment))
                latest = moment  # one finding for each step back, not for each record after it
            else:
                latest = max(latest, moment)
        self._latest_us = latest

    def _advance(self, leaves: list[bytes]) -> None:
        """Chain, tree, batches and signed roots over one tile's leaf hashes."""
        levels = [leaves]
        while len(levels[-1]) > 1:
            below = levels[-1]
            pairs = zip(below[::2], below[1::2], strict=False)  # the last of an odd number has no sibling yet
            levels.append([sha256(b"\x01" + left + right).digest() for left, right in pairs])
        if len(leaves) < TILE:
            self._tile_state = self.after
        self._boundaries(levels, leaves)
        self.size += len(leaves)
        self._tile = levels
        if len(leaves) == TILE:
            self._complete(levels[8][0])
            self._tile_state = self.after

    @implements("REQ-AUD-012")
    def _boundaries(self, tile: list[list[bytes]], leaves: list[bytes]) -> None:
        """Walk the chain through the tile; compare the state wherever something is claimed of it."""
        end = self.size + len(leaves)
        linked, done = self._chain, 0
        while self._claim is not None and self._claim.size <= end:
            upto = self._claim.size - self.size
            for leaf in leaves[done:upto]:
                linked = sha256(b"\x02" + linked + leaf).digest()
            done = upto
            self._check(self._claim, linked, self._frontier(tile, upto))
            self._claim = next(self._claims, None)
        for leaf in leaves[done:]:
            linked = sha256(b"\x02" + linked + leaf).digest()
        self._chain = linked

    def _check(self, claim: Claim, linked: bytes, frontier: tuple[bytes, ...]) -> None:
        batch = claim.batch
        if batch is not None:
            if (batch.first, batch.chain, batch.frontier) != (self._covered, linked, frontier):
                self.clean = False
            self._covered = batch.size
            self.settled = State(size=batch.size, frontier=frontier, chain=linked)
        if claim.signed:
            root = merkle.frontier_root(claim.size, frontier)
            if all(one.root == root for one in claim.signed):
                self.agreed = claim
            else:
                self.clean = False

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
        for height, place, node in _push(self._upper, self.size // TILE - 1, hash_):
            if height % 8 == 0:
                self._seen_nodes += 1
                if self._nodes.get((height, place)) != node:
                    self.clean = False


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
