"""Finding out what is wrong with a ledger of which some stretch is not clean.

What was found clean is passed, as long as the stretches fit together; the others are read again, record by record, and
so is every one after a place from which on records are not where they were. Memory holds one window at a time.
"""

from collections.abc import Sequence
from typing import Final

from audit import published
from audit.accounts import Accounts, Tile
from audit.claims import MAX_BATCH_RECORDS, Claim, Seen, State, begin, claims_of, seen
from audit.derived import COLUMNS
from audit.explain import Explanation
from audit.extent import Extent, Stray
from audit.lookout import MAX_SHIFT, Window
from audit.packed import TILE
from audit.ports import Reader
from audit.stretches import AHEAD, Stretch, Walked
from audit.walk import Before
from traceability.marks import implements

WINDOW: Final = 1 << 14
PAGE: Final = 1_024


@implements("REQ-AUD-013")
class Explainer:
    """Goes through the stretches in order and explains what is not clean."""

    def __init__(self, reader: Reader, walked: Sequence[Walked], extent: Extent, *, schema: bool) -> None:
        """Requires at least one stretch."""
        first = walked[0].stretch
        self._reader, self._walked, self._extent = reader, walked, extent
        self._authority, self._columns = first.authority, COLUMNS if schema else ()
        self.accounts = Accounts(
            tolerance_us=first.tolerance_us,
            strays=extent.records,
            batches=extent.batches,
            tiles=[Tile(height=height, place=place, hash=hash_) for height, place, hash_ in extent.nodes],
        )
        start = first.known or Before(state=begin(self._authority.origin), covered=0, latest_us=0)
        self.accounts.latest_us = start.latest_us
        self._explanation = Explanation(start.state, covered=start.covered, accounts=self.accounts)

    async def run(self) -> None:
        """Afterwards, `accounts` has everything."""
        tail = self._reader.rows(self._extent.batched, self._extent.end, PAGE, ())
        async for page in tail:
            self.accounts.tail += [Stray(index=row[0], leaf=seen(row, ()).leaf) for row in page]
            break
        for walked in self._walked:
            if self._explanation.over:
                break
            if self._explanation.size >= walked.stretch.end:
                continue  # with the batch that began before it
            if walked.clean and walked.stretch.end <= self._extent.batched and await self._fits(walked):
                self._skip(walked)
            else:
                await self._explain(walked.stretch)
        end = self._extent.end
        self._explanation.finish(await self._window(min(self._explanation.size, end), end))

    async def _fits(self, walked: Walked) -> bool:
        """Whether the stretch began with what is believed, and so what it found right is."""
        before = walked.before
        assert before is not None
        size = self._explanation.size
        if size > walked.stretch.first:  # where a batch ends, which the stretch has passed
            stored = await self._reader.head_at(size)
            return stored is not None and self._explanation.is_at(
                State(size=size, frontier=stored.frontier, chain=stored.chain)
            )
        if size < walked.stretch.first - WINDOW:
            return False
        rows = self._reader.rows(size, before.state.size, PAGE, ())
        leaves = [seen(row, ()).leaf async for page in rows for row in page]
        return self._explanation.arrives(before.state, before.covered, leaves)

    def _skip(self, walked: Walked) -> None:
        """Go on at the end of the last batch: the records after it are not right before their batch is."""
        before, after, settled = walked.before, walked.after, walked.settled
        assert before is not None
        assert after is not None
        if settled is None or settled.size < self._explanation.size:
            return
        whole = settled.size == walked.stretch.end
        found = [one for one in walked.found if self._explanation.size <= one.first < settled.size]
        self.accounts.pass_clocks(after.latest_us if whole else before.latest_us, found)
        self._explanation.skip(settled, walked.agreed)

    async def _explain(self, stretch: Stretch) -> None:
        """Judge every claim of the stretch, and the batch that goes on beyond it."""
        beyond = await self._reader.batches(stretch.end, stretch.end + AHEAD)
        ends = [*range(stretch.first + WINDOW, stretch.end, WINDOW), stretch.end, *[one.size for one in beyond[:1]]]
        for upto in ends:
            if self._explanation.over:
                return
            self._explanation.judge(await self._window(upto, upto))

    async def _window(self, upto: int, end: int) -> Window:
        """What is needed to judge the claims up to `upto`."""
        size, limit = self._explanation.size, min(self._extent.end, end + AHEAD)
        found = await published.within(self._reader, self._authority, size, limit)
        kept = [one for walked in self._walked for one in walked.stretch.signed if size < one.size <= limit]
        batches = await self._reader.batches(size, limit)
        claims = _closed(size, limit, claims_of(batches, published.merged(kept, found.signed)))
        rows: dict[int, Seen] = {}
        reach = MAX_SHIFT * 4  # several shifts may have come together
        async for page in self._reader.rows(max(0, size - reach), limit + reach, PAGE, self._columns):
            for row in page:
                one = seen(row, self._columns)
                if rows.setdefault(one.index, one) is not one:  # nobody would miss its index if it were elsewhere
                    self.accounts.add_stray(Stray(index=one.index, leaf=one.leaf))
        return Window(
            rows=rows,
            claims=claims,
            upto=upto,
            nodes=await self._reader.completed(size, limit),
            stored_end=self._extent.stored_end,
            end=self._extent.end,
        )


def _closed(first: int, end: int, claims: Sequence[Claim]) -> list[Claim]:
    """`claims`, and where batches are missing, so that no claim follows for long, one of nothing at each tile."""
    found: list[Claim] = []
    before = first
    for claim in (*claims, Claim(size=end)):
        if claim.size - before > MAX_BATCH_RECORDS:
            found += [Claim(size=size) for size in range((before // TILE + 1) * TILE, claim.size, TILE)]
        if claim.size > before and (claim.batch is not None or claim.signed):
            found.append(claim)
        before = claim.size
    return found
