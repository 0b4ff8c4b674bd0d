"""The ledger's store in memory: for tests, and for showing what PostgreSQL must do in a page of Python.

It passes the same contract suite. What differs is that nothing is durable, and that records are held to
the whole schema (`record.decode`) where the database looks only at what it derives.
"""

import hashlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, Literal
from uuid import UUID

import msgspec

from audit import chain, memory_rows, merkle, record
from audit.checkpoint import MAX_SIZE
from audit.derived import COLUMNS, columns_of
from audit.errors import (
    CallerBehind,
    DatabaseChanged,
    LeaseLost,
    LedgerExists,
    LedgerForked,
    LedgerNotInitialised,
    LedgerUnavailable,
    Malformed,
    NotFound,
    RecordRefused,
)
from audit.extent import Extent
from audit.packed import TILE, Tile
from audit.ports import Appended, Batch, Cosigned, Head, Lease, Readiness, Row, Stored, Unclosed
from audit.record import Genesis, KeyRotated, Record, Window
from traceability.marks import implements

MAX_BATCH_RECORDS: Final = 1_024
MAX_BEHIND: Final = 65_536
MAX_LEAF_HASHES: Final = 65_536
MAX_WINDOWS: Final = 10_000
MAX_ROTATIONS: Final = 256
MAX_LEASE_MS: Final = 3_600_000

Failure = Literal["before", "after"]
"""When an append fails: before anything is stored, or after all of it is."""


class MemoryDatabase:
    """What a store and its readers share, and how a test makes it misbehave."""

    def __init__(self) -> None:
        self.stored: list[Stored] = []
        self.entries: list[Record] = []
        self.columns: list[memory_rows.Columns] = []
        """The search columns of each record."""
        self.places: dict[UUID, int] = {}
        self.batches: list[Batch] = []
        self.subtrees: dict[tuple[int, int], bytes] = {}
        self.checkpoints: dict[int, bytes] = {}
        self.cosigned: list[Cosigned] = []
        self.leases: dict[str, tuple[UUID, int, int]] = {}
        """name -> holder, term and when it ends, in `now_ms`."""
        self.now_ms: Callable[[], int] = _now_ms
        self.appends = 0
        """How many appends were asked for, failed ones included."""
        self.failures: list[Failure] = []
        """One is taken by each append to come."""
        self.reachable = True
        self.readiness = Readiness(
            in_recovery=False, durable=True, system_identifier="7000000000000000001", timeline=1, size=0
        )
        self.before_append: Callable[[], None] | None = None

    @property
    def head(self) -> Head:
        if not self.batches:
            return Head(size=0, frontier=(), chain=b"")
        newest = self.batches[-1]
        return Head(size=newest.size, frontier=newest.frontier, chain=newest.chain)

    def head_at(self, size: int) -> Head | None:
        for batch in reversed(self.batches):
            if batch.size == size:
                return Head(size=size, frontier=batch.frontier, chain=batch.chain)
        return None

    def require_reachable(self) -> None:
        if not self.reachable:
            raise LedgerUnavailable("database: this one was told to be away")


class MemoryStore:
    """Implements `audit.ports.Store` over a `MemoryDatabase`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def append(
        self,
        known_size: int,
        event_ids: Sequence[UUID],
        records: Sequence[bytes],
        *,
        timeline: int | None = None,
    ) -> Appended:
        database = self._database
        database.appends += 1
        if database.before_append is not None:
            database.before_append()
        database.require_reachable()
        failure = database.failures.pop(0) if database.failures else None
        if failure == "before":
            raise LedgerUnavailable("database: this append was told to fail before it stored anything")
        if timeline not in (None, database.readiness.timeline):
            raise DatabaseChanged(f"database: on timeline {database.readiness.timeline}, not {timeline}")
        appended = _append(database, known_size, event_ids, records)
        if failure == "after":
            raise LedgerUnavailable("database: this append was told to fail after it stored everything")
        return appended

    async def publish(self, size: int, checkpoint: bytes) -> None:
        self._database.require_reachable()
        if self._database.head_at(size) is None:
            raise RecordRefused(f"ledger: no batch ends at size {size}")
        if self._database.checkpoints.setdefault(size, checkpoint) != checkpoint:
            raise RecordRefused(f"ledger: another checkpoint of size {size} is published")

    async def lease(self, name: str, holder: UUID, ttl_ms: int) -> Lease:
        self._database.require_reachable()
        if not name or not 1 <= ttl_ms <= MAX_LEASE_MS:
            raise RecordRefused(f"ledger: expected a lease's name, a holder and 1 to {MAX_LEASE_MS} ms")
        now_ms = self._database.now_ms()
        had, term, until_ms = self._database.leases.get(name, (holder, 0, now_ms))
        held = had == holder or until_ms <= now_ms
        if held:
            term, until_ms = term + (until_ms <= now_ms), now_ms + ttl_ms
            self._database.leases[name] = (holder, term, until_ms)
        return Lease(name=name, holder=holder, term=term, held=held, remaining_ms=until_ms - now_ms)

    async def release(self, name: str, holder: UUID) -> None:
        self._database.require_reachable()
        had, term, until_ms = self._database.leases.get(name, (None, 0, 0))
        if had == holder:
            self._database.leases[name] = (holder, term, min(until_ms, self._database.now_ms()))

    async def cosign(self, lease: Lease, cosigned: Cosigned) -> None:
        database = self._database
        database.require_reachable()
        holder, term, until_ms = database.leases.get(lease.name, (None, 0, 0))
        if (holder, term) != (lease.holder, lease.term) or until_ms <= database.now_ms():
            raise LeaseLost("ledger: the lease is not, or no longer, held")
        if cosigned.size not in database.checkpoints:
            raise RecordRefused(f"ledger: no signed checkpoint of size {cosigned.size} is published")
        newest = next((one for one in reversed(database.cosigned) if one.size == cosigned.size), None)
        digest = hashlib.sha256(cosigned.policy).digest()
        numbered = msgspec.structs.replace(cosigned, version=newest.version if newest else 0, policy_sha256=digest)
        if numbered != newest:
            database.cosigned.append(msgspec.structs.replace(numbered, version=numbered.version + 1))

    async def ready(self) -> Readiness:
        self._database.require_reachable()
        known = self._database.readiness
        return Readiness(
            in_recovery=known.in_recovery,
            durable=known.durable,
            system_identifier=known.system_identifier,
            timeline=known.timeline,
            size=self._database.head.size,
        )

    async def close(self) -> None:
        """Nothing to give back."""


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _append(database: MemoryDatabase, known_size: int, event_ids: Sequence[UUID], records: Sequence[bytes]) -> Appended:
    """The steps of `ledger.append`, in its order."""
    if known_size < 0 or not 0 < len(records) == len(event_ids) <= MAX_BATCH_RECORDS:
        raise RecordRefused(f"ledger: expected a size and 1 to {MAX_BATCH_RECORDS} records with as many ids")
    head = database.head
    if head.size < known_size:
        raise LedgerForked(f"ledger: the caller knows {known_size} records, the database has {head.size}")
    again = _known_batch(database, event_ids, records)
    first = head.size if again is None else again.first
    if first - known_size > MAX_BEHIND:
        raise CallerBehind(f"ledger: the caller knows {known_size} records, more than {MAX_BEHIND} fewer than {first}")
    if any(isinstance(entry, KeyRotated) for entry in database.entries[known_size:first]):
        raise CallerBehind(f"ledger: the log's key was rotated after the {known_size} records that the caller knows")
    batch = again if again is not None else _store(database, head, event_ids, records)
    before = database.head_at(first)
    return Appended(
        first=first,
        before=before.frontier if before is not None else (),
        after=batch.frontier,
        chain=batch.chain,
        between=tuple(one.leaf_hash for one in database.stored[known_size:first]),
        leaves=tuple(one.leaf_hash for one in database.stored[first : batch.size]),
    )


def _known_batch(database: MemoryDatabase, event_ids: Sequence[UUID], records: Sequence[bytes]) -> Batch | None:
    """The batch that these records are, None where none of their ids is known."""
    known = [
        database.stored[at] for at in sorted({database.places[id_] for id_ in event_ids if id_ in database.places})
    ]
    if not known:
        return None
    batch = next((one for one in database.batches if one.first == known[0].index), None)
    if batch is None or len(known) != len(records) or batch.size != batch.first + len(records):
        raise RecordRefused(f"ledger: {len(known)} of {len(records)} ids are known, and not as this batch")
    if [(one.event_id, one.body) for one in known] != list(zip(event_ids, records, strict=True)):
        raise RecordRefused("ledger: the ids are known with other bytes or in another order")
    return batch


def _store(database: MemoryDatabase, head: Head, event_ids: Sequence[UUID], records: Sequence[bytes]) -> Batch:
    entries = [_decoded(event_id, body) for event_id, body in zip(event_ids, records, strict=True)]
    if len(set(event_ids)) != len(event_ids):
        raise RecordRefused("ledger: an id is there twice")
    linked = _start(entries) if head.size == 0 else head.chain
    if head.size > 0 and any(isinstance(entry, Genesis) for entry in entries):
        error = LedgerExists if len(entries) == 1 else RecordRefused
        raise error("ledger: record 0 is there already; a log begins once")
    leaves = [merkle.leaf_hash(body) for body in records]
    for index, (event_id, body, leaf) in enumerate(zip(event_ids, records, leaves, strict=True), head.size):
        database.places[event_id] = index
        database.stored.append(Stored(index=index, event_id=event_id, body=body, leaf_hash=leaf))
        _complete(database, index + 1)
    database.entries += entries
    database.columns += [columns_of(entry) for entry in entries]
    batch = Batch(
        first=head.size,
        size=head.size + len(records),
        chain=chain.extend(linked, leaves),
        frontier=merkle.extend(head.size, head.frontier, leaves),
    )
    database.batches.append(batch)
    return batch


def _decoded(event_id: UUID, body: bytes) -> Record:
    try:
        entry = record.decode(body)
    except Malformed as error:
        raise RecordRefused("ledger: not a record") from error
    if record.event_uuid(entry) != event_id:
        raise RecordRefused("ledger: a record's event id is not the one that it came with")
    return entry


def _start(entries: Sequence[Record]) -> bytes:
    if len(entries) != 1 or not isinstance(entries[0], Genesis):
        raise LedgerNotInitialised("ledger: no record 0 yet; run medai ledger init")
    return chain.start(entries[0].origin)


def _complete(database: MemoryDatabase, size: int) -> None:
    """Keep each subtree of height 8, 16, 24 ... that the tree of `size` is the first to hold whole."""
    height = 8
    while size % (1 << height) == 0:
        place = (size >> height) - 1
        leaves = [one.leaf_hash for one in database.stored[place << height : size]]
        database.subtrees[height, place] = merkle.root(leaves)
        height += 8


@implements("REQ-LED-028")
class MemoryReader:
    """Implements `audit.ports.Reader` over a `MemoryDatabase`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def head(self) -> Head:
        self._database.require_reachable()
        return self._database.head

    async def head_at(self, size: int) -> Head | None:
        self._database.require_reachable()
        return self._database.head_at(size)

    async def record(self, index: int) -> Stored:
        self._database.require_reachable()
        found = memory_rows.within(self._database.stored, self._database.columns, index, index + 1)
        if not found:
            raise NotFound(f"ledger: no record {index}")
        return found[0][0]

    async def leaf_hashes(self, first: int, end: int) -> list[bytes]:
        self._database.require_reachable()
        found = memory_rows.within(self._database.stored, self._database.columns, first, end)
        return [one.leaf_hash for one, _ in found][:MAX_LEAF_HASHES]

    async def nodes(self, wanted: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        self._database.require_reachable()
        return {place: self._database.subtrees[place] for place in wanted if place in self._database.subtrees}

    async def hashes(self, stretches: Sequence[tuple[int, int, int]]) -> list[bytes]:
        self._database.require_reachable()
        return [b"".join(self._hashes(*stretch)) for stretch in stretches]

    def _hashes(self, height: int, first: int, end: int) -> list[bytes]:
        if height == 0:
            return [one.leaf_hash for one in self._database.stored[first:end]]
        subtrees = self._database.subtrees
        return [subtrees[height, at] for at in range(first, end) if (height, at) in subtrees]

    async def records(self, first: int, end: int) -> AsyncIterator[Stored]:
        self._database.require_reachable()
        for one in self._database.stored[first:end]:
            yield one

    async def rows(
        self, first: int, end: int, count: int, columns: Sequence[str] = COLUMNS
    ) -> AsyncIterator[list[Row]]:
        self._database.require_reachable()
        for at in range(first, end, count):
            found = memory_rows.within(self._database.stored, self._database.columns, at, min(at + count, end))
            yield [memory_rows.row(one, said, columns) for one, said in found]

    async def tiles(self, first: int, end: int, columns: Sequence[str]) -> AsyncIterator[list[Tile]]:
        self._database.require_reachable()
        for at in range(first, end, TILE):
            found = memory_rows.within(self._database.stored, self._database.columns, at, min(at + TILE, end))
            yield [memory_rows.tile(at, found, columns)]

    async def batches(self, first: int, end: int) -> list[Batch]:
        self._database.require_reachable()
        found = [batch for batch in self._database.batches if first < batch.size <= end]
        return sorted(found, key=lambda batch: batch.size)

    async def batch_before(self, size: int) -> Batch:
        self._database.require_reachable()
        before = [batch for batch in self._database.batches if batch.size <= size]
        if not before:
            raise NotFound(f"ledger: no batch ends at size {size} or before")
        return before[-1]

    async def extent(self) -> Extent:
        database = self._database
        database.require_reachable()
        return memory_rows.extent(
            database.stored,
            database.batches,
            database.subtrees.items(),
            [*database.checkpoints.items(), *((one.size, one.checkpoint) for one in database.cosigned)],
        )

    async def completed(self, first: int, end: int) -> dict[tuple[int, int], bytes]:
        self._database.require_reachable()
        subtrees = self._database.subtrees.items()
        return {place: hash_ for place, hash_ in subtrees if first < (place[1] + 1) << place[0] <= end}

    async def rotations(self, first: int, end: int) -> list[Stored]:
        self._database.require_reachable()
        found = memory_rows.within(self._database.stored, self._database.columns, first, end)
        return [one for one, columns in found if columns[0] == "key_rotated"][:MAX_ROTATIONS]

    async def unclosed_windows(self, first: int, end: int) -> Unclosed:
        self._database.require_reachable()
        both = list(zip(self._database.stored, self._database.entries, strict=True))
        windows = [(one, entry) for one, entry in both if isinstance(entry, Window)]
        closed = {entry.opens_index for _, entry in windows if entry.phase == "closed"}
        opened = [one for one, entry in windows if entry.phase == "opened" and first <= one.index < end]
        looked = opened[:MAX_WINDOWS]
        upto = looked[-1].index + 1 if len(looked) == MAX_WINDOWS else min(end, len(both))
        return Unclosed(windows=tuple(one for one in looked if one.index not in closed), upto=upto)

    async def checkpoint(self) -> tuple[int, bytes] | None:
        attested = [one for one in await self.cosigned(0, MAX_SIZE, MAX_LEAF_HASHES) if one.attested]
        return (attested[0].size, attested[0].checkpoint) if attested else await self.signed()

    async def cosigned(self, first: int, end: int, count: int) -> list[Cosigned]:
        self._database.require_reachable()
        found = [one for one in self._database.cosigned if first < one.size <= end]
        return sorted(found, key=lambda one: (one.size, one.version), reverse=True)[:count]

    async def signed(self) -> tuple[int, bytes] | None:
        self._database.require_reachable()
        return max(self._database.checkpoints.items(), default=None)

    async def covering(self, size: int) -> tuple[int, bytes] | None:
        self._database.require_reachable()
        return min((each for each in self._database.checkpoints.items() if each[0] >= size), default=None)

    async def checkpoints(self, first: int, end: int) -> list[tuple[int, bytes]]:
        self._database.require_reachable()
        return sorted((size, signed) for size, signed in self._database.checkpoints.items() if first < size <= end)

    async def close(self) -> None:
        """Nothing to give back."""
