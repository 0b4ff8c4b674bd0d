"""A stranger's client for a tiled log: from C2SP signed-note, tlog-checkpoint and tlog-tiles and RFC 6962 alone.

It imports nothing of ours, so that what it accepts is what the specifications say. It reads through `fetch(path)`,
which gives a resource's bytes by its path below the log's prefix: over HTTP, or from a folder of files.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Fetch = Callable[[str], bytes]


class NotTheLog(Exception):
    """Something that was fetched is not what the checkpoint, or the form, says it must be."""


def path_of(level: int | str, index: int, width: int = 256) -> str:
    """tlog-tiles: N "encoded into zero-padded 3-digit path elements. All but the last [...] begin with an x"."""
    elements = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        elements.insert(0, f"x{index % 1000:03}")
    return f"tile/{level}/{'/'.join(elements)}{'' if width == 256 else f'.p/{width}'}"


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """(level, index, width) of each tile of a tree: floor(s / 256**l) hashes at level l, 256 a tile."""
    level = 0
    while count := size // 256**level:
        for index in range(-(-count // 256)):
            yield level, index, min(256, count - index * 256)
        level += 1


def mth(hashes: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, over leaf hashes."""
    if len(hashes) == 1:
        return hashes[0]
    if not hashes:
        return hashlib.sha256(b"").digest()
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(hashes[:k]) + mth(hashes[k:])).digest()


class TileClient:
    """One log, known by its verifier key; `size` and `root` are those of the newest checkpoint that was verified."""

    def __init__(self, vkey: str, fetch: Fetch) -> None:
        self.name, key_id, key = vkey.split("+", 2)
        algorithm_and_key = base64.b64decode(key)
        assert algorithm_and_key[0] == 1, "Ed25519"
        self._id = bytes.fromhex(key_id)
        assert self._id == hashlib.sha256(self.name.encode() + b"\n" + algorithm_and_key).digest()[:4]
        self._key = Ed25519PublicKey.from_public_bytes(algorithm_and_key[1:])
        self._fetch = fetch
        self.size = 0
        self.root = mth([])

    def update(self) -> None:
        """Fetch the checkpoint and verify its signature."""
        text, _, signatures = self._fetch("checkpoint").decode().rpartition("\n\n")
        text += "\n"
        origin, size, root = text.split("\n")[:3]
        if origin != self.name:
            raise NotTheLog(f"the checkpoint is of {origin}")
        for line in signatures.splitlines():
            dash, name, encoded = line.split(" ")
            signature = base64.b64decode(encoded)
            if (dash, name, signature[:4]) == ("\N{EM DASH}", self.name, self._id):
                self._key.verify(signature[4:], text.encode())
                self.size, self.root = int(size), base64.b64decode(root)
                return
        raise NotTheLog("the log's key did not sign the checkpoint")

    def leaf_hashes(self) -> list[bytes]:
        """Every leaf hash, from the tiles of level 0; all tiles above are held to those below."""
        found: dict[int, list[bytes]] = {}
        for level, index, width in tiles_of(self.size):
            body = self._fetch(path_of(level, index, width))
            if len(body) != 32 * width:
                raise NotTheLog(f"tile {level}/{index} has {len(body)} bytes, not {width} hashes")
            found.setdefault(level, []).extend(body[at : at + 32] for at in range(0, len(body), 32))
        for level in range(1, len(found)):
            below = found[level - 1]
            if found[level] != [mth(below[at * 256 : at * 256 + 256]) for at in range(len(below) // 256)]:
                raise NotTheLog(f"the tiles of level {level} are not over those of level {level - 1}")
        return found.get(0, [])

    def verify_tiles(self) -> list[bytes]:
        """The tiles are those of the signed root. Every leaf hash."""
        leaves = self.leaf_hashes()
        if mth(leaves) != self.root:
            raise NotTheLog("the tiles do not lead to the root of the checkpoint")
        return leaves

    def entries(self) -> Iterator[bytes]:
        """Every entry, from the bundles: "sequences of big-endian uint16 length-prefixed log entries"."""
        for level, index, width in tiles_of(self.size):
            if level == 0:
                body = self._fetch(path_of("entries", index, width))
                count = 0
                while body:
                    length = int.from_bytes(body[:2], "big")
                    yield body[2 : 2 + length]
                    body = body[2 + length :]
                    count += 1
                if count != width:
                    raise NotTheLog(f"bundle {index} has {count} entries, not {width}")

    def verify_entries(self) -> list[bytes]:
        """The entries are those of the signed root. Every entry."""
        leaves = self.verify_tiles()
        entries = list(self.entries())
        if [hashlib.sha256(b"\x00" + entry).digest() for entry in entries] != leaves:
            raise NotTheLog("an entry does not hash to its leaf")
        return entries
