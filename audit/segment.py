"""The records between what is believed and one claim: who is right, and what became of the records.

Where they lead from the one to the other, they are believed. Where they do not, either records are other ones or the
claim is, and the next claim says which: whichever it follows from was there when it was made. From then on what is
believed is what was claimed, so that one alteration is one finding, however long the ledger is after it.

Of two explanations that leave the same bytes, the one that changes fewer rows is given. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import Final

from msgspec import structs

from audit import chain, merkle
from audit.accounts import tells
from audit.claims import Claim, Seen, State, parts_of
from audit.lookout import MAX_SHIFT, Belief, Lookout, Verdict, Window, choices
from audit.rearranged import Unexplained, inserted, moved, swapped
from audit.trial import Outcome, Track, Trial, spans
from traceability.marks import implements

MAX_LOOK: Final = 4_096
"""Records after a segment at which a batch's row may turn out to belong."""
TILE_HEIGHT: Final = 8  # C2SP tlog-tiles: tiles are 8 levels high


@implements("REQ-AUD-013")
class Segment:
    """The records between what is believed and one claim."""

    def __init__(self, belief: Belief, window: Window, claim: Claim, ahead: Sequence[Claim]) -> None:
        self._belief, self._window, self._accounts = belief, window, belief.accounts
        self._claim, self._ahead = claim, ahead
        self._trial = Trial(belief.state, claim)
        self._first, self._end = belief.state.size, claim.size
        self._from = min(belief.covered, belief.state.size)  # a stretch may have been passed to the middle of a batch
        self._lookout = Lookout(belief, window, claim, ahead)
        self._seen = self._lookout.stored(self._first, self._end)

    def judge(self) -> None:
        present = [one for one in self._seen if one is not None]
        tried = [self._trial.outcome(leaves) for leaves in choices(present)] if self._is_whole(present) else []
        best = max(tried, key=lambda outcome: outcome.weight, default=None)
        if (best is None or not best.whole) and self._belongs_elsewhere():
            self._leave_row_out()
            return
        self._check_first()
        if best is None:
            self._judge_gap(present)
        elif best.whole:
            self._believe(best, present)
        else:
            self._judge_other(best, tried, present)

    def _is_whole(self, present: Sequence[Seen]) -> bool:
        return len(present) == len(self._seen)

    def _leave_row_out(self) -> None:
        """Judge the records as if there were no batch's row of this size."""
        if self._claim.signed:
            Segment(self._belief, self._window, structs.replace(self._claim, batch=None), self._ahead).judge()

    def _judge_other(self, best: Outcome, tried: Sequence[Outcome], present: Sequence[Seen]) -> None:
        """The records do not lead to all that is claimed."""
        unexcused = [track for track in best.failing if not any(getattr(one, track) for one in tried)]
        if not unexcused:  # hashes were made to fit the edit
            self._believe(best, present, follow=best.failing)
            return
        verdicts = {track: self._lookout.verdict(track, best) for track in best.failing}
        if self._lookout.are_right(best, verdicts):
            self._blame_hashes(best, present, verdicts)
        else:
            self._explain(best, present, unexcused)

    # -- records are right

    def _believe(self, best: Outcome, present: Sequence[Seen], follow: Sequence[Track] = ()) -> None:
        """The records are `best`; the claim's own hashes are gone on with on the tracks to `follow`."""
        self._accounts.rows(present, best.leaves)
        self._check_nodes(best.leaves)
        self._go_on(self._followed(best.after, follow))

    def _followed(self, after: State, follow: Sequence[Track]) -> State:
        batch = self._claim.batch
        if batch is None:
            return after
        if "chain" in follow:
            after = structs.replace(after, chain=batch.chain)
        if "tree" in follow and len(batch.frontier) == self._end.bit_count():
            after = structs.replace(after, frontier=batch.frontier)
        return after

    def _blame_hashes(self, best: Outcome, present: Sequence[Seen], verdicts: Mapping[Track, Verdict]) -> None:
        wrong = [{"chain": "chain hash", "tree": "frontier"}[track] for track in best.failing]
        message = f"its {' and its '.join(wrong)} are not those of its records"
        if best.failing == ("chain",):
            self._accounts.add("hash_edited", "chain", self._from, self._end, f"batch at {self._from}: {message}")
        else:
            self._accounts.batch(self._from, self._end, message)
        self._believe(best, present, [track for track in best.failing if verdicts[track] == "content"])

    def _go_on(self, state: State) -> None:
        belief = self._belief
        belief.state = state
        if self._claim.batch is None:
            belief.passed.append(state)
        else:
            belief.covered = self._end
            belief.passed.clear()
        self._accounts.signed(self._claim, state.root)

    # -- the claim's own row

    def _check_first(self) -> None:
        batch, covered = self._claim.batch, self._belief.covered
        if batch is None or batch.first == covered:
            return
        message = f"its row says that it begins at {batch.first}; the one before it ends at {covered}"
        gap = self._state_at(batch.first) if covered < batch.first < self._end else None
        self._accounts.batch(covered, self._end, message, gap=gap)

    def _state_at(self, size: int) -> State | None:
        """What is believed, or would be with the records as they are, at a size since the last batch."""
        state = self._belief.state
        if size < state.size:
            return next((passed for passed in self._belief.passed if passed.size == size), None)
        known = [one.leaf for one in self._seen[: size - state.size] if one is not None]
        return state.after(known) if len(known) == size - state.size else None

    def _belongs_elsewhere(self) -> bool:
        """Whether the row's hashes are those of another size: then its `size` was edited, and it is missed there."""
        batch = self._claim.batch
        if batch is None:
            return False
        if not self._accounts.fills_gap(batch) and not any(tells(batch, passed) for passed in self._belief.passed):
            state = self._belief.state
            leaves: list[bytes] = []
            for one in self._lookout.stored(state.size, state.size + MAX_LOOK):
                if one is None:
                    break
                leaves.append(one.leaf)
            reached = _where(state, leaves, batch.chain)
            if reached in (None, self._end) or not tells(batch, state.after(leaves[: reached - state.size])):
                return False
        self._accounts.misplaced(batch)
        return True

    # -- records are others

    def _explain(self, best: Outcome, present: Sequence[Seen], tracks: Sequence[Track]) -> None:
        shifted = self._lookout.shift_after()
        if shifted > 0:
            self._explain_inserted(shifted, tracks)
        elif shifted < 0:
            self._explain_deleted(shifted, tracks)
        else:
            self._explain_changed(best, present, tracks)
        if "tree" not in best.failing:
            self._accounts.excuse()
        self._belief.touched.append((self._first, self._end))
        self._go_on(self._lookout.claimed() or self._followed(best.after, ("chain",)))

    def _explain_inserted(self, count: int, tracks: Sequence[Track]) -> None:
        present = [one for one in self._lookout.stored(self._first, self._end + count) if one is not None]
        leaves = [one.leaf for one in present]
        at = inserted(self._trial, leaves, tracks)
        if at is None:
            self._accounts.inserted(present[0].index, present[-1].index + 1, count, ())
        else:
            self._accounts.inserted(present[at].index, present[at].index + count, count, leaves[at : at + count])
            left = [*present[:at], *present[at + count :]]
            self._accounts.rows(left, [one.leaf for one in left])
        self._belief.shift += count

    def _explain_deleted(self, count: int, tracks: Sequence[Track]) -> None:
        present = [one for one in self._lookout.stored(self._first, self._end + count) if one is not None]
        leaves = tuple(one.leaf for one in present)
        first, end = self._first, self._end
        if "tree" in tracks:
            first = self._trial.differing(leaves)[0][0]
            end = self._trial.differing([*[None] * -count, *leaves])[-1][1]
        self._accounts.deleted(
            first, max(end, first + 1), -count, Unexplained(trial=self._trial, leaves=leaves, tracks=tuple(tracks))
        )
        self._accounts.rows(present, leaves)
        self._belief.shift += count

    def _explain_changed(self, best: Outcome, present: Sequence[Seen], tracks: Sequence[Track]) -> None:
        clocks_us = tuple(one.clock_us for one in present if one.clock_us is not None)
        stretch = Unexplained(
            trial=self._trial,
            leaves=best.leaves,
            tracks=tuple(tracks),
            clocks_us=clocks_us if len(clocks_us) == len(present) else (),
        )
        tried = self._accounts.may_search()
        if pair := swapped(stretch) if tried else None:
            self._accounts.swapped(*pair)
            left = [one for one in present if one.index - self._belief.shift not in pair]
        elif ways := moved(stretch) if tried else None:
            self._accounts.moved(*ways)
            left = [one for one in present if not min(ways) <= one.index - self._belief.shift <= max(ways)]
        else:
            places = self._trial.differing(best.leaves) if "tree" in tracks else [(self._first, self._end)]
            self._accounts.unexplained(stretch, [place for each in places for place in _suspects(present, each)])
            left = [one for one in present if not _within(one.index - self._belief.shift, places)]
        self._accounts.rows(left, [one.leaf for one in left])

    # -- records are missing

    def _judge_gap(self, present: Sequence[Seen]) -> None:
        absent = [at for at, one in enumerate(self._seen, self._first) if one is None]
        if filled := self._filled(absent):
            missing = set(absent)
            known = [leaf for at, leaf in enumerate(filled.leaves, self._first) if at not in missing]
            self._accounts.rows(present, known)
            self._check_nodes(filled.leaves)
            self._go_on(self._followed(filled.after, filled.failing))
            return
        leaves = [None if one is None else one.leaf for one in self._seen]
        differing = [part for part in self._trial.differing(leaves) if not _touches(part, absent)]
        if absent[0] + self._belief.shift >= self._window.stored_end:
            self._cut(absent, present, differing)
            return
        for first, end in spans(absent):
            self._accounts.add("deleted", "record", first, end, f"record {first} is missing")
        for first, end in differing:
            self._accounts.add("record_edited", "record", first, end, "a record is not what was hashed")
        self._accounts.rows(present, [one.leaf for one in present])
        claimed = self._lookout.claimed()
        if claimed is None:  # nothing says what the records that are missing were
            self._belief.over = True
        else:
            self._go_on(claimed)

    def _cut(self, absent: Sequence[int], present: Sequence[Seen], differing: Sequence[tuple[int, int]]) -> None:
        """The ledger's end is missing: all that comes after is."""
        first, end = absent[0], self._window.end
        leaves = tuple(one.leaf for one in present)
        lost = Unexplained(trial=self._trial, leaves=leaves, tracks=("tree",)) if end - first == 1 else None
        if differing and end - first <= MAX_SHIFT:  # what comes before is not in its place either
            self._accounts.deleted(*differing[0], end - first, lost)
        elif end - first <= MAX_SHIFT:  # which of those that are hashed together were taken out is not told
            within = next((part[0] for part in parts_of(self._end) if part[0] <= first < part[1]), first)
            self._accounts.truncated(max(within, self._first), end, end - first, lost)
        else:
            self._accounts.truncated(first, end, end - first, lost)
        self._accounts.rows(present, leaves)
        self._belief.over = True

    def _filled(self, absent: Sequence[int]) -> Outcome | None:
        """The records with strays in the gaps, where that is what they were."""
        strays = self._accounts.strays
        if not 0 < len(absent) <= 3 or len(strays) < len(absent):
            return None
        for chosen in permutations(strays[:16], len(absent)):
            fill = dict(zip(absent, chosen, strict=True))
            leaves = [one.leaf if one is not None else fill[at].leaf for at, one in enumerate(self._seen, self._first)]
            outcome = self._trial.outcome(leaves)
            if outcome.weight:
                for at, stray in fill.items():
                    self._accounts.stray_belongs(stray, at)
                return outcome
        return None

    # -- tiles

    def _check_nodes(self, leaves: Sequence[bytes]) -> None:
        for (height, place), hash_ in _completed(self._belief.state, leaves):
            span = (place << height, place + 1 << height)
            touched = any(first < span[1] and span[0] < end for first, end in self._belief.touched)
            if self._window.nodes.get((height, place)) != hash_ and not touched:
                self._accounts.tile(height, place, hash_)


def _suspects(present: Sequence[Seen], place: tuple[int, int]) -> list[tuple[int, int]]:
    """The records within `place` that do not fit their own columns, or are none; all of it where there are none."""
    within = [one for one in present if place[0] <= one.index < place[1]]
    return [(one.index, one.index + 1) for one in within if one.wrong or not one.readable] or [place]


def _within(index: int, places: Sequence[tuple[int, int]]) -> bool:
    return any(first <= index < end for first, end in places)


def _touches(part: tuple[int, int], indices: Sequence[int]) -> bool:
    return any(part[0] <= at < part[1] for at in indices)


def _where(state: State, leaves: Sequence[bytes], linked: bytes) -> int | None:
    """The size at which the chain over `leaves` is `linked`."""
    at_leaf = state.chain
    for at, leaf in enumerate(leaves, 1):
        at_leaf = chain.extend(at_leaf, [leaf])
        if at_leaf == linked:
            return state.size + at
    return None


def _completed(state: State, leaves: Sequence[bytes]) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Each subtree of a stored height that is whole with these leaves, and its hash."""
    stack = list(state.frontier)
    for position, leaf in enumerate(leaves, state.size):
        node, height = leaf, 0
        while position >> height & 1:
            node = merkle.node_hash(stack.pop(), node)
            height += 1
            if height % TILE_HEIGHT == 0:
                yield (height, position >> height), node
        stack.append(node)
