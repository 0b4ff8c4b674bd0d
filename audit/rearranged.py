"""Which rearrangement of records explains that a stretch's hashes are of others than are stored there.

Each answer is proved: put back, the records reach the hashes that are claimed. Where no simple rearrangement does,
there is none here: then some record's bytes are other ones, or so much was moved that trying would take too long.

Pure.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from audit import chain
from audit.trial import Patched, Track, Trial, without

MAX_HASHES: Final = 1 << 24
"""What one search may take: some ten seconds."""


class Unexplained(Struct, frozen=True, kw_only=True):
    """A stretch whose hashes are of other records: what is stored there, and what it is held to."""

    trial: Trial
    leaves: tuple[bytes, ...]
    tracks: tuple[Track, ...]

    @property
    def first(self) -> int:
        return self.trial.state.size

    @property
    def end(self) -> int:
        return self.trial.claim.size

    @property
    def places(self) -> range:
        """Where in `leaves` the others may be, as far as the tree tells."""
        if "tree" not in self.tracks:
            return range(len(self.leaves))
        differing = self.trial.differing(self.leaves) or [(self.first, self.end)]
        return range(differing[0][0] - self.first, differing[-1][1] - self.first)


def swapped(stretch: Unexplained) -> tuple[int, int] | None:
    """Two records of the stretch that have changed places."""
    leaves, places = stretch.leaves, stretch.places
    pairs = [(i, j) for i in places for j in range(i + 1, places.stop) if leaves[i] != leaves[j]]
    tries = _Tries(stretch)
    if not tries.affordable(len(pairs), 2):
        return None
    for i, j in pairs:
        if tries.reach({i: leaves[j], j: leaves[i]}):
            return stretch.first + i, stretch.first + j
    return None


def moved(stretch: Unexplained) -> tuple[int, int] | None:
    """The record that was moved within the stretch: from where, and to where. Those between have made place."""
    leaves, tries = stretch.leaves, _Tries(stretch)
    if not tries.affordable(len(stretch.places) ** 2, len(stretch.places) // 3):
        return None
    for to in stretch.places:
        for origin in stretch.places:
            if abs(origin - to) > 1:  # else it is a swap
                low, high = min(origin, to), max(origin, to)
                put_back = without(leaves, to, 1)
                put_back.insert(origin, leaves[to])
                if tries.reach({at: put_back[at] for at in range(low, high + 1)}):
                    return stretch.first + origin, stretch.first + to
    return None


def inserted(trial: Trial, leaves: Sequence[bytes], tracks: Sequence[Track]) -> int | None:
    """Where among `leaves` those begin that are too many: without them, the rest is what is claimed.

    Of several alike, the last: what was there first stays.
    """
    extra = len(leaves) - trial.count
    for at in range(trial.count, -1, -1):
        if trial.reaches(without(leaves, at, extra), tracks):
            return at
    return None


def restored(trial: Trial, leaves: Sequence[bytes], lost: bytes, tracks: Sequence[Track]) -> int | None:
    """Where in `leaves`, which are one too few, the record `lost` belongs."""
    for at in range(len(leaves) + 1):
        if trial.reaches([*leaves[:at], lost, *leaves[at:]], tracks):
            return at
    return None


def exchanged(one: Unexplained, other: Unexplained) -> tuple[int, int] | None:
    """A record of each stretch that have changed places."""
    tries, others = _Tries(one), _Tries(other)
    if not tries.affordable(len(one.places) * len(other.places), 1):
        return None
    for i in one.places:
        for j in other.places:
            if tries.reach({i: other.leaves[j]}) and others.reach({j: one.leaves[i]}):
                return one.first + i, other.first + j
    return None


class _Tries:
    """Many tries over one stretch, each with some of its leaves replaced. By the tree where it can be."""

    def __init__(self, stretch: Unexplained) -> None:
        self._trial, self._leaves, self._tracks = stretch.trial, stretch.leaves, stretch.tracks
        self._first = stretch.first
        self._patched = Patched(stretch.trial, stretch.leaves) if "tree" in stretch.tracks else None

    def affordable(self, count: int, replaced: int) -> bool:
        """Whether `count` tries with so many leaves replaced in each are within bounds."""
        length = len(self._leaves)
        each = replaced * length.bit_length() if self._patched is not None else length
        return count * min(each, 2 * length) <= MAX_HASHES

    def reach(self, replaced: dict[int, bytes]) -> bool:
        batch = self._trial.claim.batch
        assert batch is not None
        if self._patched is not None:
            placed = {self._first + at: leaf for at, leaf in replaced.items()}
            return self._patched.frontier(placed) == batch.frontier
        leaves = list(self._leaves)
        for at, leaf in replaced.items():
            leaves[at] = leaf
        return chain.extend(self._trial.state.chain, leaves) == batch.chain
