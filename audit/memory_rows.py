"""The rows of the ledger in memory, read as PostgreSQL would give them, also where somebody altered them.

Nothing here trusts a row's place in its list, or that its columns are those of its record.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from audit.derived import COLUMNS
from audit.extent import Batch, Extent, Stray
from audit.packed import LINE_COLUMNS, TEXTS, Tile
from audit.ports import Row, Stored

Columns = tuple[Any, ...]
"""As `derived.columns_of` gives them."""
MAX_BATCH_RECORDS = 1_024


def within(stored: Sequence[Stored], columns: Sequence[Columns], first: int, end: int) -> list[tuple[Stored, Columns]]:
    """The rows of [first, end), by index."""
    found = [pair for pair in zip(stored, columns, strict=True) if first <= pair[0].index < end]
    return sorted(found, key=lambda pair: pair[0].index)


def row(one: Stored, columns: Columns, names: Sequence[str]) -> Row:
    values = dict(zip(COLUMNS, columns, strict=True))
    return (one.index, str(one.event_id), one.body, one.leaf_hash, *(values[name] for name in names))


def tile(first: int, rows: Sequence[tuple[Stored, Columns]], names: Sequence[str]) -> Tile:
    """As the statement in `audit.postgres.reader` packs it."""
    return Tile(
        first=first,
        indices=b"".join(one.index.to_bytes(8, signed=True) for one, _ in rows),
        lengths=b"".join((len(one.body) + 1).to_bytes(4) for one, _ in rows),
        bodies=b"\x00".join(one.body for one, _ in rows),
        leaves=b"".join(one.leaf_hash for one, _ in rows),
        lines=b"\n".join(_line(one, columns) for one, columns in rows) if names else b"",
        doubtful=sum(_doubtful(columns) for _, columns in rows) if names else 0,
    )


def _line(one: Stored, columns: Columns) -> bytes:
    values = {name: "" if value is None else str(value) for name, value in zip(COLUMNS, columns, strict=True)}
    values["model"] = values["model"].replace("@", ",")
    return ",".join((str(one.event_id), *(values[name] for name in LINE_COLUMNS))).encode()


def _doubtful(columns: Columns) -> bool:
    values = dict(zip(COLUMNS, columns, strict=True))
    return any(values[name] == "" for name in TEXTS) or "," in str(values["model"])


def extent(
    stored: Sequence[Stored],
    batches: Iterable[Batch],
    nodes: Iterable[tuple[tuple[int, int], bytes]],
    checkpoints: Iterable[tuple[int, bytes]],
) -> Extent:
    """As the statement in `audit.postgres.extent` finds it."""
    rows = sorted(batches, key=lambda batch: batch.size)
    written = [one.size for one in rows if one.first >= 0 and 1 <= one.size - one.first <= MAX_BATCH_RECORDS]
    batched = end = max(written, default=0)
    indices = {one.index for one in stored}
    while end in indices:
        end += 1
    return Extent(
        batched=batched,
        end=end,
        stored_end=max((index for index in indices if 0 <= index < end), default=-1) + 1,
        records=tuple(
            Stray(index=one.index, leaf=sha256(b"\x00" + one.body).digest())
            for one in sorted(stored, key=lambda one: one.index)
            if not 0 <= one.index < end
        ),
        batches=tuple(one for one in rows if not 0 < one.size <= end),
        nodes=tuple((*place, hash_) for place, hash_ in nodes if not _within(place, end)),
        checkpoints=tuple((size, signed) for size, signed in sorted(checkpoints) if not 0 < size <= end),
    )


def _within(place: tuple[int, int], size: int) -> bool:
    height, index = place
    return height in range(8, 57, 8) and 0 <= index < size >> height
