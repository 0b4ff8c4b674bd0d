"""Tiles (C2SP tlog-tiles): the log as a finite set of files, which any web server or cache can hand on.

A tile of level l and index n has up to 256 hashes, one beside the other: those of the perfect subtrees of height
8 l whose indices are [256 n, 256 n + 256). An entry bundle has the records under the tile of level 0 with the same
index. Only the last tile of a level is partial, and its width follows from the tree's size alone.

Pure: names, widths and encodings. `audit.tree` fills tiles from a database.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from audit.errors import Malformed
from audit.merkle import MAX_SIZE
from traceability.marks import implements

HEIGHT: Final = 8  # C2SP tlog-tiles, "Merkle Tree": a full tile is 256 hashes wide
WIDTH: Final = 1 << HEIGHT
MAX_LEVEL: Final = 63
MAX_ENTRY_BYTES: Final = 2**16 - 1  # C2SP tlog-tiles, "Log entries": big-endian uint16 length
ENTRIES: Final = "entries"

Level = int | Literal["entries"]

# `tile/`, the level, the index in groups of three digits of which all but the last begin with x, and `.p/W`.
_path = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
).fullmatch


@implements("REQ-LOG-001")
class Tile(Struct, frozen=True, kw_only=True):
    """One tile's name. `level` is `ENTRIES` for a bundle; `width` is 256 for a full one."""

    level: Level
    index: int
    width: int = WIDTH

    @property
    def is_full(self) -> bool:
        return self.width == WIDTH

    @property
    def height(self) -> int:
        """Of the subtrees whose hashes it has; 0 for a bundle."""
        return 0 if self.level == ENTRIES else HEIGHT * self.level

    @property
    def first(self) -> int:
        """The index of its first hash among those of its height, and of a bundle's first record."""
        return self.index << HEIGHT

    @property
    def end(self) -> int:
        """The index after its last hash."""
        return self.first + self.width

    @property
    def size(self) -> int:
        """The smallest tree that has it: every record below it is in."""
        return self.end << self.height


@implements("REQ-LOG-001")
def format(tile: Tile) -> str:  # noqa: A001  # read as tiles.format
    """The path of `tile`, without a slash before it: `tile/0/x001/x234/067` or `tile/entries/000.p/5`."""
    digits = str(tile.index)
    digits = digits.rjust(-(-len(digits) // 3) * 3, "0")
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    index = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return f"tile/{tile.level}/{index}" + ("" if tile.is_full else f".p/{tile.width}")


@implements("REQ-LOG-001")
def parse(path: str) -> Tile:
    """The tile whose path this is: `format(parse(p)) == p`. Raises `Malformed` for any other text."""
    found = _path(path) if isinstance(path, str) else None
    if found is None:
        raise Malformed("tile: expected tile/LEVEL/INDEX, the index as x001/x234/067, and .p/WIDTH for a partial one")
    level = found["level"]
    index = int(found["index"].replace("/", "").replace("x", ""))
    width = int(found["width"] or WIDTH)
    tile = Tile(level=ENTRIES if level == ENTRIES else int(level), index=index, width=width)
    if tile.level != ENTRIES and tile.level > MAX_LEVEL:
        raise Malformed(f"tile: a level from 0 to {MAX_LEVEL}")
    if width > WIDTH or format(tile) != path:
        raise Malformed(f"tile: a partial width from 1 to {WIDTH - 1}, and an index without needless zeros")
    return tile


@implements("REQ-LOG-001")
def is_in(tile: Tile, size: int) -> bool:
    """Whether the tree of `size` has all hashes or records of `tile`; a larger tree has them as well."""
    return tile.size <= size


@implements("REQ-LOG-001")
def edge(size: int) -> list[Tile]:
    """The partial tiles of the tree of `size`, top level first; every other tile of it is full.

    Requires 0 <= size <= MAX_SIZE.
    """
    assert 0 <= size <= MAX_SIZE
    levels = range((size.bit_length() - 1) // HEIGHT, -1, -1)
    # C2SP tlog-tiles, "Partial Tiles": floor(s / 256**l) mod 256 hashes; empty tiles are none.
    widths = [(level, (size >> HEIGHT * level) % WIDTH) for level in levels]
    return [Tile(level=level, index=size >> HEIGHT * (level + 1), width=width) for level, width in widths if width]


@implements("REQ-LOG-001")
def encode_entries(entries: Sequence[bytes]) -> bytes:
    """The bundle of `entries`: each with its length before it. Raises `Malformed` for one that is too long."""
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise Malformed(f"entry bundle: an entry has at most {MAX_ENTRY_BYTES} bytes")
    return b"".join(len(entry).to_bytes(2) + entry for entry in entries)


@implements("REQ-LOG-001")
def decode_entries(bundle: bytes) -> tuple[bytes, ...]:
    """The entries of a bundle. Raises `Malformed` where it ends within one, or has more than 256."""
    if not isinstance(bundle, bytes):
        raise Malformed("entry bundle: expected bytes")
    entries, at = [], 0
    while at < len(bundle):
        begins = at + 2
        at = begins + int.from_bytes(bundle[at:begins])
        if begins > len(bundle) or at > len(bundle):
            raise Malformed("entry bundle: it ends within an entry")
        entries.append(bundle[begins:at])
    if len(entries) > WIDTH:
        raise Malformed(f"entry bundle: {len(entries)} entries, at most {WIDTH}")
    return tuple(entries)
