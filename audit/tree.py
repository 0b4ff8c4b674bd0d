"""The Merkle tree as a reader's database holds it: hashes of subtrees, roots and proofs at any size.

The database keeps every leaf hash and each completed subtree hash of heights 8, 16, 24 ...; any other
subtree is at most 255 hashes away. Nothing here is trusted: callers compare with a signed checkpoint.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from audit import merkle
from audit.errors import Altered
from audit.ports import Reader

TILE_HEIGHT: Final = 8  # C2SP tlog-tiles: tiles are 8 levels high

Place = tuple[int, int]
"""(height, index) of a perfect subtree: it covers the leaves [index << height, (index + 1) << height)."""


async def subtrees(reader: Reader, wanted: Iterable[Place]) -> dict[Place, bytes]:
    """The hash of each perfect subtree in `wanted`. Raises `Altered` where the database lacks one."""
    return {place: await _subtree(reader, *place) for place in wanted}


async def _subtree(reader: Reader, height: int, index: int) -> bytes:
    below = height % TILE_HEIGHT
    base = height - below
    first, end = index << below, (index + 1) << below
    if base == 0:
        row: Sequence[bytes] = await reader.leaf_hashes(first, end)
    else:
        found = await reader.nodes([(base, place) for place in range(first, end)])
        row = [found[base, place] for place in range(first, end) if (base, place) in found]
    if len(row) != end - first:
        raise Altered(f"tree: hashes of height {base} are missing in [{first}, {end}); restore the database")
    while len(row) > 1:
        row = [merkle.node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


async def frontier(reader: Reader, size: int) -> tuple[bytes, ...]:
    """The frontier of the tree of the first `size` records."""
    needs = merkle.frontier_needs(size)
    found = await subtrees(reader, needs)
    return tuple(found[place] for place in needs)


async def inclusion(reader: Reader, index: int, size: int) -> tuple[bytes, ...]:
    """The inclusion path of record `index` in the tree of the first `size` records."""
    found = await subtrees(reader, merkle.inclusion_needs(index, size))
    return merkle.inclusion_path(index, size, lambda height, place: found[height, place])


async def consistency(reader: Reader, old: int, new: int) -> tuple[bytes, ...]:
    """The proof that the tree of the first `new` records extends that of the first `old`."""
    found = await subtrees(reader, merkle.consistency_needs(old, new))
    return merkle.consistency_path(old, new, lambda height, place: found[height, place])
