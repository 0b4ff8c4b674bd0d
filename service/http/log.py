"""The log as strangers and auditors read it: the checkpoint, tiles, entry bundles and proofs, as the database has them.

Nothing here is trusted by its readers: all of it is held to a signature that they verify themselves. So nothing is
served that was not committed, and no proof leads anywhere but to a checkpoint that was signed.
"""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from litestar.exceptions import NotFoundException
from msgspec import Struct

from audit import checkpoint, note, tiles, tree
from audit.checkpoint import Checkpoint
from audit.errors import Altered, LedgerUnavailable, Malformed
from audit.merkle import MAX_SIZE
from audit.ports import Reader
from audit.tiles import Tile
from service.errors import LogUnavailable, NotSigned, Overloaded
from service.http.policy import Policy
from traceability.marks import implements

Result = TypeVar("Result")
GZIP_LEVEL: Final = 1  # records are digests and ids for the most part: higher levels take longer and gain little


class Cut(Struct, frozen=True, kw_only=True):
    """A tile or bundle. `is_signed`: a signed checkpoint covers all of it, so it will never be another."""

    body: bytes
    is_signed: bool


class Signed(Struct, frozen=True, kw_only=True):
    """A published checkpoint: the signed note, and what its text says."""

    text: str
    checkpoint: Checkpoint


@implements("REQ-LOG-003")
class PublicLog:
    """Reads the log for callers, a bounded number at once. For one event loop."""

    def __init__(self, reader: Reader, policy: Policy) -> None:
        self._reader: Final = reader
        self._policy: Final = policy
        self._reading = 0
        self._signed_size = 0
        """The largest size known to be signed: it only grows, so most tiles need no look at the checkpoints."""

    async def checkpoint(self) -> bytes:
        """The checkpoint to serve. Raises `NotFoundException` where none was published yet."""
        with self._place():
            signed = await _read(self._reader.checkpoint)
        if signed is None:
            raise NotFoundException
        return signed[1]

    async def tile(self, wanted: Tile) -> Cut:
        """A hash tile or an entry bundle. Raises `NotFoundException` for one that is not there yet."""
        with self._place():
            return await _read(lambda: self._cut(wanted))

    async def packed(self, wanted: Tile) -> bytes:
        """An entry bundle, compressed (RFC 1952). Raises `NotFoundException` for one that is not there yet."""
        with self._place():
            body = (await _read(lambda: self._cut(wanted))).body
            return await asyncio.to_thread(gzip.compress, body, GZIP_LEVEL, mtime=0)

    async def inclusion(self, index: int, size: int | None) -> tuple[int, tree.Inclusion, Signed]:
        """The proof of record `index` in the tree of `size`, by default of the checkpoint that it leads to; the size,
        and that checkpoint. Requires index < size. Raises `NotSigned` where no published checkpoint covers it yet."""
        with self._place():
            signed = await _read(lambda: self._covering(min(index + 1, MAX_SIZE) if size is None else size))
            within = signed.checkpoint.size if size is None else size
            proof = await _read(lambda: tree.inclusion_under(self._reader, index, within, signed.checkpoint))
        return within, proof, signed

    async def consistency(self, old: int, new: int | None) -> tuple[int, tree.Consistency, Signed]:
        """The proof from the tree of `old` to that of `new`, by default of the checkpoint that it leads to; the new
        size, and that checkpoint. Requires old <= new. Raises `NotSigned` where none that is published covers it."""
        with self._place():
            signed = await _read(lambda: self._covering(old if new is None else new))
            upto = signed.checkpoint.size if new is None else new
            proof = await _read(lambda: tree.consistency_under(self._reader, old, upto, signed.checkpoint))
        return upto, proof, signed

    async def _cut(self, wanted: Tile) -> Cut:
        is_signed = await self._is_signed(wanted)
        if not is_signed and not tiles.is_in(wanted, (await self._reader.head()).size):
            raise NotFoundException
        read = tree.bundle if wanted.level == tiles.ENTRIES else tree.tile
        return Cut(body=await read(self._reader, wanted), is_signed=is_signed)

    async def _is_signed(self, wanted: Tile) -> bool:
        if not tiles.is_in(wanted, self._signed_size):
            newest = await self._reader.signed()
            self._signed_size = max(self._signed_size, newest[0] if newest is not None else 0)
        return tiles.is_in(wanted, self._signed_size)

    async def _covering(self, size: int) -> Signed:
        """The checkpoint that is served, or where it is smaller than `size` the next one that was signed."""
        found = await self._reader.checkpoint()
        if found is not None and found[0] < size:
            found = await self._reader.covering(size)
        if found is None:
            raise NotSigned("no signed checkpoint covers that yet")
        try:
            text = found[1].decode("utf-8")
            signed = Signed(text=text, checkpoint=checkpoint.parse(note.split(text)[0]))
        except (Malformed, UnicodeDecodeError) as error:
            raise Altered(f"log: what is published at {found[0]} is not a checkpoint") from error
        if signed.checkpoint.size != found[0]:
            raise Altered(f"log: the checkpoint that is published at {found[0]} is of another size")
        return signed

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Room for one reading. Raises `Overloaded`: whoever waits for the database holds memory."""
        if self._reading >= self._policy.max_log_reads:
            raise Overloaded("too many are reading the log", retry_after_s=self._policy.retry_after_s)
        self._reading += 1
        try:
            yield
        finally:
            self._reading -= 1


async def _read(ask: Callable[[], Awaitable[Result]]) -> Result:
    """What `ask` gives. The database that cannot be read may well take records: that is another error than theirs."""
    try:
        return await ask()
    except LedgerUnavailable as error:
        raise LogUnavailable("the log cannot be read now; its records are still taken", retry_after_s=1) from error
