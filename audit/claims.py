"""What is said of a ledger's states: by batch rows in the database, and by checkpoints that the log's key signed.

A claim is about the tree of its first `size` records. Claims are what records are held to; who is right where they
disagree is for `audit.explain` to say.

Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from msgspec import Struct, structs

from audit import chain, merkle, record
from audit.derived import COLUMNS, columns_of
from audit.errors import Malformed
from audit.extent import Batch
from audit.ports import Row
from traceability.marks import implements

MAX_BATCH_RECORDS: Final = 1_024  # what `ledger.append` takes at once


class Signed(Struct, frozen=True, kw_only=True):
    """A checkpoint that the log's key signed. `note` is the whole of it."""

    size: int
    root: bytes
    note: str


class Claim(Struct, frozen=True, kw_only=True):
    """Everything that is said of one size."""

    size: int
    batch: Batch | None = None
    signed: tuple[Signed, ...] = ()


@implements("REQ-AUD-012")
def claims_of(batches: Iterable[Batch], signed: Iterable[Signed]) -> list[Claim]:
    """One for each size that anything is said of, in order."""
    rows: dict[int, Batch] = {}
    for batch in batches:
        rows[batch.size] = batch if batch.size not in rows else _neither(batch)
    notes: dict[int, list[Signed]] = {}
    for one in signed:
        notes.setdefault(one.size, []).append(one)
    return [
        Claim(size=size, batch=rows.get(size), signed=tuple(notes.get(size, ())))
        for size in sorted(rows.keys() | notes.keys())
    ]


def _neither(batch: Batch) -> Batch:
    """Of a size that two rows are about, neither is believed: no state has these hashes."""
    return structs.replace(batch, chain=b"", frontier=())


class Seen(Struct, frozen=True, kw_only=True):
    """One stored record, as far as verification needs it."""

    index: int
    leaf: bytes
    """Of its bytes."""
    stored: bytes
    """What is stored as its leaf hash."""
    wrong: tuple[str, ...] = ()
    """The columns that are not what the bytes say."""
    clock_us: int | None = None
    readable: bool = True
    """Whether the bytes are a record's."""


def seen(row: Row, columns: Sequence[str]) -> Seen:
    """`row` judged by itself. Without `columns`, its hash alone."""
    index, event_id, body, stored, *values = row
    leaf = sha256(b"\x00" + body).digest()  # RFC 6962 section 2.1
    if not columns:
        return Seen(index=index, leaf=leaf, stored=stored)
    try:
        entry = record.decode(body)
    except Malformed:
        return Seen(index=index, leaf=leaf, stored=stored, readable=False)
    wrong = [] if entry.event_id == event_id else ["event_id"]
    said = dict(zip(COLUMNS, columns_of(entry), strict=True))
    wrong += [name for name, value in zip(columns, values, strict=True) if said[name] != value]
    return Seen(index=index, leaf=leaf, stored=stored, wrong=tuple(wrong), clock_us=entry.recorded_at_us)


class State(Struct, frozen=True, kw_only=True):
    """What is believed of the first `size` records."""

    size: int
    frontier: tuple[bytes, ...]
    chain: bytes

    def after(self, leaves: Sequence[bytes]) -> "State":
        return State(
            size=self.size + len(leaves),
            frontier=merkle.extend(self.size, self.frontier, leaves),
            chain=chain.extend(self.chain, leaves),
        )

    @property
    def root(self) -> bytes:
        return merkle.frontier_root(self.size, self.frontier)


def begin(origin: str) -> State:
    return State(size=0, frontier=(), chain=chain.start(origin))


@implements("REQ-AUD-012")
def parts_of(size: int) -> list[tuple[int, int]]:
    """The records [first, end) under each hash of the frontier at `size`, largest first."""
    return [(place << height, place + 1 << height) for height, place in merkle.frontier_needs(size)]


Rows = Mapping[int, Seen]
"""By the index at which they are stored."""
