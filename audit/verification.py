"""Verifying a whole ledger: split in stretches, walked by several processes, held to its anchors.

Everything stored is recomputed: record bytes, search columns, leaf hashes, chain, subtrees, batches; and the
root at every anchored size is compared with what was signed. What the anchors do not reach is consistent at
best: a superuser who rewrites it and recomputes all hashes leaves no trace inside the database.
"""

import asyncio
import contextlib
import gc
import itertools
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from msgspec import Struct

from audit import chain, checkpoint, note, record, tree
from audit.derived import COLUMNS
from audit.errors import Altered, AuditError, LedgerNotInitialised, Malformed, NotFound
from audit.packed import LINE_COLUMNS, TILE
from audit.ports import Anchored, Reader
from audit.record import Genesis
from audit.walk import Expected, Found, Walk

OpenReader = Callable[[], Reader]
"""Opens a reader of its own in whichever process calls it; picklable."""

MAX_STRETCH: Final = 1 << 18
LARGEST: Final = (1 << 63) - 1  # no ledger is longer: an index is a signed 64-bit integer in the database
MIN_SHARE: Final = 1 << 14  # starting a process takes as long as verifying about this many records
MAX_FOUND: Final = 1_000  # per stretch: a ledger with more faults than this is not read for the next one


class Report(Struct, frozen=True, kw_only=True):
    """The verdict on a ledger: `exit_code` and `words` as DESIGN has them, and every fault that was found."""

    exit_code: int
    words: str
    origin: str
    size: int
    anchored: int
    found: tuple[Found, ...]


class Stretch(Struct, frozen=True, kw_only=True):
    """Records [first, end) of a ledger; `first` is a multiple of 256."""

    first: int
    end: int
    final: bool
    origin: str
    key: str
    tolerance_us: int
    schema: bool
    roots: dict[int, bytes]


async def verify(
    open_reader: OpenReader,
    verifier: note.Verifier,
    anchors: Iterator[Anchored],
    *,
    processes: int | None = None,
    schema: bool = True,
) -> Report:
    """Verify the whole ledger as it is when this starts.

    1. record 0 names this log's key; 2. the anchors (each signed by that key) agree in size with the ledger;
    3. every stretch recomputes to what is stored and anchored. Without `processes`, as many as there are cores and
    as are worth starting. Raises `LedgerUnavailable`,
    `LedgerNotInitialised`; everything that is wrong with the ledger itself is in the report.
    """
    held, forked = _held(anchors)
    reader = open_reader()
    try:
        published = await reader.signed()  # before the head: meanwhile, records are added and published
        size = (await reader.head()).size
        if size == 0:
            raise LedgerNotInitialised("ledger: no record 0; run `medai ledger init`")
        genesis = await _genesis(reader)
        uncovered = await _uncovered(reader, size)
    finally:
        await reader.close()
    if isinstance(genesis, Found):
        return _report(verifier.name, size, 0, [genesis])
    newest = max([*held, published[0] if published is not None else 0])
    found = forked + uncovered + _check_key(genesis, verifier) + _check_size(size, newest)
    processes = processes or min(os.cpu_count() or 1, 1 + size // MIN_SHARE)
    stretches = _split(size, genesis, str(verifier), held, processes=processes, schema=schema)
    found += await _walk_all(open_reader, stretches, processes)
    return _report(genesis.origin, size, max((at for at in held if at <= size), default=0), found)


def _held(anchors: Iterator[Anchored]) -> tuple[dict[int, bytes], list[Found]]:
    """The anchored roots, by size; two for one size show that the key has signed two histories, whichever is stored."""
    held: dict[int, bytes] = {}
    forked: set[int] = set()
    for anchored in anchors:
        if held.setdefault(anchored.size, anchored.root) != anchored.root:
            forked.add(anchored.size)
    return held, [_fork(size) for size in sorted(forked)]


def _fork(size: int) -> Found:
    return Found(fault="forked", first=size, end=size, message=f"two different roots were signed for size {size}")


async def _genesis(reader: Reader) -> Genesis | Found:
    try:
        genesis = record.decode((await reader.record(0)).body)
    except (NotFound, Malformed):
        genesis = None
    if isinstance(genesis, Genesis):
        return genesis
    return Found(fault="record_edited", first=0, end=1, message="record 0 is not a genesis record")


async def _uncovered(reader: Reader, size: int) -> list[Found]:
    """Records and subtree hashes after the last batch: `ledger.append` writes none, and a batch that was written
    meanwhile covers its own."""
    after = len(await reader.leaf_hashes(size, size + MAX_STRETCH))
    subtrees = await reader.completed(size, LARGEST)
    covered = (await reader.head()).size
    found = []
    if size + after > covered:
        message = f"records from {covered} belong to no batch"
        found.append(Found(fault="inserted", first=covered, end=size + after, message=message))
    for height, place in sorted(subtrees):
        first, end = place << height, (place + 1) << height
        if end > covered:
            message = f"subtree {height}/{place} is stored, but its records are not"
            found.append(Found(fault="inserted", first=first, end=end, message=message))
    return found[:MAX_FOUND]


def _check_key(genesis: Genesis, verifier: note.Verifier) -> list[Found]:
    if genesis.verifier_key == str(verifier):
        return []
    message = f"record 0 names the key {genesis.verifier_key}, not {verifier}"
    return [Found(fault="wrong_key", first=0, end=1, message=message)]


def _check_size(size: int, newest: int) -> list[Found]:
    if newest <= size:
        return []
    message = f"{size} records, but {newest} were anchored or published: the last {newest - size} are missing"
    return [Found(fault="truncated", first=size, end=newest, message=message)]


def _split(
    size: int, genesis: Genesis, key: str, roots: dict[int, bytes], *, processes: int, schema: bool
) -> list[Stretch]:
    """Stretches of whole tiles: at least eight for each process, so that a slow one does not hold up the rest,
    and none longer than `MAX_STRETCH`, because its batches are held in memory."""
    tiles = -(-size // TILE)
    count = max(min(tiles, processes * 8 if processes > 1 else 1), -(-size // MAX_STRETCH))
    edges = [tiles * part // count * TILE for part in range(count)] + [size]
    return [
        Stretch(
            first=first,
            end=end,
            final=end == size,
            origin=genesis.origin,
            key=key,
            tolerance_us=genesis.clock_tolerance_us,
            schema=schema,
            roots={at: root for at, root in roots.items() if first < at <= end},
        )
        for first, end in itertools.pairwise(edges)
    ]


async def _walk_all(open_reader: OpenReader, stretches: Sequence[Stretch], processes: int) -> list[Found]:
    """Walk every stretch; this process takes its part, and all of it until the others have started."""
    left = deque(stretches)
    found: dict[int, list[Found]] = {}

    async def here() -> None:
        while left:
            stretch = left.popleft()
            found[stretch.first] = await walk(open_reader, stretch)

    async def elsewhere(pool: ProcessPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(pool, _started)
        while left:
            stretch = left.popleft()
            found[stretch.first] = await loop.run_in_executor(pool, _walk_in_process, open_reader, stretch)

    if processes == 1:
        await here()
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes - 1, mp_context=context) as pool:
            await asyncio.gather(here(), *(elsewhere(pool) for _ in range(processes - 1)))
    return [one for first in sorted(found) for one in found[first]]


def _started() -> None:
    """What a process does first: being there."""


def _walk_in_process(open_reader: OpenReader, stretch: Stretch) -> list[Found]:
    return asyncio.run(walk(open_reader, stretch))


async def walk(open_reader: OpenReader, stretch: Stretch) -> list[Found]:
    """Everything that is wrong in one stretch, given that the state at its start is right."""
    reader = open_reader()
    try:
        with _uncollected():
            return await _walk(reader, stretch)
    except (Altered, NotFound) as error:  # hashes are gone that the state at its start is made of
        return [Found(fault="hash_edited", first=stretch.first, end=stretch.end, message=str(error))]
    finally:
        await reader.close()


async def _walk(reader: Reader, stretch: Stretch) -> list[Found]:
    before = await _before(reader, stretch)
    published, wrong = _published(await reader.checkpoints(stretch.first, stretch.end), stretch)
    expected = Expected(
        batches=await reader.batches(stretch.first, stretch.end),
        nodes=await reader.completed(stretch.first, stretch.end),
        covered=before.covered,
        final=stretch.final,
        roots=published | stretch.roots,
        tolerance_us=stretch.tolerance_us,
    )
    steps = Walk(
        size=stretch.first, frontier=before.frontier, chain=before.chain, expected=expected, schema=stretch.schema
    )
    columns = LINE_COLUMNS if stretch.schema else ()
    async for tiles in reader.tiles(stretch.first, stretch.end, columns):
        for tile in tiles:
            end = min(stretch.end, steps.size + TILE)
            if not steps.accept(tile, end) and not await _explained(reader, steps, end, columns):
                return wrong + steps.found
    assert steps.size == stretch.end, "a reader gives every tile, if only an empty one"
    steps.close()
    return wrong + steps.found


def _published(checkpoints: Sequence[tuple[int, bytes]], stretch: Stretch) -> tuple[dict[int, bytes], list[Found]]:
    """The roots that the database itself publishes: each must be signed, and is walked like an anchor's.

    They vouch for nothing: who rewrites the database can take them away.
    """
    roots: dict[int, bytes] = {}
    found = []
    verifier = note.Verifier.parse(stretch.key)
    for size, signed in checkpoints:
        try:
            opened = checkpoint.parse(note.open(signed.decode(), (verifier,)).text)
        except (AuditError, UnicodeDecodeError):
            opened = None
        if opened is None or opened.size != size:
            message = f"the published checkpoint of size {size} is not one that this log signed"
            found.append(Found(fault="hash_edited", first=size, end=size, message=message))
        elif stretch.roots.get(size, opened.root) != opened.root:
            found.append(_fork(size))
        else:
            roots[size] = opened.root
    return roots, found


async def _explained(reader: Reader, steps: Walk, end: int, columns: Sequence[str]) -> bool:
    """Read the records [size, end) one by one, for what is wrong with which; False where the walk ends there."""
    rows = [row async for page in reader.rows(steps.size, end, TILE, COLUMNS if columns else ()) for row in page]
    return steps.tile(rows, end) and sum(one.fault != "time" for one in steps.found) < MAX_FOUND


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """A walk makes millions of objects and no cycles: looking for cycles among them takes a quarter of its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Before(Struct, frozen=True, kw_only=True):
    """The state at a stretch's start, from what the stretches before it will have verified."""

    chain: bytes
    frontier: tuple[bytes, ...]
    covered: int


async def _before(reader: Reader, stretch: Stretch) -> _Before:
    if stretch.first == 0:
        return _Before(chain=chain.start(stretch.origin), frontier=(), covered=0)
    batch = await reader.batch_before(stretch.first)
    between = await reader.leaf_hashes(batch.size, stretch.first)
    return _Before(
        chain=chain.extend(batch.chain, between),
        frontier=await tree.frontier(reader, stretch.first),
        covered=batch.size,
    )


def _report(origin: str, size: int, anchored: int, found: Sequence[Found]) -> Report:
    steps_back = sum(one.fault == "time" for one in found)
    if len(found) > steps_back:
        code, words = 1, f"ALTERED OR BROKEN: {len(found) - steps_back} finding(s) in the {size} records of {origin}"
    elif anchored == 0:
        code = 3
        words = f"consistent but unattested: {size} records of {origin}; no anchor vouches for any of them"
    elif anchored < size:
        code = 0
        words = f"valid up to the anchor at size {anchored}; the {size - anchored} records after it are consistent"
    else:
        code, words = 0, f"valid up to the anchor: all {size} records of {origin}"
    if steps_back:  # a corrected clock is to be explained, and is no alteration
        words += f"; the service's clock stepped back {steps_back} time(s)"
    return Report(exit_code=code, words=words, origin=origin, size=size, anchored=anchored, found=tuple(found))
