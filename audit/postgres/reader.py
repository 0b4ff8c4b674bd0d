"""The reader's side: SELECT on the ledger's tables, in pages that each are a statement of their own.

No snapshot is held between pages: rows never change, so a tree size pins what is read.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from psycopg import AsyncConnection

from audit.attestation import Served
from audit.derived import COLUMNS
from audit.errors import NotFound
from audit.extent import Extent
from audit.merkle import MAX_SIZE
from audit.packed import LINE_COLUMNS, TEXTS, TILE, Tile
from audit.ports import Batch, Cosigned, Head, Row, Stored, Unclosed
from audit.postgres.ahead import Values, pages
from audit.postgres.connections import GRACE_MS, Connections, Limits, target
from audit.postgres.extent import EXTENT, extent_of
from traceability.marks import implements

NAME: Final = "medai reader"
MAX_LEAF_HASHES: Final = 65_536
MAX_WINDOWS: Final = 10_000
RECORDS_A_PAGE: Final = 1_024

BATCH: Final = "SELECT first, size, chain, frontier FROM ledger.batches"
# Whoever may drop a constraint may store no value where one must be: it is read as an empty one, and found to be wrong.
BYTES: Final = "coalesce(record, '') AS record, coalesce(leaf_hash, '') AS leaf_hash"
STORED: Final = f"SELECT idx, event_id, {BYTES} FROM ledger.records"  # nosec B608  # our constants
ROTATIONS: Final = f"""
    {STORED} WHERE kind = 'key_rotated' AND idx >= %b::bigint AND idx < %b::bigint ORDER BY idx LIMIT 256
"""  # nosec B608  # a statement of ours
PAGE: Final = " WHERE idx >= %b::bigint AND idx < %b::bigint ORDER BY idx"
# How far it was looked is of the same snapshot as what was found. OFFSET 0 keeps one look at the index of closing
# records for each window: as a join, the planner may read all that were ever closed.
UNCLOSED: Final = f"""
    WITH looked AS MATERIALIZED (
        SELECT idx FROM ledger.records
        WHERE phase = 'opened' AND idx >= %b::bigint AND idx < %b::bigint ORDER BY idx LIMIT {MAX_WINDOWS}
    ), reached AS (
        SELECT CASE WHEN count(*) = {MAX_WINDOWS} THEN max(idx) + 1 ELSE
            least(%b::bigint, (SELECT coalesce(max(size), 0) FROM ledger.batches)) END AS upto FROM looked
    ), unclosed AS (
        SELECT idx FROM looked WHERE NOT EXISTS (
            SELECT FROM ledger.records AS closed WHERE closed.of_index = looked.idx AND closed.phase = 'closed' OFFSET 0
        )
    )
    SELECT upto, idx, event_id, record, leaf_hash
    FROM reached LEFT JOIN (unclosed JOIN ledger.records USING (idx)) ON true ORDER BY idx
"""  # nosec B608  # a number of ours
# A series goes up, and so do its tiles; one that is out of its place would not be the records that are asked for.
# LIMIT: an index scan in order, however the planner guesses; one more than a tile, so that a row too many is seen.
TILES: Final = """
    SELECT t, indices, lengths, bodies, leaves, lines, doubtful
    FROM (SELECT $1::bigint AS first, $2::bigint AS beyond) AS page,
    generate_series(first, beyond - 1, 256) AS t, LATERAL (
        SELECT string_agg(int8send(idx), ''::bytea) AS indices,
            string_agg(int4send(octet_length(record) + 1), ''::bytea) AS lengths,
            string_agg(record, '\\x00'::bytea) AS bodies, string_agg(leaf_hash, ''::bytea) AS leaves, {lines}
        FROM (SELECT * FROM ledger.records WHERE idx >= t AND idx < least(t + 256, beyond) ORDER BY idx LIMIT 257) AS r
    ) AS tile
"""
TILES_A_PAGE: Final = 10
NO_LINES: Final = "NULL::bytea AS lines, 0::bigint AS doubtful"
LINES: Final = """
    convert_to(string_agg(concat(event_id, ',', {}, ',', replace(model, '@', ',')), E'\\n'), 'UTF8') AS lines,
    count(*) FILTER (WHERE {} OR strpos(model, ',') > 0) AS doubtful
""".format(", ',', ".join(LINE_COLUMNS[:-1]), " OR ".join(f"{name} = ''" for name in sorted(TEXTS)))
NODES: Final = """
    SELECT height, idx, hash FROM ledger.nodes
    JOIN unnest(%b::smallint[], %b::bigint[]) AS wanted (height, idx) USING (height, idx)
"""
# One value a stretch: a row for each hash would cost more than to find them. Each stretch is a statement of its own
# with its bounds in sight: a join over all of them would be planned for a share of the table, not for 256 rows.
LEAVES_OF: Final = (
    "(SELECT string_agg(leaf_hash, ''::bytea ORDER BY idx) FROM ledger.records"
    " WHERE idx >= %b::bigint AND idx < %b::bigint)"
)
NODES_OF: Final = (
    "(SELECT string_agg(hash, ''::bytea ORDER BY idx) FROM ledger.nodes"
    " WHERE height = %b::smallint AND idx >= %b::bigint AND idx < %b::bigint)"
)
MAX_STRETCHES: Final = 64
# The subtree (height, idx) is completed when the tree reaches the size (idx + 1) << height.
COMPLETED: Final = """
    SELECT height, idx, hash FROM generate_series(8, 56, 8) AS height
    JOIN ledger.nodes AS n USING (height)
    WHERE n.idx >= %b::bigint >> height AND n.idx < %b::bigint >> height
"""

SIGNED: Final = "SELECT size, checkpoint FROM ledger.checkpoints ORDER BY size DESC LIMIT 1"
SERVED: Final = f"""
    SELECT size, checkpoint FROM (
        (SELECT size, checkpoint, 1 AS rank FROM ledger.cosigned WHERE attested
            ORDER BY size DESC, version DESC LIMIT 1)
        UNION ALL (SELECT size, checkpoint, 2 FROM ({SIGNED}) AS signed)
    ) AS candidates ORDER BY rank LIMIT 1
"""  # nosec B608  # a statement of ours
COSIGNED: Final = """
    SELECT size, coalesce(version, 0::smallint), attested, c.policy, coalesce(p.policy, ''), checkpoint
    FROM ledger.cosigned AS c LEFT JOIN ledger.policies AS p ON p.digest = c.policy
    WHERE size > %b::bigint AND size <= %b::bigint ORDER BY size DESC, version DESC LIMIT %b::bigint
"""


@implements("REQ-LED-028")
class PostgresReader:
    """Implements `audit.ports.Reader`. Nothing is connected before the first call; call `close` at the end."""

    def __init__(
        self,
        url: str,
        *,
        connect_timeout_ms: int = 2_000,
        statement_timeout_ms: int = 60_000,
        connections: int = 2,
        serves: Served = "attested",
    ) -> None:
        limits = Limits(
            connections=connections,
            connect_timeout_ms=connect_timeout_ms,
            statement_timeout_ms=statement_timeout_ms,
            lock_timeout_ms=statement_timeout_ms,
        )
        self._served = SERVED if serves == "attested" else SIGNED
        self._connections = Connections(url, limits, application_name=NAME)
        self._target = target(url, limits, application_name=NAME)
        self._answer_s = (connect_timeout_ms + statement_timeout_ms + GRACE_MS) / 1000

    async def head(self) -> Head:
        rows = await self._rows(f"{BATCH} ORDER BY size DESC LIMIT 1", ())
        return _head(rows[0]) if rows else Head(size=0, frontier=(), chain=b"")

    async def head_at(self, size: int) -> Head | None:
        rows = await self._rows(f"{BATCH} WHERE size = %b::bigint", (size,))
        return _head(rows[0]) if rows else None

    async def record(self, index: int) -> Stored:
        # Beyond what the database can count, it would refuse the question.
        rows = await self._rows(f"{STORED} WHERE idx = %b::bigint", (index,)) if index <= MAX_SIZE else []
        if not rows:
            raise NotFound(f"ledger: no record {index}")
        return _stored(rows[0])

    async def leaf_hashes(self, first: int, end: int) -> list[bytes]:
        select = f"SELECT coalesce(leaf_hash, '') FROM ledger.records {PAGE} LIMIT {MAX_LEAF_HASHES}"  # nosec B608  # our constants
        return [leaf for (leaf,) in await self._rows(select, (first, end))]

    async def nodes(self, wanted: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        heights, places = [height for height, _ in wanted], [place for _, place in wanted]
        return {(height, place): hash_ for height, place, hash_ in await self._rows(NODES, (heights, places))}

    async def hashes(self, stretches: Sequence[tuple[int, int, int]]) -> list[bytes]:
        assert len(stretches) <= MAX_STRETCHES
        if not stretches:
            return []
        parts = [NODES_OF if height else LEAVES_OF for height, _, _ in stretches]
        bounds = [bound for stretch in stretches for bound in (stretch if stretch[0] else stretch[1:])]
        select = f"SELECT {', '.join(parts)}"  # nosec B608  # our constants, one for each stretch
        (row,) = await self._rows(select, tuple(bounds))
        return [found or b"" for found in row]

    async def records(self, first: int, end: int) -> AsyncIterator[Stored]:
        async for page in self._pages(STORED + PAGE, first, end, RECORDS_A_PAGE):
            for row in page:
                yield _stored(row)

    async def rows(
        self, first: int, end: int, count: int, columns: Sequence[str] = COLUMNS
    ) -> AsyncIterator[list[Row]]:
        async for page in self._pages(_select(columns) + PAGE, first, end, count):
            yield page

    async def tiles(self, first: int, end: int, columns: Sequence[str]) -> AsyncIterator[list[Tile]]:
        select = TILES.format(lines=LINES if columns else NO_LINES).encode()
        bounds = range(first, end, TILES_A_PAGE * TILE)
        async with contextlib.aclosing(pages(self._target, select, bounds, end, answer_s=self._answer_s)) as fetched:
            async for page in fetched:
                yield [_tile(row) for row in page]

    async def batches(self, first: int, end: int) -> list[Batch]:
        select = f"{BATCH} WHERE size > %b::bigint AND size <= %b::bigint ORDER BY size"
        return [_batch(row) for row in await self._rows(select, (first, end))]

    async def batch_before(self, size: int) -> Batch:
        rows = await self._rows(f"{BATCH} WHERE size <= %b::bigint ORDER BY size DESC LIMIT 1", (size,))
        if not rows:
            raise NotFound(f"ledger: no batch ends at size {size} or before")
        return _batch(rows[0])

    async def extent(self) -> Extent:
        (row,) = await self._rows(EXTENT, ())
        return extent_of(row)

    async def completed(self, first: int, end: int) -> dict[tuple[int, int], bytes]:
        found: dict[tuple[int, int], bytes] = {}
        for height, place, hash_ in await self._rows(COMPLETED, (first, end)):
            found[height, place] = found.get((height, place), b"") + (hash_ or b"")  # twice, it is no hash
        return found

    async def rotations(self, first: int, end: int) -> list[Stored]:
        return [_stored(row) for row in await self._rows(ROTATIONS, (first, end))]

    async def unclosed_windows(self, first: int, end: int) -> Unclosed:
        rows = await self._rows(UNCLOSED, (first, end, end))
        return Unclosed(windows=tuple(_stored(row[1:]) for row in rows if row[1] is not None), upto=rows[0][0])

    async def checkpoint(self) -> tuple[int, bytes] | None:
        return _newest(await self._rows(self._served, ()))

    async def signed(self) -> tuple[int, bytes] | None:
        return _newest(await self._rows(SIGNED, ()))

    async def cosigned(self, first: int, end: int, count: int) -> list[Cosigned]:
        return [_cosigned(row) for row in await self._rows(COSIGNED, (first, end, count))]

    async def covering(self, size: int) -> tuple[int, bytes] | None:
        select = "SELECT size, checkpoint FROM ledger.checkpoints WHERE size >= %b::bigint ORDER BY size LIMIT 1"
        rows = await self._rows(select, (size,))
        return (rows[0][0], rows[0][1]) if rows else None

    async def checkpoints(self, first: int, end: int) -> list[tuple[int, bytes]]:
        select = "SELECT size, checkpoint FROM ledger.checkpoints WHERE size > %b::bigint AND size <= %b::bigint"
        return [(size, signed) for size, signed in await self._rows(f"{select} ORDER BY size", (first, end))]

    async def close(self) -> None:
        await self._connections.close()

    async def _pages(self, select: str, first: int, end: int, count: int) -> AsyncIterator[list[Row]]:
        """Pages of [at, at + count); the next is asked for before one is handed out, so that the server reads
        while the caller works."""
        assert count > 0
        starts = range(first, end, count)
        coming = [self._page(select, at, min(at + count, end)) for at in starts[:1]]
        try:
            for after in (*starts[1:], None):
                if not coming:
                    return
                page = await coming.pop()
                if after is not None:
                    coming.append(self._page(select, after, min(after + count, end)))
                    await asyncio.sleep(0)  # the question is sent before the caller computes
                yield page
        finally:
            for abandoned in coming:
                abandoned.cancel()

    def _page(self, select: str, first: int, end: int) -> "asyncio.Task[list[Row]]":
        task = asyncio.create_task(self._rows(select, (first, end)))
        # An abandoned page may have failed, and nobody will ask.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _rows(self, select: str, parameters: tuple[object, ...]) -> list[Row]:
        async def work(connection: AsyncConnection[Any]) -> list[Row]:
            cursor = await connection.execute(select, parameters, binary=True)
            return await cursor.fetchall()

        return await self._connections.run(work)


def _select(columns: Sequence[str]) -> str:
    """The statement for these search columns. Raises `ValueError` for one that is not of `COLUMNS`."""
    if not set(columns) <= set(COLUMNS):
        raise ValueError(f"rows: expected columns of {COLUMNS}, got {tuple(columns)}")
    # psycopg makes UUID objects in Python; text is what records hold, and comes at a fraction of the time.
    casts = [f"{name}::text" if name in {"request_id", "process_id"} else name for name in columns]
    named = ", ".join(["idx", "event_id::text", BYTES, *casts])
    return f"SELECT {named} FROM ledger.records"  # nosec B608  # names of COLUMNS, nothing a caller wrote


def _newest(rows: list[Row]) -> tuple[int, bytes] | None:
    return (rows[0][0], rows[0][1]) if rows else None


def _cosigned(row: Row) -> Cosigned:
    size, version, attested, digest, policy, checkpoint = row
    return Cosigned(
        size=size, version=version, attested=attested, policy=policy, policy_sha256=digest, checkpoint=checkpoint
    )


def _head(row: Row) -> Head:
    _, size, chain, frontier = row
    return Head(size=size, frontier=tuple(frontier or ()), chain=chain or b"")


def _tile(row: Values) -> Tile:
    first, indices, lengths, bodies, leaves, lines, doubtful = row
    assert first is not None
    assert doubtful is not None, "a count"
    return Tile(
        first=int.from_bytes(first, signed=True),
        indices=indices or b"",
        lengths=lengths or b"",
        bodies=bodies or b"",
        leaves=leaves or b"",
        lines=lines or b"",
        doubtful=int.from_bytes(doubtful, signed=True),
    )


def _batch(row: Row) -> Batch:
    first, size, chain, frontier = row
    return Batch(first=-1 if first is None else first, size=size, chain=chain or b"", frontier=tuple(frontier or ()))


def _stored(row: Row) -> Stored:
    index, event_id, body, leaf_hash = row
    return Stored(index=index, event_id=event_id, body=body, leaf_hash=leaf_hash)
