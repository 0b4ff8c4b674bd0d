"""The log as static files (C2SP tlog-tiles): `checkpoint`, `tile/...` and `tile/entries/...` in a folder.

Every file is held to a signed root before it is written, from the root down: the partial tiles at the tree's right
edge give the root, and each hash in a tile is the root of the tile below it. So at no moment does the folder hold a
tile that the signature does not vouch for, and memory is that of a tile for each level, however large the log is.

What a crash leaves behind: whole files of a tree that is not stated yet, and the checkpoint of before, which is written
last and after everything else was synced. The next export keeps what is right and goes on from there; below the old
checkpoint's size it trusts the folder. (Remove `checkpoint` to have every file looked at again.)
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from audit import merkle, tiles, tree
from audit.checkpoint import Checkpoint
from audit.errors import Altered, AuditError, LedgerForked, Malformed, SettingInvalid, Unattested, VerificationFailed
from audit.ports import Reader
from audit.tiles import ENTRIES, HEIGHT, WIDTH, Tile
from traceability.marks import implements

MAX_CHECKPOINT_BYTES: Final = 1024 * 1024  # a signed note: `audit.note`
CHECKPOINT: Final = "checkpoint"

Opens = Callable[[bytes], Checkpoint]


class Exported(Struct, frozen=True, kw_only=True):
    """What the folder holds now, and how many files were written for it."""

    size: int
    written: int
    checkpoint: Checkpoint


@implements("REQ-LOG-005")
async def export(reader: Reader, folder: Path, opened: Opens, *, entries: bool) -> Exported:
    """Bring `folder` up to the checkpoint that the log serves; it is whole when this returns.

    `opened` gives the checkpoint of a signed note, or raises where none of the log's keys signed it. Without `entries`
    the folder has hashes alone, for everybody to see; it stays of the one kind. Raises `Unattested` where nothing is
    signed yet, `VerificationFailed` where what is served is not the log's checkpoint, `LedgerForked` where it
    contradicts the one in the folder, `Altered` where the database is not what was signed, and `SettingInvalid` for a
    folder that cannot be written, is of the other kind or of another log, or is in use.
    """
    served = await reader.checkpoint()
    if served is None:
        raise Unattested("tiles: no checkpoint is signed yet; the next is at most seconds away")
    signed = opened(served[1])
    with _locked(folder):
        before = _before(folder, opened)
        await _require_one_history(reader, before, signed)
        if signed.size < before.size:
            return Exported(size=before.size, written=0, checkpoint=before)
        if not entries and (folder / "tile" / ENTRIES).exists():
            raise SettingInvalid(f"{folder}: has entries; name another folder for hashes alone")
        complete = before.size if not entries or (folder / "tile" / ENTRIES).exists() else 0
        work = _Export(reader, folder, signed, complete, entries=entries)
        try:
            await work.run()
            work.conclude(served[1], before.size)
        except OSError as error:
            raise SettingInvalid(f"{folder}: cannot be written ({error.strerror})") from error
        return Exported(size=signed.size, written=work.written, checkpoint=signed)


class _Export:
    """One run. `complete`: the size up to which the folder has everything."""

    def __init__(self, reader: Reader, folder: Path, signed: Checkpoint, complete: int, *, entries: bool) -> None:
        self._reader, self._folder, self._signed = reader, folder, signed
        self._complete, self._entries = complete, entries
        self.written = 0

    async def run(self) -> None:
        """Every tile and bundle of the signed tree that the folder does not have yet."""
        edge = await self._edge()
        for tile, body in edge:
            if tile.level == 0:
                self._put(tile, body)
                await self._bundle(tile, body)
                continue
            for at, hash_ in enumerate(_hashes(body), tile.first):
                await self._below(_under(tile, at), hash_)
            self._put(tile, body)

    def conclude(self, checkpoint: bytes, before: int) -> None:
        """The checkpoint, once all that it vouches for is durable; then what nobody needs any more goes."""
        path = self._folder / CHECKPOINT
        if path.exists() and path.read_bytes() == checkpoint:
            return
        os.sync()  # each file by itself would take longer than to write it
        _write(path, checkpoint)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self.written += 1
        self._drop_partials(before)

    async def _edge(self) -> list[tuple[Tile, bytes]]:
        """The partial tiles of the signed tree, top level first; together they are its root."""
        size = self._signed.size
        edge = [(tile, await tree.tile(self._reader, tile)) for tile in tiles.edge(size)]
        frontier = [subtree for tile, body in edge for subtree in _perfect(_hashes(body))]
        if merkle.frontier_root(size, tuple(frontier)) != self._signed.root:
            raise Altered(f"tiles: the tree of {size} records is not the one that was signed; verify the ledger")
        return edge

    async def _below(self, tile: Tile, root: bytes) -> None:
        """The full tile whose root is known, and everything below it."""
        if tile.size <= self._complete:
            return
        body = self._had(tile) or b""
        if not _is_under(root, body):
            body = await tree.tile(self._reader, tile)
            if not _is_under(root, body):
                raise Altered(f"tiles: {tiles.format(tile)} is not the one that was signed; verify the ledger")
        if tile.level == 0:
            await self._bundle(tile, body)
        else:
            for at, hash_ in enumerate(_hashes(body), tile.first):
                await self._below(_under(tile, at), hash_)
        self._put(tile, body)

    async def _bundle(self, tile: Tile, leaves: bytes) -> None:
        """The records under a tile of level 0, each held to its leaf."""
        if not self._entries:
            return
        bundle = Tile(level=ENTRIES, index=tile.index, width=tile.width)
        had = self._had(bundle)
        if had is not None and _leaves(had) == leaves:
            return
        body = await tree.bundle(self._reader, bundle)
        if _leaves(body) != leaves:
            raise Altered(f"tiles: {tiles.format(bundle)} is not the one that was signed; verify the ledger")
        self._put(bundle, body)

    def _had(self, tile: Tile) -> bytes | None:
        """What a run before left; not trusted."""
        try:
            return self._path(tile).read_bytes()
        except FileNotFoundError:
            return None

    def _put(self, tile: Tile, body: bytes) -> None:
        path = self._path(tile)
        if self._had(tile) == body:
            return
        if tile.level == ENTRIES:
            # What is public of the log is its hashes: whoever may see the records is for the operator to say.
            (self._folder / "tile" / ENTRIES).mkdir(parents=True, exist_ok=True, mode=0o700)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, body)
        self.written += 1

    def _path(self, tile: Tile) -> Path:
        return self._folder / tiles.format(tile)

    def _drop_partials(self, before: int) -> None:
        """C2SP tlog-tiles: a partial tile may be deleted once the full one is there."""
        for level in range(-(-before.bit_length() // HEIGHT) if before else 0):
            index = before >> HEIGHT * (level + 1)
            for kind in (level, ENTRIES) if level == 0 else (level,):
                full = self._path(Tile(level=kind, index=index))
                if full.exists():
                    shutil.rmtree(full.with_name(f"{full.name}.p"), ignore_errors=True)


async def _require_one_history(reader: Reader, before: Checkpoint, signed: Checkpoint) -> None:
    """The smaller of the two is the beginning of the larger: both were signed, so anything else is a fork."""
    old, new = sorted((before, signed), key=lambda each: each.size)
    path = await tree.consistency(reader, old.size, new.size)
    try:
        merkle.verify_consistency(old.size, old.root, new.size, new.root, path)
    except VerificationFailed as error:
        raise LedgerForked(
            f"tiles: the log states {signed.size} records under {signed.root.hex()}, the folder {before.size} under "
            f"{before.root.hex()}: one does not continue the other"
        ) from error


def _before(folder: Path, opened: Opens) -> Checkpoint:
    """The checkpoint in the folder; of the empty tree, where there is none."""
    try:
        with (folder / CHECKPOINT).open("rb") as file:
            return opened(file.read(MAX_CHECKPOINT_BYTES + 1))
    except FileNotFoundError:
        return Checkpoint(origin="", size=0, root=merkle.EMPTY_ROOT)
    except (OSError, AuditError) as error:
        raise SettingInvalid(
            f"{folder}: its checkpoint is not one of this log: {error}; name another folder"
        ) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder for one export alone, made where there is none. The lock ends with the process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise SettingInvalid(f"{folder}: is no folder to write to ({error.strerror})") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise SettingInvalid(f"{folder}: another export is writing there") from error
    finally:
        os.close(handle)


def _under(tile: Tile, index: int) -> Tile:
    """The full tile one level below that is the hash with `index` in `tile`."""
    assert tile.level != ENTRIES
    return Tile(level=tile.level - 1, index=index)


def _is_under(root: bytes, body: bytes) -> bool:
    """Whether `body` is the full tile with that root."""
    return len(body) == WIDTH * merkle.HASH_BYTES and merkle.root(_hashes(body)) == root


def _perfect(hashes: Sequence[bytes]) -> list[bytes]:
    """The roots of the perfect subtrees over a partial tile's hashes, largest first."""
    return list(merkle.extend(0, (), hashes))


def _hashes(body: bytes) -> list[bytes]:
    return [body[at : at + merkle.HASH_BYTES] for at in range(0, len(body), merkle.HASH_BYTES)]


def _leaves(bundle: bytes) -> bytes | None:
    """The leaf hashes of a bundle's records, one beside the other; None where it is not one."""
    try:
        return b"".join(map(merkle.leaf_hash, tiles.decode_entries(bundle)))
    except Malformed:
        return None


def _write(path: Path, body: bytes) -> None:
    """The whole file or nothing of it: whoever reads meanwhile has the old one or the new one."""
    made = path.with_name(f".{path.name}.part")
    made.write_bytes(body)
    if path.name == CHECKPOINT:
        with made.open("rb") as file:
            os.fsync(file.fileno())
    made.replace(path)
