"""What is wrong with a ledger, and where: the slow way, which begins where something is.

Records are held to claims one after the other, from a state that is believed; `audit.segment` judges each. Pure.
"""

from collections.abc import Sequence

from audit.accounts import Accounts
from audit.claims import Claim, State
from audit.lookout import Belief, Window
from audit.segment import Segment
from traceability.marks import implements


@implements("REQ-AUD-013")
class Explanation:
    """Give it windows in order with `judge`, then `finish`; read `accounts.found()`."""

    def __init__(self, state: State, *, covered: int, accounts: Accounts) -> None:
        self._belief = Belief(state, covered, accounts)
        self.accounts = accounts

    @property
    def size(self) -> int:
        """How many records were judged."""
        return self._belief.state.size

    @property
    def over(self) -> bool:
        """Whether nothing more can be told."""
        return self._belief.over or self.accounts.full

    def arrives(self, state: State, covered: int, leaves: Sequence[bytes]) -> bool:
        """Whether, with these records, one may go on from `state` as if nothing had been wrong before."""
        belief = self._belief
        if belief.shift or belief.over or belief.covered != covered or belief.state.size + len(leaves) != state.size:
            return False
        return belief.state.after(leaves) == state

    def is_at(self, state: State) -> bool:
        """Whether this is what is believed where a batch ends, and nothing is out of its place."""
        belief = self._belief
        return not belief.shift and not belief.over and (belief.state, belief.covered) == (state, state.size)

    def skip(self, state: State, agreed: Claim | None) -> None:
        """Pass batches that were found right, and the last signed claim among them."""
        self._belief.state, self._belief.covered = state, state.size
        if agreed is not None:
            self.accounts.agree(agreed.size, agreed.signed[0])

    def judge(self, window: Window) -> None:
        """Every claim of the window up to where it is to be judged."""
        for at, claim in enumerate(window.claims):
            if claim.size > window.upto or self.over:
                return
            if claim.size > self.size:
                Segment(self._belief, window, claim, window.claims[at + 1 :]).judge()

    def finish(self, window: Window) -> None:
        """After the last window: what no batch covers, and everything that was left open."""
        if not self.over:
            self._tail(window)
        self.accounts.close()

    def _tail(self, window: Window) -> None:
        belief, accounts = self._belief, self.accounts
        stored = range(self.size + belief.shift, window.stored_end)
        elsewhere = {stray.index for stray in accounts.placed}
        left = [window.rows[at].leaf for at in stored if at in window.rows and at not in elsewhere]
        end = self.size + len(left)
        if end <= belief.covered:
            return
        if odd := accounts.odd_batch(belief.state.after(left)):
            accounts.batch(belief.covered, end, f"its size is stored as {odd.size}")
            return
        attested = max(belief.covered, accounts.agreed)
        if attested > belief.covered:
            accounts.batch(belief.covered, attested, "its row is missing, but its records were signed")
        if end > attested:
            first, beyond = attested + belief.shift, end + belief.shift  # where they are stored
            if end - attested == 1:  # it may be missing elsewhere
                accounts.inserted(first, beyond, 1, left[-1:])
            else:
                accounts.add("inserted", "record", first, beyond, f"records from {first} on belong to no batch")
