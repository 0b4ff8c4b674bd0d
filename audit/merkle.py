"""The Merkle tree of RFC 6962: hashes, roots, inclusion and consistency, computed and verified.

A node of height h and index i is the root of the perfect subtree over the leaves [i << h, (i + 1) << h).
A tree of size n is the perfect subtrees of n's binary decomposition, largest first: its frontier. The
frontier is all that is needed to extend the tree and to prove what is being added to it.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from audit.errors import AuditError, ConsistencyInvalid, InclusionInvalid, Malformed
from traceability.marks import implements

Hash = bytes
Frontier = tuple[bytes, ...]
"""Roots of a tree's perfect subtrees, largest first; one for each bit set in its size."""
Node = Callable[[int, int], bytes]
"""(height, index) -> hash of that perfect subtree."""

HASH_BYTES: Final = 32
MAX_SIZE: Final = 2**63 - 1  # what a PostgreSQL bigint and the 64 levels of C2SP tlog-tiles can count
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()  # RFC 6962 section 2.1: MTH({}) = SHA-256()

_sha256 = hashlib.sha256


@implements("REQ-LED-008")
def leaf_hash(record: bytes) -> bytes:
    # RFC 6962 section 2.1: MTH({d(0)}) = SHA-256(0x00 || d(0))
    return _sha256(b"\x00" + record).digest()


@implements("REQ-LED-008")
def node_hash(left: bytes, right: bytes) -> bytes:
    # RFC 6962 section 2.1: MTH(D[n]) = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n]))
    return _sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root of the tree whose leaf hashes these are, in order; `EMPTY_ROOT` for none.

    Raises `Malformed` for anything but a sequence of hashes.
    """
    _require_hashes(Malformed, "root", leaf_hashes)
    return frontier_root(len(leaf_hashes), extend(0, (), leaf_hashes))


@implements("REQ-LED-008")
def extend(size: int, frontier: Frontier, leaf_hashes: Sequence[bytes]) -> Frontier:
    """The frontier of the tree of `size` after `leaf_hashes` were added at its end.

    Requires `len(frontier)` to be the number of bits set in `size`.
    """
    _require_frontier(size, frontier)
    stack = list(frontier)
    for leaf in leaf_hashes:
        node = leaf
        # As many subtrees are complete and merge as the size has trailing ones.
        position = size
        while position & 1:
            node = _sha256(b"\x01" + stack.pop() + node).digest()
            position >>= 1
        stack.append(node)
        size += 1
    return tuple(stack)


def frontier_root(size: int, frontier: Frontier) -> bytes:
    """The root of the tree of `size`: its perfect subtrees folded from the smallest up (RFC 6962, 2.1)."""
    _require_frontier(size, frontier)
    if not frontier:
        return EMPTY_ROOT
    folded = frontier[-1]
    for subtree in reversed(frontier[:-1]):
        folded = node_hash(subtree, folded)
    return folded


@implements("REQ-LED-008")
class BatchTree:
    """A tree to whose end one batch was added, and the inclusion path of each record of that batch.

    Frontier and batch leaves suffice: every sibling of an ancestor of a new leaf is either completed by the
    batch or was a root of the frontier. Each node is hashed once for the whole batch.
    """

    __slots__ = ("_first", "_levels", "_tails", "frontier", "root", "size")

    def __init__(self, size: int, frontier: Frontier, leaves: Sequence[bytes]) -> None:
        _require_frontier(size, frontier)
        self._first = size
        self.size = size + len(leaves)
        # _levels[h]: the nodes of height h from index (size >> h + 1) << 1, which is even: the root that the
        # old frontier has at this height, if any, then the nodes that the batch completed.
        self._levels: list[list[bytes]] = []
        pending, made = list(frontier), list(leaves)
        after: list[bytes] = []
        for height in range(self.size.bit_length()):
            if size >> height & 1:
                made.insert(0, pending.pop())
            self._levels.append(made)
            if self.size >> height & 1:
                after.append(made[-1])
            made = [node_hash(made[at], made[at + 1]) for at in range(0, len(made) - 1, 2)]
        after.reverse()
        self.frontier: Frontier = tuple(after)
        self._tails = self._above(after)

    def _above(self, frontier: list[bytes]) -> dict[int, tuple[bytes, ...]]:
        """For each height in the frontier: the path from that subtree's root up to the tree's root."""
        heights = [height for height in range(self.size.bit_length()) if self.size >> height & 1]
        heights.reverse()
        tails: dict[int, tuple[bytes, ...]] = {}
        folded: bytes | None = None
        for position in range(len(frontier) - 1, -1, -1):
            right = () if folded is None else (folded,)
            tails[heights[position]] = right + tuple(reversed(frontier[:position]))
            folded = frontier[position] if folded is None else node_hash(frontier[position], folded)
        self.root = EMPTY_ROOT if folded is None else folded
        return tails

    def path(self, index: int) -> tuple[bytes, ...]:
        """The inclusion path of record `index` in the tree of `size`, leaf's sibling first.

        Requires the record to be one of this batch.
        """
        if not self._first <= index < self.size:
            raise IndexError(f"record {index} is not of the batch [{self._first}, {self.size})")
        # The subtree of the frontier that holds the leaf: index and size differ first at its height.
        top = (index ^ self.size).bit_length() - 1
        path = []
        for height in range(top):
            base = self._first >> height + 1 << 1
            path.append(self._levels[height][(index >> height ^ 1) - base])
        return (*path, *self._tails[top])


@implements("REQ-AUD-008")
def verify_inclusion(leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """The leaf is record `index` of the tree of `size` under `root`. RFC 9162 section 2.1.3.2.

    Raises `InclusionInvalid` otherwise, also for what is no count, no hash and no sequence of hashes.
    """
    _require_counts(InclusionInvalid, "inclusion", index, size)
    _require_hashes(InclusionInvalid, "inclusion", (leaf_hash, root))
    _require_hashes(InclusionInvalid, "inclusion", path)
    # 1. index is within the tree.
    if index >= size:
        raise InclusionInvalid(f"inclusion: index {index} is not in a tree of {size}")
    # 2.-4. Fold the path, left or right as the index says; the last node of a level may have no sibling.
    fn, sn, folded = index, size - 1, leaf_hash
    for sibling in path:
        if sn == 0:
            raise InclusionInvalid(f"inclusion: {len(path)} hashes, more than index {index} of {size} has")
        if fn & 1 or fn == sn:
            folded = node_hash(sibling, folded)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            folded = node_hash(folded, sibling)
        fn, sn = fn >> 1, sn >> 1
    # 5. The path ends at the root, and it is the root that was given.
    if sn != 0:
        raise InclusionInvalid(f"inclusion: {len(path)} hashes, fewer than index {index} of {size} has")
    if folded != root:
        raise InclusionInvalid(f"inclusion: expected root {root.hex()}, got {folded.hex()} from the path")


@implements("REQ-AUD-009")
def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """The tree of `new_size` holds the tree of `old_size` as its beginning. RFC 9162 section 2.1.4.2.

    The empty tree begins every tree. Raises `ConsistencyInvalid` otherwise, also for what is no count, no hash
    and no sequence of hashes.
    """
    _require_counts(ConsistencyInvalid, "consistency", old_size, new_size)
    _require_hashes(ConsistencyInvalid, "consistency", path)
    if old_size > new_size:
        raise ConsistencyInvalid(f"consistency: sizes {old_size} and {new_size} are not in order")
    for size, claimed in ((old_size, old_root), (new_size, new_root)):
        if size == 0 and claimed != EMPTY_ROOT:
            raise ConsistencyInvalid("consistency: the root of an empty tree is SHA-256 of nothing")
    if old_size != new_size:
        _require_hashes(ConsistencyInvalid, "consistency", (old_root, new_root))
    elif not isinstance(old_root, bytes) or not isinstance(new_root, bytes) or old_root != new_root:
        # One tree is consistent with itself whatever its root: so say the vectors of transparency-dev/merkle, one of
        # which has roots of 12 bytes. That a root is one of ours is for the checkpoint to say that states it.
        raise ConsistencyInvalid(f"consistency: two roots for one size, {old_size}")
    if old_size in (0, new_size):
        if path:
            raise ConsistencyInvalid("consistency: a path where none is needed")
        return
    if not path:
        raise ConsistencyInvalid(f"consistency: no path from {old_size} to {new_size}")
    # 2. A perfect old tree is itself the first node of the path.
    nodes = list(path) if old_size & (old_size - 1) else [old_root, *path]
    # 3.-4. Start at the old tree's last node, above what both trees share completely.
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    # 5.-6. Fold both roots from the same nodes.
    old_folded = new_folded = nodes[0]
    for sibling in nodes[1:]:
        if sn == 0:
            raise ConsistencyInvalid(f"consistency: {len(path)} hashes, more than {old_size} to {new_size} has")
        if fn & 1 or fn == sn:
            old_folded, new_folded = node_hash(sibling, old_folded), node_hash(sibling, new_folded)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            new_folded = node_hash(new_folded, sibling)
        fn, sn = fn >> 1, sn >> 1
    # 7. Both are reached, and the path is used up exactly.
    if sn != 0:
        raise ConsistencyInvalid(f"consistency: {len(path)} hashes, fewer than {old_size} to {new_size} has")
    if old_folded != old_root:
        raise ConsistencyInvalid(f"consistency: expected old root {old_root.hex()}, got {old_folded.hex()}")
    if new_folded != new_root:
        raise ConsistencyInvalid(f"consistency: expected new root {new_root.hex()}, got {new_folded.hex()}")


def frontier_needs(size: int) -> list[tuple[int, int]]:
    """(height, index) of the perfect subtrees of the tree of `size`, largest first."""
    return _perfect(0, size)


def inclusion_needs(index: int, size: int) -> list[tuple[int, int]]:
    """(height, index) of every perfect subtree that `inclusion_path` asks for."""
    return [wanted for group in _inclusion_groups(index, size) for wanted in group]


def consistency_needs(old: int, new: int) -> list[tuple[int, int]]:
    """(height, index) of every perfect subtree that `consistency_path` asks for."""
    return [wanted for group in _consistency_groups(old, new) for wanted in group]


def inclusion_path(index: int, size: int, node: Node) -> tuple[bytes, ...]:
    """The inclusion path of record `index` in the tree of `size`: PATH(m, D[n]) of RFC 9162 section 2.1.3.1."""
    return tuple(_fold(group, node) for group in _inclusion_groups(index, size))


@implements("REQ-AUD-009")
def consistency_path(old: int, new: int, node: Node) -> tuple[bytes, ...]:
    """The consistency path between the trees of `old` and `new`: PROOF(m, D[n]) of RFC 9162 section 2.1.4.1.

    Empty where `old` is 0 or `new`, as `verify_consistency` wants it.
    """
    return tuple(_fold(group, node) for group in _consistency_groups(old, new))


def _inclusion_groups(index: int, size: int) -> list[list[tuple[int, int]]]:
    """One group of perfect subtrees for each hash of the path; a group is folded to that hash."""
    if not 0 <= index < size:
        raise IndexError(f"record {index} is not in a tree of {size}")
    groups = []
    first, end = 0, size
    while end - first > 1:
        # PATH(m, D[n]) = PATH(m, D[0:k]) : MTH(D[k:n]) or PATH(m - k, D[k:n]) : MTH(D[0:k])
        split = first + _split(end - first)
        if index < split:
            groups.append(_perfect(split, end))
            end = split
        else:
            groups.append(_perfect(first, split))
            first = split
    groups.reverse()
    return groups


def _consistency_groups(old: int, new: int) -> list[list[tuple[int, int]]]:
    if not 0 <= old <= new:
        raise IndexError(f"sizes {old} and {new} are not in order")
    if old in (0, new):
        return []
    groups = []
    first, end = 0, new
    while end != old:
        # SUBPROOF(m, D[n], b), recursing into the half that the old tree ends in.
        split = first + _split(end - first)
        if old <= split:
            groups.append(_perfect(split, end))
            end = split
        else:
            groups.append(_perfect(first, split))
            first = split
    if first != 0:  # b is false: the old tree's last part is not its root, which the verifier already has
        groups.append(_perfect(first, end))
    groups.reverse()
    return groups


def _perfect(first: int, end: int) -> list[tuple[int, int]]:
    """The perfect subtrees that cover [first, end), largest first. Requires first to be aligned for them."""
    found = []
    while first < end:
        height = (end - first).bit_length() - 1
        assert first & ((1 << height) - 1) == 0
        found.append((height, first >> height))
        first += 1 << height
    return found


def _fold(group: list[tuple[int, int]], node: Node) -> bytes:
    folded = node(*group[-1])
    for wanted in reversed(group[:-1]):
        folded = node_hash(node(*wanted), folded)
    return folded


def _split(count: int) -> int:
    """k of RFC 6962 section 2.1: the largest power of two smaller than count. Requires count > 1."""
    return 1 << (count - 1).bit_length() - 1


def _require_frontier(size: int, frontier: Frontier) -> None:
    if size < 0 or len(frontier) != size.bit_count():
        raise ValueError(f"a tree of {size} does not have a frontier of {len(frontier)} hashes")


def _require_counts(error: type[AuditError], what: str, *counts: int) -> None:
    """Integers and nothing that only behaves like one; bounded, so that no message is as long as its number."""
    if any(type(count) is not int or not 0 <= count <= MAX_SIZE for count in counts):
        raise error(f"{what}: an index or size is an integer from 0 to {MAX_SIZE}")


def _require_hashes(error: type[AuditError], what: str, hashes: Sequence[bytes]) -> None:
    if not isinstance(hashes, Sequence) or isinstance(hashes, str | bytes | bytearray | memoryview):
        raise error(f"{what}: expected a sequence of hashes")
    if any(not isinstance(value, bytes) or len(value) != HASH_BYTES for value in hashes):
        raise error(f"{what}: every hash has {HASH_BYTES} bytes")
