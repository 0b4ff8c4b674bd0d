"""What the ledger asks of the world: a store that is the only writer, a clock, a signer's key and anchors.

Every implementation passes the contract suite in `tests/contract`; the docstrings here are the contract.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct

from audit.derived import COLUMNS
from audit.extent import Batch as Batch  # what a reader gives is found here
from audit.extent import Extent
from audit.note import Signer, Verifier
from audit.packed import Tile
from audit.record import Outage, Record


class Head(Struct, frozen=True, kw_only=True):
    """A ledger's state at a tree size: the RFC 6962 frontier (roots of its perfect subtrees, largest first)
    and the chain hash of its last record. Size 0 has an empty frontier and an empty chain."""

    size: int
    frontier: tuple[bytes, ...]
    chain: bytes


class Appended(Struct, frozen=True, kw_only=True):
    """What the store answers to one append; the caller checks all of it against what it knows."""

    first: int
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]
    chain: bytes
    between: tuple[bytes, ...]
    """Leaf hashes of [known_size, first): what others wrote meanwhile."""
    leaves: tuple[bytes, ...]
    """Leaf hashes of this batch, as stored."""


class Readiness(Struct, frozen=True, kw_only=True):
    """Which database this is. `system_identifier` is None where the login may not read it."""

    in_recovery: bool
    durable: bool
    """False where the server was told not to keep what it acknowledges (fsync off)."""
    system_identifier: str | None
    timeline: int
    size: int


class Stored(Struct, frozen=True, kw_only=True):
    """One record as stored."""

    index: int
    event_id: UUID
    body: bytes
    leaf_hash: bytes


class Unclosed(Struct, frozen=True, kw_only=True):
    """The windows that opened in [first, upto) and that no record closes, in order."""

    windows: tuple[Stored, ...]
    upto: int


class Lease(Struct, frozen=True, kw_only=True):
    """A lease as it was just asked for; `term` counts the holders it has had."""

    name: str
    holder: UUID
    term: int
    held: bool
    """Whether `holder` has it now; else `term` and `remaining_ms` are those of whoever has."""
    remaining_ms: int
    """By the store's clock."""


class Cosigned(Struct, frozen=True, kw_only=True):
    """A signed checkpoint with cosignatures, and what the policy of that time said of it."""

    size: int
    checkpoint: bytes
    attested: bool
    """Whether the policy asks for witnesses, and as many as it asks for have cosigned."""
    policy: bytes
    """The policy's text (C2SP tlog-policy); empty where the store has lost it."""
    version: int = 0
    """Counts from 1 for each size; the store numbers them. A later one holds more cosignatures."""
    policy_sha256: bytes = b""
    """The digest by which the store names the policy."""


Row = tuple[Any, ...]
"""(index, event id as text, record bytes, leaf hash, *the search columns asked for, UUIDs as text)."""


class Store(Protocol):
    """The writer's side of the database."""

    async def append(
        self,
        known_size: int,
        event_ids: Sequence[UUID],
        records: Sequence[bytes],
        *,
        timeline: int | None = None,
    ) -> Appended:
        """Make the batch durable at the ledger's end, all of it or none of it; return what was stored.

        The same ids with the same bytes in the same order again: the original's answer, nothing written.
        On another timeline than the one given, nothing is written at all: `DatabaseChanged`.
        Requires 1 <= len(records) == len(event_ids). The first append of all is record 0 (genesis) alone.
        Raises `LedgerForked` where the ledger is shorter than `known_size`, `CallerBehind` where it is
        longer by more than the store gives back, or by a rotation of the log's key, which the caller has to
        read before it signs anything, `RecordRefused` where the batch's own data is at fault
        (an id known with other bytes, not a record), `LedgerUnavailable` for everything that may pass:
        then the caller does not know whether the batch is durable, and must try it again as it is.
        Raises `LedgerNotInitialised` where the first record is not the genesis, `LedgerExists` for a second.
        """
        ...

    async def publish(self, size: int, checkpoint: bytes) -> None:
        """Keep a signed checkpoint for others to read. Publishing the same again changes nothing."""
        ...

    async def lease(self, name: str, holder: UUID, ttl_ms: int) -> Lease:
        """Take the lease, or keep it, for `ttl_ms` from now by the store's clock, unless another holds it.

        Nothing waits, and nothing rests on the session. Requires 1 <= ttl_ms <= 3,600,000.
        """
        ...

    async def release(self, name: str, holder: UUID) -> None:
        """Give the lease back before its time, if `holder` has it."""
        ...

    async def cosign(self, lease: Lease, cosigned: Cosigned) -> None:
        """Keep a checkpoint with cosignatures, as the next version of its size. The store fills in what has a default.

        Storing the newest version again changes nothing. Requires a signed checkpoint of that size to be published,
        else raises `RecordRefused`. Raises `LeaseLost` where `lease` is not, or no longer, held.
        """
        ...

    async def ready(self) -> Readiness:
        """Which database answers, and whether it can take records. Raises `LedgerUnavailable`."""
        ...

    async def close(self) -> None:
        """Give back every connection."""
        ...


class Reader(Protocol):
    """The reader's side: each call pins a tree size given by its caller, never a snapshot.

    Raises `LedgerUnavailable` where the database cannot answer, `NotFound` for an index not there.
    """

    async def head(self) -> Head:
        """The newest committed batch's state; size 0 where there is no record."""
        ...

    async def head_at(self, size: int) -> Head | None:
        """The state after the batch that ended exactly at `size`; None where no batch did."""
        ...

    async def record(self, index: int) -> Stored: ...

    async def leaf_hashes(self, first: int, end: int) -> list[bytes]:
        """Leaf hashes of [first, end), in order. At most 65,536 a call."""
        ...

    async def nodes(self, wanted: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """Stored tile hashes: (height, index) -> hash for each of `wanted` that is complete and stored
        (heights 8, 16, 24 ...). A height-h node of index i covers records [i << h, (i + 1) << h)."""
        ...

    async def hashes(self, stretches: Sequence[tuple[int, int, int]]) -> list[bytes]:
        """For each (height, first, end): the stored hashes of that height (0, 8, 16 ...) and these indices, end to end;
        one that is missing is missing from them. At most 64 stretches a call, of at most 256 hashes each."""
        ...

    def records(self, first: int, end: int) -> AsyncIterator[Stored]:
        """Records of [first, end) in order, in constant memory."""
        ...

    def rows(self, first: int, end: int, count: int, columns: Sequence[str] = COLUMNS) -> AsyncIterator[list[Row]]:
        """What is stored of [first, end), as fast as the store can: lists of up to `count` rows, in order.

        A list covers the next `count` indices; one that is missing from the store is missing from the list.
        Fewer search `columns` come faster; the hashes alone need none.
        """
        ...

    def tiles(self, first: int, end: int, columns: Sequence[str]) -> AsyncIterator[list[Tile]]:
        """The same by tiles of 256 records, packed, as `audit.packed.judge` takes them: lists of tiles, in order.

        `first` is a multiple of 256. Lines are made where there are any `columns`: these are then `LINE_COLUMNS`.
        A record that is missing from the store is missing from its tile.
        """
        ...

    async def batches(self, first: int, end: int) -> list[Batch]:
        """The batches that end in (first, end], in order."""
        ...

    async def batch_before(self, size: int) -> Batch:
        """The last batch that ends at `size` or before. Raises `NotFound` where none does."""
        ...

    async def extent(self) -> Extent:
        """How far the ledger reaches."""
        ...

    async def completed(self, first: int, end: int) -> dict[tuple[int, int], bytes]:
        """Stored tile hashes of the subtrees that the records [first, end) completed: (height, index) -> hash."""
        ...

    async def rotations(self, first: int, end: int) -> list[Stored]:
        """The records of kind `key_rotated` of [first, end), in order, whether or not they rotate anything.

        At most 256: where there are as many, ask again from behind the last.
        """
        ...

    async def unclosed_windows(self, first: int, end: int) -> Unclosed:
        """The windows among the records [first, end) that no record closes.

        At most 10,000 windows are looked at: where `upto` is below `end`, ask again from there. Where it is not
        above `first`, the ledger that was asked has no more records yet.
        """
        ...

    async def checkpoint(self) -> tuple[int, bytes] | None:
        """Which checkpoint to serve: the largest that met the policy when it was stored, else the largest signed."""
        ...

    async def signed(self) -> tuple[int, bytes] | None:
        """The published checkpoint of the largest size, or None; what others cosigned may be behind it."""
        ...

    async def cosigned(self, first: int, end: int, count: int) -> list[Cosigned]:
        """The newest `count` checkpoints with cosignatures of sizes in (first, end], every version, newest first."""
        ...

    async def covering(self, size: int) -> tuple[int, bytes] | None:
        """The published checkpoint of the smallest size that is not below `size`, or None."""
        ...

    async def checkpoints(self, first: int, end: int) -> list[tuple[int, bytes]]:
        """The published checkpoints of sizes in (first, end], by size."""
        ...

    async def close(self) -> None: ...


class Clock(Protocol):
    def now_us(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...


class Keys(Protocol):
    """The signing keys that a process was given. Which of them signs is for the ledger's records to say."""

    def signer(self, key: Verifier) -> Signer | None:
        """The signing half of `key`, if it is at hand now; it may be at a later call."""
        ...


class Proven(Struct, frozen=True, kw_only=True):
    """A record that is durable, and its proof: C2SP tlog-proof text whose `extra` line is the record."""

    index: int
    leaf_hash: bytes
    proof: str


class Anchored(Struct, frozen=True, kw_only=True):
    """One anchor: the signed checkpoint's text, its size and root, and the database it was taken from."""

    checkpoint: str
    size: int
    root: bytes
    system_identifier: str | None
    timeline: int


class Anchor(Protocol):
    """Where checkpoints go that the database's owner cannot reach: one place, or several taken together."""

    def parts(self) -> "Sequence[Anchor]":
        """The places, one by one: a ledger is compared with the newest checkpoint of each. One alone is its only
        part."""
        ...

    def trust(self, keys: Sequence[Verifier]) -> None:
        """Checkpoints signed by any of `keys`, which are all of one log, are anchors of that log from now on."""
        ...

    def newest(self) -> Anchored | None:
        """The anchor of the largest size, or None. Raises `LedgerUnavailable` where it cannot be read, and
        `KeyUnknown` where the newest that bears the log's name is signed by none of its keys."""
        ...

    def all(self) -> Iterator[Anchored]:
        """Every anchor, oldest first."""
        ...

    def put(self, signed: str, *, system_identifier: str | None, timeline: int) -> None:
        """Durable when it returns; a smaller size than the newest, or the same again, changes nothing.

        Raises `LedgerForked` where the newest anchor has the same size and another root, and
        `LedgerUnavailable` where it cannot be kept.
        """
        ...


class Outages(Protocol):
    """Where an outage is noted until it is on record, so that a restart does not lose it."""

    def note(self, outage: Outage) -> None:
        """Durable when it returns; replaces the note of the same process. Raises `LedgerUnavailable`."""
        ...

    def left(self) -> Iterable[Outage]:
        """The outages of processes that are gone, each given to one caller."""
        ...

    def clear(self, outage: Outage) -> None:
        """It is on record."""
        ...

    def close(self) -> None:
        """Leave what is not on record to whoever starts next."""
        ...


class Observer(Protocol):
    """Who is told how the ledger fares (metrics, logs); it must neither block nor raise."""

    def flushed(self, *, records: int, commit_us: int) -> None: ...

    def anchored(self, anchor: str, size: int) -> None:
        """The anchor of this name holds the checkpoint of this size, the newest there was a moment ago."""
        ...

    def event(self, code: str, message: str) -> None:
        """Something an operator should know: `unavailable`, `recovered`, `forked`, `timeline_changed`,
        `key_rotated`."""
        ...


class PublishingObserver(Protocol):
    """Who is told how publishing fares; it must neither block nor raise."""

    def anchored(self, anchor: str, size: int) -> None: ...

    def anchor_failed(self, anchor: str, reason: str) -> None: ...

    def witnessed(self, witness: str, size: int) -> None: ...

    def witness_failed(self, witness: str, reason: str) -> None: ...

    def attested(self, size: int) -> None:
        """A checkpoint of this size has the cosignatures that the policy asks for, and is served."""
        ...

    def event(self, code: str, message: str) -> None:
        """Something an operator should know: `forked`, `anchor_altered`, `publisher_leads`, `publisher_failed`."""
        ...


class Recorder(Protocol):
    """What the service asks of the ledger (`audit.ledger.Ledger` is the one implementation)."""

    async def append(self, record: Record) -> Proven:
        """Durable and proved when it returns. Raises `LedgerUnavailable` or `RecordRefused`."""
        ...

    def enter(self) -> None:
        """A request that will append is under way: a flush may linger for it."""
        ...

    def leave(self) -> None:
        """It has appended, or never will."""
        ...

    def unready(self) -> str | None:
        """Why no record can be taken now, or None."""
        ...

    def refused(self, recorded_at_us: int) -> None:
        """A request was answered 503 because it could not be recorded; the next outage record counts it."""
        ...
