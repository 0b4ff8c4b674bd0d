"""The account of what is wrong with a ledger, while it is explained: what is certain, and what awaits its other half.

A record that is missing here may turn up there, a tile that differs may be right, and a checkpoint that does not agree
may be contradicted by another one: `close` says what is left of it.

Pure.
"""

from collections.abc import Sequence
from itertools import pairwise, product
from typing import Final

from msgspec import Struct

from audit.checkpoint import MAX_SIZE
from audit.claims import Claim, Seen, Signed, State
from audit.extent import Batch, Stray
from audit.findings import Fault, Found, Part, by_place
from audit.rearranged import Unexplained, carried_over, exchanged, restored
from traceability.marks import implements

MAX_FOUND: Final = 1_000  # a ledger with more faults than this is not read for the next one
MAX_SEARCHED: Final = 16
"""Segments in which a rearrangement is looked for, one by one and by pairs; more take too long."""


class Tile(Struct, frozen=True, kw_only=True):
    """A stored subtree hash that is not, or not alone, that of its records."""

    height: int
    place: int
    hash: bytes

    @property
    def span(self) -> tuple[int, int]:
        first, end = self.place << self.height, self.place + 1 << self.height
        return max(min(first, MAX_SIZE), -1), min(end, MAX_SIZE)  # what is stored may be any number


class _Gap(Struct, frozen=True, kw_only=True):
    """A batch's row that is not there, and the state that it would have told."""

    found: Found
    state: State | None


class _Lost(Struct, frozen=True, kw_only=True):
    found: Found
    stretch: Unexplained


class _Extra(Struct, frozen=True, kw_only=True):
    found: Found
    leaf: bytes


class _Edited(Struct, frozen=True, kw_only=True):
    found: Found
    leaf: bytes
    was: bytes


class _Changed(Struct, frozen=True, kw_only=True):
    found: tuple[Found, ...]
    stretch: Unexplained


@implements("REQ-AUD-013")
class Accounts:
    """What was found so far. Single-use: `close`, then `found`."""

    def __init__(
        self,
        *,
        tolerance_us: int,
        strays: Sequence[Stray] = (),
        batches: Sequence[Batch] = (),
        tiles: Sequence[Tile] = (),
    ) -> None:
        """With what is stored outside of the ledger: records, batch rows and subtree hashes."""
        self._strays = list(strays)
        self.tail: list[Stray] = []
        """The first records after the last batch."""
        self.placed: list[Stray] = []
        """Records that belong elsewhere."""
        self.agreed = 0
        """The largest size at which a signed root was reached."""
        self._tolerance_us = tolerance_us
        self.latest_us = 0
        """The clock up to here."""
        self._odd_batches, self._odd_tiles = list(batches), list(tiles)
        self._found: list[Found] = []
        self._gaps: list[_Gap] = []
        self._lost: list[_Lost] = []
        self._extra: list[_Extra] = []
        self._edited: dict[int, _Edited] = {}
        self._changed: list[_Changed] = []
        self._tiles: list[Tile] = []
        self._disagreeing: list[Signed] = []
        self._excused = False
        self._searches = 0

    @property
    def full(self) -> bool:
        waiting = len(self._edited) + len(self._gaps) + len(self._tiles) + len(self._changed)
        return waiting + sum(one.fault != "time" for one in self._found) >= MAX_FOUND

    def may_search(self) -> bool:
        """Whether one more segment may be searched for what was rearranged in it."""
        self._searches += 1
        return self._searches <= MAX_SEARCHED

    @implements("REQ-AUD-013")
    def add(self, fault: Fault, part: Part, first: int, end: int, message: str) -> None:
        self._found.append(_found(fault, part, first, end, message))

    # -- records

    def rows(self, seen: Sequence[Seen], leaves: Sequence[bytes]) -> None:
        """The records whose true leaf hashes are `leaves`."""
        for one, leaf in zip(seen, leaves, strict=True):
            at = one.index
            if one.leaf != leaf:
                found = _found(
                    "record_edited", "record", at, at + 1, f"record {at}: its bytes are not those that were hashed"
                )
                self._edited[at] = _Edited(found=found, leaf=one.leaf, was=leaf)
                continue
            if one.stored != leaf:
                self.add("hash_edited", "leaf", at, at + 1, f"record {at}: its leaf hash is not that of its bytes")
            if not one.readable:
                self.add("record_edited", "record", at, at + 1, f"record {at}: its bytes are not a record's")
            elif one.wrong:
                names = ", ".join(one.wrong)
                self.add("derived_column", "column", at, at + 1, f"record {at}: not what the record says: {names}")
            self._clock(one)

    @implements("REQ-AUD-016")
    def _clock(self, one: Seen) -> None:
        if one.clock_us is None:
            return
        behind_us = self.latest_us - one.clock_us
        if behind_us > self._tolerance_us:
            self._found.append(step_back(one.index, behind_us))
            self.latest_us = one.clock_us  # one finding for each step back, not for each record after it
        else:
            self.latest_us = max(self.latest_us, one.clock_us)

    def pass_clocks(self, latest_us: int, found: Sequence[Found]) -> None:
        """What a stretch that was found right says of its clocks."""
        self.latest_us = latest_us
        self._found += found

    def inserted(self, first: int, end: int, count: int, leaves: Sequence[bytes]) -> None:
        """So many of the records stored at [first, end) were not there; these, where it is known which."""
        message = f"{count} record(s) in [{first}, {end}) were put in; without, the others are as they were hashed"
        found = _found("inserted", "record", first, end, message)
        if len(leaves) == 1:
            self._extra.append(_Extra(found=found, leaf=leaves[0]))
        else:
            self._found.append(found)

    def deleted(self, first: int, end: int, count: int, stretch: Unexplained | None) -> None:
        """So many of the records that were at [first, end) are gone, and those after them were moved up."""
        message = f"{count} record(s) of [{first}, {end}) are missing, and those after were moved up"
        self._lose(_found("deleted", "record", first, end, message), stretch if count == 1 else None)

    def truncated(self, first: int, end: int, count: int, stretch: Unexplained | None) -> None:
        """So many records of [first, end), the ledger's last, are gone."""
        message = f"{count} record(s) are missing at the end"
        self._lose(_found("truncated", "record", first, end, message), stretch)

    def _lose(self, found: Found, stretch: Unexplained | None) -> None:
        """What is lost may be elsewhere, where it is known of what stretch it was."""
        if stretch is None:
            self._found.append(found)
        else:
            self._lost.append(_Lost(found=found, stretch=stretch))

    def swapped(self, one: int, other: int) -> None:
        for here, there in ((one, other), (other, one)):
            self.add("reordered", "record", here, here + 1, f"record {here} is the one that was {there}")

    def moved(self, origin: int, to: int) -> None:
        first, end = min(origin, to), max(origin, to) + 1
        self.add("reordered", "record", first, end, f"record {origin} was moved to {to}; those between made place")

    def unexplained(self, stretch: Unexplained, places: Sequence[tuple[int, int]]) -> None:
        """Each of the places holds a record that is not what was hashed."""
        found = tuple(
            _found("record_edited", "record", first, end, f"a record in [{first}, {end}) is not what was hashed")
            for first, end in places
        )
        self._changed.append(_Changed(found=found, stretch=stretch))

    @property
    def strays(self) -> list[Stray]:
        """Records that may be missing elsewhere."""
        return [stray for stray in (*self._strays, *self.tail) if stray not in self.placed]

    def add_stray(self, stray: Stray) -> None:
        """A record that shares its index with another."""
        if stray not in self._strays:
            self._strays.append(stray)

    def stray_belongs(self, stray: Stray, at: int) -> None:
        self.placed.append(stray)
        self.add("reordered", "record", at, at + 1, f"record {at} is stored as {stray.index}")

    # -- what is stored about them

    def batch(self, first: int, end: int, message: str, *, gap: State | None = None) -> None:
        found = _found("hash_edited", "batch", first, end, f"batch at {first}: {message}")
        if gap is None:
            self._found.append(found)
        else:
            self._gaps.append(_Gap(found=found, state=gap))

    def fills_gap(self, batch: Batch) -> bool:
        """Whether the row is one that was missed."""
        return any(tells(batch, gap.state) for gap in self._gaps)

    def misplaced(self, batch: Batch) -> None:
        """The row is missed at another size."""
        if batch not in self._odd_batches:  # a window that begins anew sees it again
            self._odd_batches.append(batch)

    def odd_batch(self, state: State) -> Batch | None:
        """The row outside of the ledger that tells this state."""
        odd = next((batch for batch in self._odd_batches if tells(batch, state)), None)
        if odd is not None:
            self._odd_batches.remove(odd)
        return odd

    def tile(self, height: int, place: int, hash_: bytes) -> None:
        """The stored hash of this subtree is not `hash_`, or missing."""
        self._tiles.append(Tile(height=height, place=place, hash=hash_))

    # -- what was signed

    def signed(self, claim: Claim, root: bytes) -> None:
        """Compare what was signed of a size with the root that is believed."""
        for one in claim.signed[1:]:
            if one.root != claim.signed[0].root:
                self._found.append(fork(claim.signed[0], one))
        agreeing = [one for one in claim.signed if one.root == root]
        if agreeing:
            self.agree(claim.size, agreeing[0])
        elif claim.signed and not self._excused:
            self._disagreeing.append(claim.signed[0])

    def agree(self, size: int, signed: Signed) -> None:
        """A signed root was reached: what was signed before it, and is not, was never a beginning of it."""
        self._found += [fork(one, signed) for one in self._disagreeing]
        self._disagreeing.clear()
        self._flush_tiles()
        self._excused = False
        self.agreed = size

    def excuse(self) -> None:
        """The tree was made to fit an edit that is accounted for: roots that were signed are not expected to agree."""
        self._excused = True

    # -- the end

    def close(self) -> None:
        """Nothing more will come: what waited is said."""
        self._pair_moved()
        self._pair_changed()
        self._pair_neighbours()
        self._found += [lost.found for lost in self._lost] + [extra.found for extra in self._extra]
        self._found += [one for changed in self._changed for one in changed.found]
        self._close_edited()
        for gap in self._gaps:
            odd = None if gap.state is None else self.odd_batch(gap.state)
            if odd is None or gap.state is None:
                self._found.append(gap.found)
            else:
                self.batch(gap.found.first, gap.state.size, f"its size is stored as {odd.size}")
        if self._disagreeing:
            self._close_disagreeing(self._disagreeing[0])
        self._flush_tiles()
        self._close_odd()

    def _close_disagreeing(self, signed: Signed) -> None:
        """What was signed is not what is stored. A subtree hash that nobody made to fit says so more closely."""
        first, end = self.agreed, signed.size
        for tile in self._tiles:
            low, high = max(first, tile.span[0]), min(end, tile.span[1])
            if low < high:
                first, end = low, high
        self._tiles = [tile for tile in self._tiles if tile.span[1] <= self.agreed]
        message = f"the tree of {signed.size} records is not the signed one; the last that agrees has {self.agreed}"
        self.add("suffix_rewritten", "record", first, end, message)

    @property
    def disagrees(self) -> bool:
        """Whether a signed root was not reached, and none since."""
        return bool(self._disagreeing)

    def _pair_moved(self) -> None:
        for lost, extra in list(product(self._lost[:MAX_SEARCHED], self._extra[:MAX_SEARCHED])):
            if lost not in self._lost or extra not in self._extra:
                continue
            at = restored(lost.stretch.trial, lost.stretch.leaves, extra.leaf, lost.stretch.tracks)
            if at is not None:
                self._lost.remove(lost)
                self._extra.remove(extra)
                self.moved(lost.stretch.first + at, extra.found.first)

    def _pair_changed(self) -> None:
        for at, one in enumerate(self._changed[:MAX_SEARCHED]):
            for other in self._changed[at + 1 : MAX_SEARCHED]:
                if one not in self._changed or other not in self._changed:
                    continue
                if pair := exchanged(one.stretch, other.stretch):
                    self._changed.remove(one)
                    self._changed.remove(other)
                    self.swapped(*pair)

    def _pair_neighbours(self) -> None:
        """A record that was moved over a batch's end leaves two batches changed, and none after them out of place."""
        for one, other in pairwise(self._changed[:MAX_SEARCHED]):
            if one not in self._changed or other.stretch.first != one.stretch.trial.claim.size:
                continue
            if ways := carried_over(one.stretch, other.stretch):
                self._changed.remove(one)
                self._changed.remove(other)
                self.moved(*ways)

    def _close_edited(self) -> None:
        """Bytes that are those of another record that lost its own have changed places with it."""
        was = {edited.was: at for at, edited in self._edited.items()}
        for at, edited in self._edited.items():
            if edited.leaf in was:
                self.add("reordered", "record", at, at + 1, f"record {at} has the bytes of record {was[edited.leaf]}")
            else:
                self._found.append(edited.found)

    def _flush_tiles(self) -> None:
        for tile in self._tiles:
            (first, end), name = tile.span, f"{tile.height}/{tile.place}"
            odd = next((odd for odd in self._odd_tiles if odd.hash == tile.hash), None)
            where = "differs, or is missing"
            if odd is not None:
                self._odd_tiles.remove(odd)
                where = f"is stored as {odd.height}/{odd.place}"
            self.add("hash_edited", "tile", first, end, f"subtree {name} {where}")
        self._tiles.clear()

    def _close_odd(self) -> None:
        for at in [stray.index for stray in self._strays if stray not in self.placed]:
            self.add("inserted", "record", at, at + 1, f"record {at} is stored, and the ledger has none there")
        for batch in self._odd_batches:
            self.batch(batch.first, batch.size, "no append wrote such a row")
        for tile in self._odd_tiles:
            self.add(
                "hash_edited", "tile", *tile.span, f"subtree {tile.height}/{tile.place} is stored, and there is none"
            )

    def found(self) -> tuple[Found, ...]:
        return by_place(self._found)


@implements("REQ-AUD-015")
def fork(one: Signed, other: Signed) -> Found:
    """Two signed checkpoints of which neither can be the beginning of the other."""
    message = f"the log's key signed two histories: of {one.size} records, and of {other.size}, that do not agree"
    return Found(
        fault="forked", part="key", first=one.size, end=one.size, message=message, notes=(one.note, other.note)
    )


def step_back(index: int, behind_us: int) -> Found:
    message = f"record {index}: its clock is {behind_us} us behind"
    return Found(fault="time", part="clock", first=index, end=index + 1, message=message, altered=False)


def _found(fault: Fault, part: Part, first: int, end: int, message: str) -> Found:
    return Found(fault=fault, part=part, first=first, end=end, message=message)


def tells(batch: Batch, state: State | None) -> bool:
    """Whether the row's hashes are those of this state, whatever size it says."""
    return state is not None and (batch.chain, batch.frontier) == (state.chain, state.frontier)
