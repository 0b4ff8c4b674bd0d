"""The Merkle tree as a reader's database holds it: hashes of subtrees, roots, proofs and tiles at any size.

The database keeps every leaf hash and each completed subtree hash of heights 8, 16, 24 ...: these are the tiles of
C2SP tlog-tiles. Any other subtree is within one tile. Nothing here is trusted: callers compare with a signed
checkpoint, or hand it to somebody who does.
"""

from collections.abc import Iterable

from audit import merkle, tiles
from audit.errors import Altered
from audit.ports import Reader
from audit.tiles import Tile

Place = tuple[int, int]
"""(height, index) of a perfect subtree: it covers the leaves [index << height, (index + 1) << height)."""


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


async def tile(reader: Reader, wanted: Tile) -> bytes:
    """The hashes of a tile, as it is served. Requires the ledger to have it; raises `Altered` where it does not."""
    (body,) = await _stretches(reader, [(wanted.height, wanted.first, wanted.end)])
    return body


async def bundle(reader: Reader, wanted: Tile) -> bytes:
    """The records of an entry bundle, as it is served. Requires the ledger to have them; else raises `Altered`."""
    stored = [one async for one in reader.records(wanted.first, wanted.end)]
    if [one.index for one in stored] != list(range(wanted.first, wanted.end)):
        raise Altered(f"tree: records are missing in [{wanted.first}, {wanted.end}); restore the database")
    return tiles.encode_entries([one.body for one in stored])


async def subtrees(reader: Reader, wanted: Iterable[Place]) -> dict[Place, bytes]:
    """The hash of each perfect subtree in `wanted`, in one question. Raises `Altered` where the database lacks one."""
    places = list(dict.fromkeys(wanted))
    # Whatever lies in one tile is one stretch of it.
    bounds: dict[Place, tuple[int, int]] = {}
    for height, index in places:
        base, first, end = _row(height, index)
        least, most = bounds.get((base, first >> tiles.HEIGHT), (first, end))
        bounds[base, first >> tiles.HEIGHT] = (min(least, first), max(most, end))
    stretches = [(base, first, end) for (base, _), (first, end) in bounds.items()]
    bodies = dict(zip(bounds, await _stretches(reader, stretches), strict=True))
    found = {}
    for height, index in places:
        base, first, end = _row(height, index)
        within = (base, first >> tiles.HEIGHT)
        begins = first - bounds[within][0]
        found[height, index] = _folded(bodies[within], begins, begins + end - first)
    return found


def _row(height: int, index: int) -> tuple[int, int, int]:
    """The stored hashes below a perfect subtree: their height, and their indices from and to."""
    below = height % tiles.HEIGHT
    return height - below, index << below, (index + 1) << below


def _folded(row: bytes, first: int, end: int) -> bytes:
    """The root over the hashes [first, end) of `row`, which are a power of two."""
    width = merkle.HASH_BYTES
    hashes = [row[at * width : (at + 1) * width] for at in range(first, end)]
    while len(hashes) > 1:
        hashes = [merkle.node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


async def _stretches(reader: Reader, stretches: list[tuple[int, int, int]]) -> list[bytes]:
    bodies = await reader.hashes(stretches)
    for (height, first, end), body in zip(stretches, bodies, strict=True):
        if len(body) != (end - first) * merkle.HASH_BYTES:
            raise Altered(f"tree: hashes of height {height} are missing in [{first}, {end}); restore the database")
    return bodies
