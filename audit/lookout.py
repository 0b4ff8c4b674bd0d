"""What comes after a segment says of it: which of its hashes were there before an edit, and where records went.

Whichever the next claim follows from was there when that claim was made. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final, Literal

from msgspec import Struct

from audit.accounts import Accounts
from audit.claims import Claim, Rows, Seen, State
from audit.trial import Outcome, Track, Trial
from traceability.marks import implements

MAX_SHIFT: Final = 8
"""So many records in a row that were put in or taken out are recognised by what follows them."""
MAX_MIXED: Final = 8
"""Rows of one segment whose bytes or leaf hash was edited: which of the two is tried in every combination."""

Verdict = Literal["right", "point", "content", "unknown"]
"""Of one track of a claim: reached; edited itself; made when the records were others; nobody says."""


class Window(Struct, frozen=True, kw_only=True):
    """A piece of the ledger. Rows and claims go on a little beyond what is to be judged, for looking ahead."""

    rows: Rows
    claims: Sequence[Claim]
    upto: int
    nodes: Mapping[tuple[int, int], bytes]
    stored_end: int
    """Where the records of the whole ledger end: none is stored in its place from here on."""
    end: int
    """Where the ledger should end, by the last batch or the last record."""


class Belief:
    """What is believed of the ledger so far, and the account of what is wrong with it."""

    def __init__(self, state: State, covered: int, accounts: Accounts) -> None:
        self.state = state
        self.covered = covered
        """Where the last batch ended."""
        self.shift = 0
        """How far records are stored behind the place at which they were written."""
        self.over = False
        """Nothing after this can be told."""
        self.passed: list[State] = []
        """What was believed since the last batch, at sizes of which no batch says anything."""
        self.touched: list[tuple[int, int]] = []
        """Where records were others: whoever altered them may have made subtree hashes of their own."""
        self.accounts = accounts


@implements("REQ-AUD-013")
class Lookout:
    """Looks from a claim to those ahead."""

    def __init__(self, belief: Belief, window: Window, claim: Claim, ahead: Sequence[Claim]) -> None:
        self._belief, self._window, self._claim, self._ahead = belief, window, claim, ahead
        self._following = next((one for one in ahead if one.batch is not None), None)

    def stored(self, first: int, end: int, shift: int = 0) -> list[Seen | None]:
        """What is stored of the records [first, end), as they were written, or `shift` places behind."""
        moved_by = self._belief.shift + shift
        return [self._window.rows.get(at + moved_by) for at in range(first, end)]

    def verdict(self, track: Track, best: Outcome) -> Verdict:
        """What the claims that follow say of this one's hash."""
        claimed = self.claimed()
        if track == "tree" and self._claim.signed:
            if best.signed:
                return "point"
            if claimed is not None and claimed.root in {one.root for one in self._claim.signed}:
                return "content"
        following = self._following
        if following is None:
            return "unknown"
        if self._follows(following, best.after, track):
            return "point"
        if claimed is not None and self._follows(following, claimed, track):
            return "content"
        return "unknown"

    def _follows(self, claim: Claim, state: State, track: Track | None, shift: int = 0) -> bool:
        """Whether the records up to `claim` lead there from `state`, on `track` or, without one, on any."""
        stored = self.stored(state.size, claim.size, shift)
        present = [one for one in stored if one is not None]
        if len(present) < len(stored):
            return False
        outcomes = [Trial(state, claim).outcome(leaves) for leaves in choices(present, mixed=False)]
        return any(getattr(one, track) if track is not None else one.chain or one.tree for one in outcomes)

    def claimed(self) -> State | None:
        """The claim as a state; None where it cannot be one."""
        batch = self._claim.batch
        if batch is None or len(batch.frontier) != self._claim.size.bit_count():
            return None
        return State(size=self._claim.size, frontier=batch.frontier, chain=batch.chain)

    def are_right(self, best: Outcome, verdicts: Mapping[Track, Verdict]) -> bool:
        """Whether the records are what they were, and the claim's hashes are not."""
        if best.signed is not None and not self._belief.accounts.disagrees:
            return best.signed
        said = [verdicts.get("chain", "right"), verdicts.get("tree", "right")]
        if "content" in said:
            return self._vouched(best)
        return said != ["unknown", "unknown"]

    def _vouched(self, best: Outcome) -> bool:
        """Whether the next signed root is reached with these records."""
        state = best.after
        for claim in self._ahead:
            stored = self.stored(state.size, claim.size)
            present = [one.leaf for one in stored if one is not None]
            if len(present) < len(stored):
                return False
            state = state.after(present)
            if claim.signed:
                return state.root in {one.root for one in claim.signed}
        return False

    def shift_after(self) -> int:
        """By how many places the records after this segment lie behind where they were, more than those before it."""
        following = self._following
        claimed = self.claimed()
        if claimed is None:
            return 0
        if following is None:
            first = self._belief.state.size
            more = self._window.stored_end - (first + self._belief.shift) - (self._claim.size - first)
            return more if abs(more) <= MAX_SHIFT else 0
        by_size = sorted(range(-MAX_SHIFT, MAX_SHIFT + 1), key=abs)
        return next((shift for shift in by_size if self._follows(following, claimed, None, shift)), 0)


def choices(present: Sequence[Seen], *, mixed: bool = True) -> Iterator[list[bytes]]:
    """The leaves that a segment's records may have had: by their bytes, by what is stored, or by either each."""
    leaves = [one.leaf for one in present]
    yield leaves
    differing = [at for at, one in enumerate(present) if one.stored != one.leaf]
    if not differing:
        return
    yield [one.stored for one in present]
    yield [one.stored if one.wrong or not one.readable else one.leaf for one in present]
    if mixed and len(differing) <= MAX_MIXED:
        for count in range(1, len(differing)):
            for chosen in combinations(differing, count):
                yield [one.stored if at in chosen else one.leaf for at, one in enumerate(present)]
