"""Whether leaf hashes lead from a state that is believed to what is claimed of a later size.

Chain and tree are told apart: who recomputes one of them after an edit and not the other is found out by the other.
A hash that is reached is proof that these were the leaves, in this order; one that is not says nothing of which.

Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from audit import chain, merkle
from audit.claims import Claim, State, parts_of
from traceability.marks import implements

Track = Literal["chain", "tree"]


class Outcome(Struct, frozen=True, kw_only=True):
    """What leaves give. None where nothing is claimed."""

    leaves: tuple[bytes, ...]
    after: State
    chain: bool | None
    tree: bool | None
    signed: bool | None
    """Whether a signed root of that size is reached."""

    @property
    def whole(self) -> bool:
        return self.chain is not False and self.tree is not False

    @property
    def weight(self) -> int:
        """How much speaks for these leaves: what was signed outweighs the tree, and that the chain."""
        return 4 * (self.signed is True) + 2 * (self.tree is True) + (self.chain is True)

    @property
    def failing(self) -> tuple[Track, ...]:
        found: list[Track] = []
        if self.chain is False:
            found.append("chain")
        if self.tree is False:
            found.append("tree")
        return tuple(found)


@implements("REQ-AUD-013")
class Trial:
    """From `state` to `claim`."""

    def __init__(self, state: State, claim: Claim) -> None:
        self.state, self.claim = state, claim
        self.count = claim.size - state.size

    def outcome(self, leaves: Sequence[bytes]) -> Outcome:
        after, batch = self.state.after(leaves), self.claim.batch
        right_size = len(leaves) == self.count
        return Outcome(
            leaves=tuple(leaves),
            after=after,
            chain=None if batch is None else right_size and after.chain == batch.chain,
            tree=None if batch is None else right_size and after.frontier == batch.frontier,
            signed=None
            if not self.claim.signed
            else right_size and after.root in {one.root for one in self.claim.signed},
        )

    def reaches(self, leaves: Sequence[bytes], tracks: Sequence[Track]) -> bool:
        """Whether `leaves` reach what every one of `tracks` claims."""
        batch = self.claim.batch
        assert batch is not None
        if len(leaves) != self.count or not tracks:
            return False
        if "chain" in tracks and chain.extend(self.state.chain, leaves) != batch.chain:
            return False
        return "tree" not in tracks or merkle.extend(self.state.size, self.state.frontier, leaves) == batch.frontier

    def differing(self, leaves: Sequence[bytes | None]) -> list[tuple[int, int]]:
        """Where the claimed tree is of other leaves than these: the narrowest records [first, end) that it tells.

        A leaf that is not there makes its part of the tree differ. The leaves may be fewer.
        """
        start, batch = self.state.size, self.claim.batch
        if batch is None or len(batch.frontier) != self.claim.size.bit_count():
            return [(start, self.claim.size)]
        found = []
        for (first, end), claimed in zip(parts_of(self.claim.size), batch.frontier, strict=True):
            if end > start and self._part(first, end, leaves) != claimed:
                found.append((max(first, start), end))
        return found

    def _part(self, first: int, end: int, leaves: Sequence[bytes | None]) -> bytes | None:
        """The hash over the records [first, end), a perfect subtree that ends after the state."""
        start = self.state.size
        within = leaves[max(first, start) - start : end - start]
        known = [leaf for leaf in within if leaf is not None]
        if len(known) != end - max(first, start):
            return None
        below = [
            hash_
            for (at, _), hash_ in zip(parts_of(start), self.state.frontier, strict=True)
            if first <= at  # what of the old tree lies under this part
        ]
        extended = merkle.extend(max(start - first, 0), tuple(below) if start > first else (), known)
        return extended[0] if len(extended) == 1 else None


@implements("REQ-AUD-013")
class Patched:
    """The tree after `leaves`, in which some may be replaced: only what is above them is hashed again."""

    def __init__(self, trial: Trial, leaves: Sequence[bytes]) -> None:
        self._first = trial.state.size
        self._size = self._first + len(leaves)
        pending, made = list(trial.state.frontier), list(leaves)
        self._levels: list[list[bytes]] = []  # as in `merkle.BatchTree`
        for height in range(self._size.bit_length()):
            if self._first >> height & 1:
                made.insert(0, pending.pop())
            self._levels.append(made)
            made = [merkle.node_hash(made[at], made[at + 1]) for at in range(0, len(made) - 1, 2)]

    def put(self, index: int, leaf: bytes) -> None:
        """The record at `index` has this leaf hash from now on."""
        for height, level in enumerate(self._levels):
            at = index - (self._first >> height + 1 << 1)
            level[at] = leaf
            other = at ^ 1  # the base is even
            if other >= len(level):
                return
            leaf = merkle.node_hash(*((leaf, level[other]) if at < other else (level[other], leaf)))
            index >>= 1

    def frontier(self, replaced: Mapping[int, bytes]) -> tuple[bytes, ...]:
        """The frontier if the records at these indices had these leaf hashes."""
        after: list[bytes] = []
        current = dict(replaced)
        for height, level in enumerate(self._levels):
            base = self._first >> height + 1 << 1
            if self._size >> height & 1:
                after.append(current.get((self._size >> height) - 1, level[-1]))
            above = {}
            for at, hash_ in current.items():
                other = at ^ 1
                if max(at, other) - base < len(level):
                    sibling = current.get(other, level[other - base])
                    pair = (hash_, sibling) if at < other else (sibling, hash_)
                    above[at >> 1] = merkle.node_hash(*pair)
            current = above
        return tuple(reversed(after))


def without(leaves: Sequence[bytes], first: int, count: int) -> list[bytes]:
    return [*leaves[:first], *leaves[first + count :]]


def spans(indices: Iterable[int]) -> list[tuple[int, int]]:
    """Indices as runs [first, end)."""
    found: list[tuple[int, int]] = []
    for index in indices:
        if found and found[-1][1] == index:
            found[-1] = (found[-1][0], index + 1)
        else:
            found.append((index, index + 1))
    return found
