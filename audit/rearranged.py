"""Which rearrangement of records explains that a segment's hashes are of others than are stored there.

Each answer is proved: put back, the records reach the hashes that are claimed. Where no simple rearrangement does,
there is none here: then some record's bytes are other ones, or so much was moved that trying would take too long. In a
large segment, only records that are out of the order of their clocks are tried: one that changed its place mostly is.

Pure.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import combinations, product
from typing import Final

from msgspec import Struct

from audit import chain
from audit.trial import Patched, Track, Trial, without
from traceability.marks import implements

MAX_EXHAUSTED: Final = 48
"""Records of a segment in which everything is tried, in order of their clocks or not."""
MAX_HASHES: Final = 1 << 22
"""What one search may take: some seconds."""


class Unexplained(Struct, frozen=True, kw_only=True):
    """A segment whose hashes are of other records: what is stored there, and what it is held to."""

    trial: Trial
    leaves: tuple[bytes, ...]
    tracks: tuple[Track, ...]
    clocks_us: tuple[int, ...] = ()
    """The records' clocks; none where they were not read."""

    @property
    def first(self) -> int:
        return self.trial.state.size

    @property
    def places(self) -> range:
        """Where in `leaves` the others may be, as far as the tree tells."""
        if "tree" not in self.tracks:
            return range(len(self.leaves))
        differing = self.trial.differing(self.leaves) or [(self.first, self.trial.claim.size)]
        return range(differing[0][0] - self.first, differing[-1][1] - self.first)

    @property
    def suspects(self) -> Sequence[int]:
        """The places to begin with."""
        if len(self.places) <= MAX_EXHAUSTED:
            return self.places
        # Of two neighbours in the wrong order either may be the stranger, and at an end nothing is out of order.
        ends = (0, 1, len(self.leaves) - 2, len(self.leaves) - 1)
        odd = {near for at in out_of_order(self.clocks_us) for near in (at - 1, at, at + 1)}
        return [at for at in self.places if at in odd or at in ends]


@implements("REQ-AUD-013")
def out_of_order(values: Sequence[int]) -> list[int]:
    """The fewest places without which the values never go down."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for at, value in enumerate(values):
        length = bisect_right(tails, value)
        tails[length:] = [value, *tails[length + 1 :]]
        before.append(ends[length - 1] if length else -1)
        ends[length:] = [at, *ends[length + 1 :]]
    kept, at = set(), ends[-1] if ends else -1
    while at >= 0:
        kept.add(at)
        at = before[at]
    return [at for at in range(len(values)) if at not in kept]


@implements("REQ-AUD-013")
def swapped(segment: Unexplained) -> tuple[int, int] | None:
    """Two records of the segment that have changed places."""
    leaves, places, suspects = segment.leaves, segment.places, segment.suspects
    tries = _Tries(segment)
    pairs: Iterable[tuple[int, int]] = product(suspects, places)
    if len(suspects) == len(places):
        pairs = combinations(places, 2)
    if not tries.affordable(len(suspects) * len(places)):
        return None
    for i, j in pairs:
        if leaves[i] != leaves[j] and tries.reach({i: leaves[j], j: leaves[i]}):
            return segment.first + min(i, j), segment.first + max(i, j)
    return None


@implements("REQ-AUD-013")
def moved(segment: Unexplained) -> tuple[int, int] | None:
    """The record that was moved within the segment: from where, and to where. Those between have made place."""
    places, tries = segment.places, _Tries(segment)
    if not tries.affordable(len(segment.suspects) * len(places)):
        return None
    for to in segment.suspects:
        for ways in (range(to + 1, places.stop), range(to - 1, places.start - 1, -1)):
            origin = tries.carried(to, ways)
            if origin is not None:
                return segment.first + origin, segment.first + to
    return None


@implements("REQ-AUD-013")
def inserted(trial: Trial, leaves: Sequence[bytes], tracks: Sequence[Track]) -> int | None:
    """Where among `leaves` those begin that are too many: without them, the rest is what is claimed.

    Of several alike, the last: what was there first stays.
    """
    extra = len(leaves) - trial.count
    for at in range(trial.count, -1, -1):
        if trial.reaches(without(leaves, at, extra), tracks):
            return at
    return None


@implements("REQ-AUD-013")
def restored(trial: Trial, leaves: Sequence[bytes], lost: bytes, tracks: Sequence[Track]) -> int | None:
    """Where in `leaves`, which are one too few, the record `lost` belongs."""
    for at in range(len(leaves) + 1):
        if trial.reaches([*leaves[:at], lost, *leaves[at:]], tracks):
            return at
    return None


@implements("REQ-AUD-013")
def exchanged(one: Unexplained, other: Unexplained) -> tuple[int, int] | None:
    """A record of each segment that have changed places."""
    tries, others = _Tries(one), _Tries(other)
    if not tries.affordable(len(one.suspects) * len(other.suspects)):
        return None
    for i, j in product(one.suspects, other.suspects):
        if tries.reach({i: other.leaves[j]}) and others.reach({j: one.leaves[i]}):
            return one.first + i, other.first + j
    return None


def carried_over(one: Unexplained, other: Unexplained) -> tuple[int, int] | None:
    """The record that was moved out of one segment into the one beside it: from where, and to where.

    Requires `other` to begin where `one` ends. Those between have made place: one of them crossed the border.
    """
    if not _Tries(other).affordable(len(other.suspects) + len(one.leaves)):
        return None
    for at in other.suspects:  # stored in the second: the first lost it, and got the second's first in its place
        if other.trial.reaches([one.leaves[-1], *without(other.leaves, at, 1)], other.tracks):
            origin = restored(one.trial, one.leaves[:-1], other.leaves[at], one.tracks)
            if origin is not None:
                return one.first + origin, other.first + at
    for at in one.suspects:
        if one.trial.reaches([*without(one.leaves, at, 1), other.leaves[0]], one.tracks):
            origin = restored(other.trial, other.leaves[1:], one.leaves[at], other.tracks)
            if origin is not None:
                return other.first + origin, one.first + at
    return None


class _Tries:
    """Many tries over one segment, each with some of its leaves replaced. By the tree where it can be."""

    def __init__(self, segment: Unexplained) -> None:
        self._trial, self._leaves, self._tracks = segment.trial, segment.leaves, segment.tracks
        self._first = segment.first
        self._patched = Patched(segment.trial, segment.leaves) if "tree" in segment.tracks else None

    def affordable(self, count: int) -> bool:
        """Whether `count` tries are within bounds."""
        length = len(self._leaves)
        return count * (2 * length.bit_length() if self._patched is not None else length) <= MAX_HASHES

    def reach(self, replaced: dict[int, bytes]) -> bool:
        """Whether the claim is reached with these leaves, by their places, in place of what is there."""
        if self._patched is not None:
            placed = {self._first + at: leaf for at, leaf in replaced.items()}
            return self._patched.frontier(placed) == self._claimed_frontier
        leaves = list(self._leaves)
        for at, leaf in replaced.items():
            leaves[at] = leaf
        return self._is_claimed_chain(leaves)

    def carried(self, to: int, ways: range) -> int | None:
        """Which of the places `ways`, in their order, the record at `to` was taken from, the others making place."""
        leaves, before = list(self._leaves), to
        patched = None if self._patched is None else Patched(self._trial, self._leaves)
        for at in ways:
            leaves[before], leaves[at] = leaves[at], leaves[before]
            if patched is None:
                reached = self._is_claimed_chain(leaves)
            else:
                patched.put(self._first + before, leaves[before])
                patched.put(self._first + at, leaves[at])
                reached = patched.frontier({}) == self._claimed_frontier
            if reached:
                return at
            before = at
        return None

    @property
    def _claimed_frontier(self) -> tuple[bytes, ...]:
        batch = self._trial.claim.batch
        assert batch is not None
        return batch.frontier

    def _is_claimed_chain(self, leaves: Sequence[bytes]) -> bool:
        batch = self._trial.claim.batch
        assert batch is not None
        return chain.extend(self._trial.state.chain, leaves) == batch.chain
