"""A ledger in stretches: which there are, what each is held to, and walking them in several processes.

A stretch that comes back clean was recomputed whole, from the state that the database has at its start. That state is
itself what the stretch before it came to, or `audit.verification` goes through both again.
"""

import asyncio
import contextlib
import gc
import itertools
import multiprocessing
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from msgspec import Struct, structs

from audit import chain, published, tree
from audit.accounts import MAX_FOUND
from audit.authority import Authority
from audit.claims import Claim, Signed, State, begin, claims_of
from audit.errors import Altered, AuditError, NotFound
from audit.findings import Found
from audit.packed import LINE_COLUMNS, TILE, Tile
from audit.ports import Anchored, Reader
from audit.walk import Before, Expected, Walk
from traceability.marks import implements

OpenReader = Callable[[], Reader]
"""Opens a reader of its own in whichever process calls it; picklable."""

MAX_STRETCH: Final = 1 << 16
"""Records of a stretch: what is claimed of them is held in memory."""


SWITCH_INTERVAL_S: Final = 0.0005
"""A tenth of the interpreter's own, which is as long as the server takes for a page."""

AHEAD: Final = 4_096
"""Records of the next stretch that are looked at to judge a batch: four times what an append takes."""


class Stretch(Struct, frozen=True, kw_only=True):
    """Records [first, end) of a ledger; `first` is a multiple of 256."""

    first: int
    end: int
    authority: Authority
    tolerance_us: int
    schema: bool
    signed: tuple[Signed, ...]
    """What was signed of sizes in (first, end], as it is kept outside of the database."""
    known: Before | None = None
    """The state at its start, where it is not the database that has to say it."""


class Walked(Struct, frozen=True, kw_only=True):
    """What walking a stretch has shown. Where it is not `clean`, nothing else is."""

    stretch: Stretch
    clean: bool
    before: Before | None = None
    after: Before | None = None
    whole: Before | None = None
    settled: State | None = None
    """The state at the last batch's end, if one ends here."""
    agreed: Claim | None = None
    """The last size of which something was signed."""
    anchored: int = 0
    """The last size that is kept outside of the database."""
    found: tuple[Found, ...] = ()
    unpublished: tuple[int, ...] = ()
    """Sizes of which something is kept outside and nothing is published."""


class Anchors:
    """What was signed and is kept outside, taken from its places as far as a stretch goes, in order of size."""

    def __init__(self, anchored: Iterator[Anchored], authority: Authority) -> None:
        self._authority = authority
        self.foreign: dict[int, str] = {}
        """Sizes of which a key has signed that is the log's, and was not at that size; and why not."""
        self._anchored = filter(self._is_by_its_key, anchored)
        self._next = next(self._anchored, None)
        self._upto = 0
        self.late: list[Signed] = []
        """What came after larger ones."""

    def upto(self, size: int) -> tuple[Signed, ...]:
        """All that were not taken yet, of at most this size; the same thing once."""
        taken: dict[tuple[int, bytes], Signed] = {}
        while self._next is not None and self._next.size <= size:
            signed = signed_of(self._next)
            if signed.size > self._upto:
                taken.setdefault((signed.size, signed.root), signed)
            else:
                self.late.append(signed)
            self._next = next(self._anchored, None)
        self._upto = size
        return tuple(taken.values())

    def largest_left(self) -> int:
        """The largest size that was not taken; 0 where there is none."""
        largest = 0
        while self._next is not None:
            largest = max(largest, self._next.size)
            self._next = next(self._anchored, None)
        return largest

    def _is_by_its_key(self, anchored: Anchored) -> bool:
        """Whether the key that signed is the one of that size: whoever kept it knew the keys, not their sizes."""
        if len(self._authority.epochs) == 1 and self._authority.given is None:
            return True
        try:
            self._authority.open(anchored.checkpoint)
        except AuditError as error:
            if len(self.foreign) < MAX_FOUND:
                self.foreign[anchored.size] = str(error)
            return False
        return True


def signed_of(anchored: Anchored) -> Signed:
    return Signed(size=anchored.size, root=anchored.root, note=anchored.checkpoint)


def bounds(first: int, end: int, *, processes: int) -> list[tuple[int, int]]:
    """Whole tiles: at least eight stretches for each process, so that a slow one does not hold up the rest, and none
    longer than `MAX_STRETCH`."""
    assert first % TILE == 0
    tiles = -(-(end - first) // TILE)
    if tiles <= 0:  # nothing came since, but what was there before is to be looked at
        return [(first, end)] if 0 < first == end else []
    count = max(min(tiles, processes * 8 if processes > 1 else 1), -(-(end - first) // MAX_STRETCH))
    edges = [first + tiles * part // count * TILE for part in range(count)] + [end]
    return list(itertools.pairwise(edges))


@implements("REQ-AUD-012")
async def walk_all(open_reader: OpenReader, stretches: Iterator[Stretch], processes: int) -> list[Walked]:
    """Walk every stretch; this process takes its part, and all of it until the others have started.

    Two at once: while one waits for its first page, and for what it is held to, the other computes.
    """
    done: list[Walked] = []

    async def here() -> None:
        for stretch in stretches:
            done.append(await walk(open_reader, stretch))

    async def elsewhere(pool: ProcessPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(pool, _started)
        for stretch in stretches:
            done.append(await loop.run_in_executor(pool, _walk_in_process, open_reader, stretch))

    with _undisturbed():
        if processes == 1:
            await asyncio.gather(here(), here())
        else:
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(processes - 1, mp_context=context) as pool:
                await asyncio.gather(here(), here(), *(elsewhere(pool) for _ in range(processes - 1)))
    return sorted(done, key=lambda walked: walked.stretch.first)


def _started() -> None:
    """What a process does first: being there."""


def _walk_in_process(open_reader: OpenReader, stretch: Stretch) -> Walked:
    with _undisturbed():
        return asyncio.run(walk(open_reader, stretch))


@implements("REQ-AUD-012")
async def walk(open_reader: OpenReader, stretch: Stretch) -> Walked:
    """Whether everything in one stretch is right, given that the state at its start is."""
    reader = open_reader()
    try:
        columns = LINE_COLUMNS if stretch.schema else ()
        async with _begun(reader.tiles(stretch.first, stretch.end, columns)) as tiles:
            return await _walk(reader, stretch, tiles)
    except (Altered, NotFound):  # hashes are gone that the state at its start is made of
        return Walked(stretch=stretch, clean=False)
    finally:
        await reader.close()


async def _walk(reader: Reader, stretch: Stretch, tiles: AsyncIterator[list[Tile]]) -> Walked:
    before = await _before(reader, stretch)
    if stretch.known is not None:
        if (before.state, before.covered) != (stretch.known.state, stretch.known.covered):
            return Walked(stretch=stretch, clean=False)
        before = stretch.known
    found = await published.within(reader, stretch.authority, stretch.first, stretch.end)
    there = {one.size for one in found.signed}
    unpublished = tuple(sorted({one.size for one in stretch.signed} - there))
    batches = await reader.batches(stretch.first, stretch.end)
    expected = Expected(
        claims=claims_of(batches, published.merged(stretch.signed, found.signed)),
        nodes=await reader.completed(stretch.first, stretch.end),
        tolerance_us=stretch.tolerance_us,
    )
    steps = Walk(before, expected, schema=stretch.schema)
    async for page in tiles:
        for tile in page:
            if not steps.accept(tile, min(stretch.end, steps.size + TILE)):
                return Walked(stretch=stretch, clean=False, unpublished=unpublished)
    assert steps.size == stretch.end, "a reader gives every tile, if only an empty one"
    steps.close()
    if not steps.clean or found.unsigned:
        return Walked(stretch=stretch, clean=False, unpublished=unpublished)
    return Walked(
        stretch=structs.replace(
            stretch, signed=tuple(one for one in stretch.signed if one.size <= stretch.first + AHEAD)
        ),
        clean=True,
        before=before,
        after=steps.after,
        whole=steps.whole,
        settled=steps.settled,
        agreed=steps.agreed,
        anchored=max((one.size for one in stretch.signed), default=0),
        found=tuple(steps.steps_back),
        unpublished=unpublished,
    )


async def _before(reader: Reader, stretch: Stretch) -> Before:
    """The state at a stretch's start, from what the stretches before it will have verified."""
    if stretch.first == 0:
        return Before(state=begin(stretch.authority.origin), covered=0, latest_us=0)
    batch = await reader.batch_before(stretch.first)
    between = await reader.leaf_hashes(batch.size, stretch.first)
    state = State(
        size=stretch.first,
        frontier=await tree.frontier(reader, stretch.first),
        chain=chain.extend(batch.chain, between),
    )
    return Before(state=state, covered=batch.size, latest_us=await _latest(reader, stretch))


async def _latest(reader: Reader, stretch: Stretch) -> int:
    """The clock of the last records before: a step back from an earlier one would have been found there."""
    if not stretch.schema:
        return 0
    latest = 0
    async for page in reader.rows(stretch.first - TILE, stretch.first, TILE, ("recorded_at_us",)):
        for *_, stored in page:
            moment = stored or 0  # a column may hold anything
            latest = moment if latest - moment > stretch.tolerance_us else max(latest, moment)
    return latest


@contextlib.asynccontextmanager
async def _begun(pages: AsyncIterator[list[Tile]]) -> AsyncIterator[AsyncIterator[list[Tile]]]:
    """The pages, of which the first is on its way already while the caller reads what they are held to."""
    first = asyncio.ensure_future(anext(pages, None))

    async def all_of_them() -> AsyncIterator[list[Tile]]:
        page = await first
        while page is not None:
            yield page
            page = await anext(pages, None)

    try:
        yield all_of_them()
    finally:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)  # of what it failed with, the caller has heard or not asked
        if isinstance(pages, AsyncGenerator):
            await pages.aclose()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A walk makes millions of objects and no cycles: looking for cycles among them takes a quarter of its time. And
    who asks the server for the next page waits for Python's lock no longer than the server waits for being asked."""
    enabled, interval_s = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(interval_s)
        if enabled:
            gc.enable()
