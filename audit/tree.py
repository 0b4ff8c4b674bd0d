"""The Merkle tree as a reader's database holds it: hashes of subtrees, roots, proofs and tiles at any size.

The database keeps every leaf hash and each completed subtree hash of heights 8, 16, 24 ...: these are the tiles of
C2SP tlog-tiles. Any other subtree is within one tile. Nothing here is trusted: callers compare with a signed
checkpoint, or hand it to somebody who does.
"""

from collections.abc import Iterable
from hashlib import sha256

from msgspec import Struct

from audit import merkle, tiles
from audit.checkpoint import Checkpoint
from audit.errors import Altered, VerificationFailed
from audit.ports import Reader
from audit.tiles import Tile
from traceability.marks import implements

Place = tuple[int, int]
"""(height, index) of a perfect subtree: it covers the leaves [index << height, (index + 1) << height)."""


class Inclusion(Struct, frozen=True, kw_only=True):
    """That a record is in the tree of a size, which is the beginning of a signed one."""

    leaf_hash: bytes
    path: tuple[bytes, ...]
    root: bytes
    """Of the tree of that size."""
    onward: tuple[bytes, ...]
    """The consistency path from that size to the checkpoint's; empty where they are the same."""


class Consistency(Struct, frozen=True, kw_only=True):
    """That one tree is the beginning of another, which is the beginning of a signed one."""

    old_root: bytes
    new_root: bytes
    path: tuple[bytes, ...]
    onward: tuple[bytes, ...]


@implements("REQ-LOG-002")
async def inclusion_under(reader: Reader, index: int, size: int, signed: Checkpoint) -> Inclusion:
    """The proof for record `index` in the tree of `size`, verified up to the root of `signed` before it is returned.

    Requires index < size <= signed.size. Raises `Altered` where the database does not agree with the checkpoint.
    """
    needs = {(0, index), *merkle.inclusion_needs(index, size), *_up_to(size, signed)}
    found = await subtrees(reader, needs)
    proof = Inclusion(
        leaf_hash=found[0, index],
        path=merkle.inclusion_path(index, size, lambda height, at: found[height, at]),
        root=_root(found, size),
        onward=merkle.consistency_path(size, signed.size, lambda height, at: found[height, at]),
    )
    try:
        merkle.verify_inclusion(proof.leaf_hash, index, size, proof.path, proof.root)
        merkle.verify_consistency(size, proof.root, signed.size, signed.root, proof.onward)
    except VerificationFailed as error:
        raise Altered(f"tree: the database is not the log that was signed at {signed.size}; verify it") from error
    return proof


@implements("REQ-LOG-002")
async def consistency_under(reader: Reader, old: int, new: int, signed: Checkpoint) -> Consistency:
    """The proof from the tree of `old` to that of `new`, verified up to the root of `signed` before it is returned.

    Requires old <= new <= signed.size. Raises `Altered` where the database does not agree with the checkpoint.
    """
    needs = {*merkle.frontier_needs(old), *merkle.consistency_needs(old, new), *_up_to(new, signed)}
    found = await subtrees(reader, needs)
    proof = Consistency(
        old_root=_root(found, old),
        new_root=_root(found, new),
        path=merkle.consistency_path(old, new, lambda height, at: found[height, at]),
        onward=merkle.consistency_path(new, signed.size, lambda height, at: found[height, at]),
    )
    try:
        merkle.verify_consistency(old, proof.old_root, new, proof.new_root, proof.path)
        merkle.verify_consistency(new, proof.new_root, signed.size, signed.root, proof.onward)
    except VerificationFailed as error:
        raise Altered(f"tree: the database is not the log that was signed at {signed.size}; verify it") from error
    return proof


def _up_to(size: int, signed: Checkpoint) -> list[Place]:
    """What the root at `size` and its consistency with the signed tree are made of."""
    return [*merkle.frontier_needs(size), *merkle.consistency_needs(size, signed.size)]


def _root(found: dict[Place, bytes], size: int) -> bytes:
    return merkle.frontier_root(size, tuple(found[place] for place in merkle.frontier_needs(size)))


@implements("REQ-LOG-002")
async def frontier(reader: Reader, size: int) -> tuple[bytes, ...]:
    """The frontier of the tree of the first `size` records."""
    needs = merkle.frontier_needs(size)
    found = await subtrees(reader, needs)
    return tuple(found[place] for place in needs)


@implements("REQ-LOG-002")
async def inclusion(reader: Reader, index: int, size: int) -> tuple[bytes, ...]:
    """The inclusion path of record `index` in the tree of the first `size` records."""
    found = await subtrees(reader, merkle.inclusion_needs(index, size))
    return merkle.inclusion_path(index, size, lambda height, place: found[height, place])


@implements("REQ-LOG-002")
async def consistency(reader: Reader, old: int, new: int) -> tuple[bytes, ...]:
    """The proof that the tree of the first `new` records extends that of the first `old`."""
    found = await subtrees(reader, merkle.consistency_needs(old, new))
    return merkle.consistency_path(old, new, lambda height, place: found[height, place])


@implements("REQ-LOG-002")
async def tile(reader: Reader, wanted: Tile) -> bytes:
    """The hashes of a tile, as it is served. Requires the ledger to have it; raises `Altered` where it does not."""
    (body,) = await _stretches(reader, [(wanted.height, wanted.first, wanted.end)])
    return body


@implements("REQ-LOG-002")
async def bundle(reader: Reader, wanted: Tile) -> bytes:
    """The records of an entry bundle, as it is served. Requires the ledger to have them; else raises `Altered`."""
    stored = [one async for one in reader.records(wanted.first, wanted.end)]
    if [one.index for one in stored] != list(range(wanted.first, wanted.end)):
        raise Altered(f"tree: records are missing in [{wanted.first}, {wanted.end}); restore the database")
    return tiles.encode_entries([one.body for one in stored])


@implements("REQ-LOG-002")
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
    body = row[first * merkle.HASH_BYTES : end * merkle.HASH_BYTES]
    while len(body) > merkle.HASH_BYTES:
        # Two beside each other are a node's children as they stand: SHA-256(0x01 || left || right), RFC 6962, 2.1.
        pairs = range(0, len(body), 2 * merkle.HASH_BYTES)
        body = b"".join([sha256(b"\x01" + body[at : at + 2 * merkle.HASH_BYTES]).digest() for at in pairs])
    return body


async def _stretches(reader: Reader, stretches: list[tuple[int, int, int]]) -> list[bytes]:
    bodies = await reader.hashes(stretches)
    for (height, first, end), body in zip(stretches, bodies, strict=True):
        if len(body) != (end - first) * merkle.HASH_BYTES:
            raise Altered(f"tree: hashes of height {height} are missing in [{first}, {end}); restore the database")
    return bodies
